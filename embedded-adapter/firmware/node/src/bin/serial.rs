//! The telemetry node on a serial line: tasks on embassy's executor, the line through embedded-io-async.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::FixedRate;
use ackline::framing::FrameCheck;
use ackline_embedded::serial::Runner;
use ackline_embedded::{Events, Receiver, Sender, State};
use board::uart;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::Timer;
use node::{BITS_PER_SECOND, CHANNEL, DATAGRAM_MAX, INTERVAL, Node, Storage};
use static_cell::StaticCell;
use telemetry::MESSAGE_MAX;

type Mutex = NoopRawMutex;
type Line = Runner<'static, Mutex, Storage, FixedRate, uart::Receiver, uart::Sender, DATAGRAM_MAX>;

#[embassy_executor::task]
async fn line(line: &'static mut Line) {
    line.run().await.expect("this UART has no errors");
}

#[embassy_executor::task]
async fn readings(node: &'static Node, sender: Sender<'static, Mutex, Storage, FixedRate>) {
    let mut buffer = [0; MESSAGE_MAX];
    while sender.send(CHANNEL, node.reading(&mut buffer)).await.is_ok() {
        node.on_sent();
        if !node.is_urgent() {
            Timer::after_millis(INTERVAL.as_millis() as u64).await;
        }
    }
}

#[embassy_executor::task]
async fn commands(node: &'static Node, mut receiver: Receiver<'static, Mutex, Storage, FixedRate>) {
    while receiver.recv_with(|delivery| node.on_command(delivery.payload)).await.is_ok() {}
}

#[embassy_executor::task]
async fn events(node: &'static Node, mut events: Events<'static, Mutex, Storage, FixedRate>) {
    loop {
        node.on_event(events.next().await);
    }
}

#[board::entry]
fn main() -> ! {
    board::start(|spawner| {
        static NODE: StaticCell<Node> = StaticCell::new();
        static STATE: StaticCell<State<Mutex, Storage, FixedRate>> = StaticCell::new();
        static LINE: StaticCell<Line> = StaticCell::new();
        let seed = board::entropy::seed();
        let node = &*NODE.init_with(|| Node::new(seed));
        let state = STATE.init_with(State::new);
        let (port, sender, receiver, news) =
            state.open(&node::serial(), FixedRate::new(BITS_PER_SECOND / 10), seed);
        let (output, input) = uart::open();
        sender.connect();
        let runner = LINE.init_with(|| Runner::new(port, input, output, FrameCheck::Crc32));
        spawner.spawn(line(runner).expect("spawned once"));
        spawner.spawn(readings(node, sender).expect("spawned once"));
        spawner.spawn(commands(node, receiver).expect("spawned once"));
        spawner.spawn(events(node, news).expect("spawned once"));
        defmt::info!("serial node, boot {=u64:x}", seed);
    })
}
