//! The telemetry node on a serial line: tasks on embassy's executor, the line through embedded-io-async.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::framing::FrameCheck;
use ackline_embedded::serial::Runner;
use ackline_embedded::{Events, Receiver, Sender, State};
use board::uart;
use node::{DATAGRAM_MAX, Node, SerialLink};
use static_cell::ConstStaticCell;

static STATE: ConstStaticCell<State<SerialLink, DATAGRAM_MAX>> = ConstStaticCell::new(State::new());

#[embassy_executor::task]
async fn line(mut line: Runner<'static, SerialLink, uart::Receiver, uart::Sender>) {
    line.run().await.expect("this UART has no errors");
}

#[embassy_executor::task]
async fn application(
    node: Node,
    sender: Sender<'static, SerialLink>,
    receiver: Receiver<'static, SerialLink>,
    events: Events<'static, SerialLink>,
) {
    node::tasks::run(node, sender, receiver, events).await;
}

#[board::entry]
fn main() -> ! {
    board::start(|spawner| {
        let (state, seed) = (STATE.take(), board::entropy::seed());
        node::start_serial(state.link(), seed);
        let (port, sender, receiver, events) = state.split();
        let (output, input) = uart::open();
        let runner = Runner::new(port, input, output, FrameCheck::Crc32);
        spawner.spawn(line(runner).expect("spawned once"));
        spawner.spawn(application(Node::new(seed), sender, receiver, events).expect("spawned once"));
    })
}
