//! The telemetry node on UDP, in one loop without an executor; the network by smoltcp.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline_embedded::smoltcp_014::Driver;
use board::ethernet::Ethernet;
use node::polled::{Application, now};
use node::{ADDRESS, DATAGRAM_MAX, DESKTOP, HARDWARE_ADDRESS, Node, PORT, SLOTS, UdpLink};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::udp::{self, PacketBuffer, PacketMetadata};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, Ipv4Address};
use static_cell::{ConstStaticCell, StaticCell};

static UDP: ConstStaticCell<Driver<UdpLink, DATAGRAM_MAX>> = ConstStaticCell::new(Driver::new());

fn smoltcp_now() -> Instant {
    Instant::from_micros(board::now_micros() as i64)
}

fn interface(ethernet: &mut Ethernet, seed: u64) -> Interface {
    ethernet.start();
    let mut config = Config::new(EthernetAddress(HARDWARE_ADDRESS).into());
    config.random_seed = seed;
    let mut interface = Interface::new(config, ethernet, smoltcp_now());
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(Ipv4Address::from(ADDRESS).into(), 24)).expect("room for one address");
    });
    interface
}

/// A socket with room for four full datagrams each way.
fn socket() -> udp::Socket<'static> {
    static META: StaticCell<[[PacketMetadata; SLOTS]; 2]> = StaticCell::new();
    static DATA: StaticCell<[[u8; 4 * DATAGRAM_MAX]; 2]> = StaticCell::new();
    let [receive_meta, transmit_meta] = META.init_with(|| [[PacketMetadata::EMPTY; SLOTS]; 2]);
    let [received, transmit] = DATA.init_with(|| [[0; 4 * DATAGRAM_MAX]; 2]);
    let receive = PacketBuffer::new(&mut receive_meta[..], &mut received[..]);
    let transmit = PacketBuffer::new(&mut transmit_meta[..], &mut transmit[..]);
    let mut socket = udp::Socket::new(receive, transmit);
    socket.bind(PORT).expect("a new socket");
    socket
}

#[board::entry]
fn main() -> ! {
    static ETHERNET: StaticCell<Ethernet> = StaticCell::new();
    board::start_clock();
    let (udp, seed) = (UDP.take(), board::entropy::seed());
    let ethernet = ETHERNET.init_with(|| Ethernet::new(HARDWARE_ADDRESS));
    let mut interface = interface(ethernet, seed);
    let mut storage = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let handle = sockets.add(socket());
    let mut application = Application::new(Node::new(seed));
    node::start_udp(udp.link(), seed);
    udp.link().connect(now());
    udp.set_peer(IpEndpoint::new(Ipv4Address::from(DESKTOP).into(), PORT));
    loop {
        interface.poll(smoltcp_now(), ethernet, &mut sockets);
        udp.step(now(), sockets.get_mut(handle), |link| application.turn(link));
        interface.poll(smoltcp_now(), ethernet, &mut sockets);
        // The clock ticks every millisecond, and the network interrupts.
        board::idle_until_interrupt();
    }
}
