//! The telemetry node on UDP: tasks on embassy's executor, the network by embassy-net.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline_embedded::embassy_net_09::Runner;
use ackline_embedded::{Events, Receiver, Sender, State};
use board::ethernet::Ethernet;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use node::{ADDRESS, DATAGRAM_MAX, DESKTOP, HARDWARE_ADDRESS, Node, PORT, SLOTS, UdpLink};
use static_cell::{ConstStaticCell, StaticCell};

static STATE: ConstStaticCell<State<UdpLink, DATAGRAM_MAX>> = ConstStaticCell::new(State::new());

#[embassy_executor::task]
async fn network(mut network: embassy_net::Runner<'static, &'static mut Ethernet>) {
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

/// A socket with room for four full datagrams each way.
fn socket(stack: Stack<'static>) -> UdpSocket<'static> {
    static META: StaticCell<[[PacketMetadata; SLOTS]; 2]> = StaticCell::new();
    static DATA: StaticCell<[[u8; 4 * DATAGRAM_MAX]; 2]> = StaticCell::new();
    let [receive_meta, transmit_meta] = META.init_with(|| [[PacketMetadata::EMPTY; SLOTS]; 2]);
    let [received, transmit] = DATA.init_with(|| [[0; 4 * DATAGRAM_MAX]; 2]);
    let mut socket = UdpSocket::new(stack, receive_meta, received, transmit_meta, transmit);
    socket.bind(PORT).expect("a new socket");
    socket
}

fn stack() -> (Stack<'static>, embassy_net::Runner<'static, &'static mut Ethernet>) {
    static ETHERNET: StaticCell<Ethernet> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<2>> = StaticCell::new();
    let ethernet = ETHERNET.init_with(|| Ethernet::new(HARDWARE_ADDRESS));
    ethernet.start();
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Address::from(ADDRESS), 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    embassy_net::new(ethernet, config, RESOURCES.init_with(StackResources::new), board::entropy::seed())
}

#[board::entry]
fn main() -> ! {
    board::start(|spawner| {
        let (state, seed) = (STATE.take(), board::entropy::seed());
        node::start_udp(state.link(), seed);
        let (port, sender, receiver, events) = state.split();
        let (stack, runner) = stack();
        let desktop = (Ipv4Address::from(DESKTOP), PORT).into();
        let carrier = Runner::new(port, socket(stack), Some(desktop));
        spawner.spawn(network(runner).expect("spawned once"));
        spawner.spawn(udp(carrier).expect("spawned once"));
        spawner.spawn(application(Node::new(seed), sender, receiver, events).expect("spawned once"));
    })
}
