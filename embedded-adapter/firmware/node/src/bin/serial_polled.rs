//! The telemetry node on a serial line, in one loop without an executor.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::framing::FrameCheck;
use ackline_embedded::polled::Driver;
use board::uart;
use node::polled::{Application, now};
use node::{DATAGRAM_MAX, Node, SerialLink};
use static_cell::ConstStaticCell;

static LINE: ConstStaticCell<Driver<SerialLink, DATAGRAM_MAX>> =
    ConstStaticCell::new(Driver::new(FrameCheck::Crc32));

#[board::entry]
fn main() -> ! {
    board::start_clock();
    let (line, seed) = (LINE.take(), board::entropy::seed());
    let (mut output, mut input) = uart::open();
    let mut application = Application::new(Node::new(seed));
    node::start_serial(line.link(), seed);
    line.link().connect(now());
    loop {
        line.step(now, &mut input, &mut output, |link| application.turn(link))
            .expect("this UART has no errors");
        // The clock ticks every millisecond, so no deadline is missed by more.
        board::idle_until_interrupt();
    }
}
