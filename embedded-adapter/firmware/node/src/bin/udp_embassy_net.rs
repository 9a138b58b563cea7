//! The telemetry node on UDP: tasks on embassy's executor, the network by embassy-net.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline_embedded::embassy_net_09::Runner;
use ackline_embedded::{Events, Receiver, Sender, State};
use node::network::embassy_net as net;
use node::{DATAGRAM_MAX, Node, UdpLink};
use static_cell::ConstStaticCell;

static STATE: ConstStaticCell<State<UdpLink, DATAGRAM_MAX>> = ConstStaticCell::new(State::new());

#[embassy_executor::task]
async fn network(mut network: net::Network) {
    network.run().await
}

#[embassy_executor::task]
async fn udp(mut udp: Runner<'static, UdpLink>) {
    udp.run().await.expect("the socket is bound, and its buffers are large enough");
}

#[embassy_executor::task]
async fn application(
    node: Node,
    sender: Sender<'static, UdpLink>,
    receiver: Receiver<'static, UdpLink>,
    events: Events<'static, UdpLink>,
) {
    node::tasks::run(node, sender, receiver, events).await;
}

#[board::entry]
fn main() -> ! {
    board::start(|spawner| {
        let (state, seed) = (STATE.take(), board::entropy::seed());
        node::start_udp(state.link(), seed);
        let (port, sender, receiver, events) = state.split();
        let (socket, desktop, stack) = net::open();
        let runner = Runner::new(port, socket, Some(desktop));
        spawner.spawn(network(stack).expect("spawned once"));
        spawner.spawn(udp(runner).expect("spawned once"));
        spawner.spawn(application(Node::new(seed), sender, receiver, events).expect("spawned once"));
    })
}
