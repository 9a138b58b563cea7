//! The telemetry node on UDP: tasks on embassy's executor, the network by embassy-net.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::NewReno;
use ackline_embedded::embassy_net_09::Runner;
use ackline_embedded::{Events, Receiver, Sender, State};
use board::ethernet::Ethernet;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::Timer;
use node::{ADDRESS, CHANNEL, DATAGRAM_MAX, DESKTOP, HARDWARE_ADDRESS, INTERVAL, Node, PORT, Storage};
use static_cell::StaticCell;
use telemetry::MESSAGE_MAX;

type Mutex = NoopRawMutex;
type Udp = Runner<'static, Mutex, Storage, NewReno, DATAGRAM_MAX>;

#[embassy_executor::task]
async fn network(mut network: embassy_net::Runner<'static, &'static mut Ethernet>) {
    network.run().await
}

#[embassy_executor::task]
async fn udp(udp: &'static mut Udp) {
    udp.run().await.expect("the socket is bound, and its buffers are large enough");
}

#[embassy_executor::task]
async fn readings(node: &'static Node, sender: Sender<'static, Mutex, Storage, NewReno>) {
    let mut buffer = [0; MESSAGE_MAX];
    while sender.send(CHANNEL, node.reading(&mut buffer)).await.is_ok() {
        node.on_sent();
        if !node.is_urgent() {
            Timer::after_millis(INTERVAL.as_millis() as u64).await;
        }
    }
}

#[embassy_executor::task]
async fn commands(node: &'static Node, mut receiver: Receiver<'static, Mutex, Storage, NewReno>) {
    while receiver.recv_with(|delivery| node.on_command(delivery.payload)).await.is_ok() {}
}

#[embassy_executor::task]
async fn events(node: &'static Node, mut events: Events<'static, Mutex, Storage, NewReno>) {
    loop {
        node.on_event(events.next().await);
    }
}

/// Datagrams that the socket holds each way. A lone acknowledgement takes a place like any other.
const SLOTS: usize = 8;

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

fn stack(seed: u64) -> (Stack<'static>, embassy_net::Runner<'static, &'static mut Ethernet>) {
    static ETHERNET: StaticCell<Ethernet> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<2>> = StaticCell::new();
    let ethernet = ETHERNET.init_with(|| Ethernet::new(HARDWARE_ADDRESS));
    ethernet.start();
    let [a, b, c, d] = ADDRESS;
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Address::new(a, b, c, d), 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    embassy_net::new(ethernet, config, RESOURCES.init_with(StackResources::new), seed)
}

#[board::entry]
fn main() -> ! {
    board::start(|spawner| {
        static NODE: StaticCell<Node> = StaticCell::new();
        static STATE: StaticCell<State<Mutex, Storage, NewReno>> = StaticCell::new();
        static UDP: StaticCell<Udp> = StaticCell::new();
        let seed = board::entropy::seed();
        let node = &*NODE.init_with(|| Node::new(seed));
        let state = STATE.init_with(State::new);
        let (port, sender, receiver, news) = state.open(&node::udp(), NewReno::default(), seed);
        let (stack, runner) = stack(seed);
        let desktop = (Ipv4Address::from(DESKTOP), PORT).into();
        sender.connect();
        spawner.spawn(network(runner).expect("spawned once"));
        let carrier = UDP.init_with(|| Runner::new(port, socket(stack), Some(desktop)));
        spawner.spawn(udp(carrier).expect("spawned once"));
        spawner.spawn(readings(node, sender).expect("spawned once"));
        spawner.spawn(commands(node, receiver).expect("spawned once"));
        spawner.spawn(events(node, news).expect("spawned once"));
        defmt::info!("embassy-net node, boot {=u64:x}", seed);
    })
}
