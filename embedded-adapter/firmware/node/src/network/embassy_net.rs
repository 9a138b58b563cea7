//! embassy-net.

use board::ethernet::Ethernet;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Config, IpEndpoint, Ipv4Address, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4};
use static_cell::StaticCell;

use super::{ADDRESS, DESKTOP, HARDWARE_ADDRESS, HELD_MAX, PORT, SLOTS};

/// What the stack's own task runs.
pub type Network = Runner<'static, &'static mut Ethernet>;

/// Starts the stack, once. Returns a bound socket, where the desktop is, and what a task of its own has to run.
pub fn open() -> (UdpSocket<'static>, IpEndpoint, Network) {
    static ETHERNET: StaticCell<Ethernet> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<2>> = StaticCell::new();
    let ethernet = ETHERNET.init_with(|| Ethernet::new(HARDWARE_ADDRESS));
    ethernet.start();
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Address::from(ADDRESS), 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, network) = embassy_net::new(ethernet, config, resources, board::entropy::seed());
    (socket(stack), (Ipv4Address::from(DESKTOP), PORT).into(), network)
}

fn socket(stack: Stack<'static>) -> UdpSocket<'static> {
    static META: StaticCell<[[PacketMetadata; SLOTS]; 2]> = StaticCell::new();
    static DATA: StaticCell<[[u8; HELD_MAX]; 2]> = StaticCell::new();
    let [receive_meta, transmit_meta] = META.init_with(|| [[PacketMetadata::EMPTY; SLOTS]; 2]);
    let [received, transmit] = DATA.init_with(|| [[0; HELD_MAX]; 2]);
    let mut socket = UdpSocket::new(stack, receive_meta, received, transmit_meta, transmit);
    socket.bind(PORT).expect("a new socket");
    socket
}
