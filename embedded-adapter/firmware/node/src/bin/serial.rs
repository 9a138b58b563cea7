//! The telemetry node on a serial line: tasks on embassy's executor, the line through embedded-io-async.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::FixedRate;
use ackline::framing::FrameCheck;
use ackline_embedded::State;
use ackline_embedded::serial::Runner;
use board::uart;
use node::tasks::{Application, Mutex};
use node::{BITS_PER_SECOND, DATAGRAM_MAX, Storage};
use static_cell::StaticCell;

type Line = Runner<'static, Mutex, Storage, FixedRate, uart::Receiver, uart::Sender, DATAGRAM_MAX>;

#[embassy_executor::task]
async fn line(line: &'static mut Line) {
    line.run().await.expect("this UART has no errors");
}

#[embassy_executor::task]
async fn application(application: Application<FixedRate>) {
    application.run().await;
}

#[board::entry]
fn main() -> ! {
    board::start(|spawner| {
        static STATE: StaticCell<State<Mutex, Storage, FixedRate>> = StaticCell::new();
        static LINE: StaticCell<Line> = StaticCell::new();
        let rate = FixedRate::new(BITS_PER_SECOND / 10);
        let (port, node) = node::tasks::open(STATE.init_with(State::new), &node::serial(), rate);
        let (output, input) = uart::open();
        let runner = LINE.init_with(|| Runner::new(port, input, output, FrameCheck::Crc32));
        spawner.spawn(line(runner).expect("spawned once"));
        spawner.spawn(application(node).expect("spawned once"));
    })
}
