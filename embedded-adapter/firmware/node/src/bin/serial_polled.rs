//! The telemetry node on a serial line, in one loop without an executor.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::Link;
use ackline::congestion::FixedRate;
use ackline::framing::FrameCheck;
use ackline_embedded::polled::Driver;
use board::uart;
use node::polled::{Application, now};
use node::{BITS_PER_SECOND, DATAGRAM_MAX, Storage};
use static_cell::StaticCell;

type Line = Driver<Link<Storage, FixedRate>, uart::Receiver, uart::Sender, DATAGRAM_MAX>;

/// Apart from `main`, whose frame stays: a link passes through the stack on its way into its static.
#[inline(never)]
fn open(seed: u64) -> &'static mut Line {
    static LINE: StaticCell<Line> = StaticCell::new();
    let (output, input) = uart::open();
    LINE.init_with(|| {
        let link = Application::link(&node::serial(), FixedRate::new(BITS_PER_SECOND / 10), seed);
        Driver::new(link, input, output, FrameCheck::Crc32)
    })
}

#[board::entry]
fn main() -> ! {
    board::start_clock();
    let seed = board::entropy::seed();
    let mut application = Application::new(seed);
    let line = open(seed);
    loop {
        line.step(now).expect("this UART has no errors");
        application.turn(line.link());
        // What was just sent, settled or made room for may have to leave before anything arrives.
        line.step(now).expect("this UART has no errors");
        // The clock ticks every millisecond, so no deadline is missed by more.
        board::idle_until_interrupt();
    }
}
