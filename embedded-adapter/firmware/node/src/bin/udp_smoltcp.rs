//! The telemetry node on UDP, in one loop without an executor; the network by smoltcp.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline_embedded::smoltcp_014::Driver;
use node::network::smoltcp::Network;
use node::polled::{Application, now};
use node::{DATAGRAM_MAX, Node, UdpLink};
use static_cell::ConstStaticCell;

static UDP: ConstStaticCell<Driver<UdpLink, DATAGRAM_MAX>> = ConstStaticCell::new(Driver::new());

#[board::entry]
fn main() -> ! {
    board::start_clock();
    let (udp, seed) = (UDP.take(), board::entropy::seed());
    let mut network = Network::open(seed);
    let mut application = Application::new(Node::new(seed));
    node::start_udp(udp.link(), seed);
    udp.link().connect(now());
    udp.set_peer(network.desktop());
    loop {
        network.poll();
        udp.step(now(), network.socket(), |link| application.turn(link));
        network.poll();
        // The clock ticks every millisecond, and the network interrupts.
        board::idle_until_interrupt();
    }
}
