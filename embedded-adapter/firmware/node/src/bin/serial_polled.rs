//! The telemetry node on a serial line, in one loop without an executor.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::FixedRate;
use ackline::framing::FrameCheck;
use ackline::{Instant, Link, SendError};
use ackline_embedded::polled::Driver;
use board::uart;
use node::{BITS_PER_SECOND, CHANNEL, DATAGRAM_MAX, INTERVAL, Node, Storage};
use static_cell::StaticCell;
use telemetry::MESSAGE_MAX;

type Line = Driver<Storage, FixedRate, uart::Receiver, uart::Sender, DATAGRAM_MAX>;

fn now() -> Instant {
    Instant::from_micros(board::now_micros())
}

/// Apart from `main`, whose frame stays: a link passes through the stack on its way into its static.
#[inline(never)]
fn open(seed: u64) -> &'static mut Line {
    static LINE: StaticCell<Line> = StaticCell::new();
    let (output, input) = uart::open();
    LINE.init_with(|| {
        let link = Link::new(&node::serial(), FixedRate::new(BITS_PER_SECOND / 10), seed);
        Driver::new(link, input, output, FrameCheck::Crc32)
    })
}

#[board::entry]
fn main() -> ! {
    board::start_clock();
    let seed = board::entropy::seed();
    let node = Node::new(seed);
    let driver = open(seed);
    driver.link().connect(now());
    defmt::info!("polled serial node, boot {=u64:x}", seed);
    let mut next_reading = Instant::ZERO;
    let mut buffer = [0; MESSAGE_MAX];
    loop {
        driver.step(now).expect("this UART has no errors");
        let link = driver.link();
        while let Some(delivery) = link.recv(now()) {
            node.on_command(delivery.payload);
        }
        while let Some(event) = link.poll_event() {
            node.on_event(event);
        }
        while node.is_urgent() || now() >= next_reading {
            match link.send(now(), CHANNEL, node.reading(&mut buffer)) {
                Ok(_) => node.on_sent(),
                Err(SendError::Full) => break,
                Err(error) => defmt::panic!("{}", error),
            }
            next_reading = now() + INTERVAL;
        }
        // What was just sent, settled or made room for may have to leave before anything arrives.
        driver.step(now).expect("this UART has no errors");
        // The clock ticks every millisecond, so no deadline is missed by more.
        board::idle_until_interrupt();
    }
}
