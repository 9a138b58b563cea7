//! The telemetry node on UDP, in one loop without an executor; the network by smoltcp.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::NewReno;
use ackline::{Instant, Link, SendError};
use ackline_embedded::smoltcp_014::Driver;
use board::ethernet::Ethernet;
use node::{ADDRESS, CHANNEL, DATAGRAM_MAX, DESKTOP, HARDWARE_ADDRESS, INTERVAL, Node, PORT, Storage};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::udp::{self, PacketBuffer, PacketMetadata};
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, Ipv4Address};
use static_cell::StaticCell;
use telemetry::MESSAGE_MAX;

type Udp = Driver<Storage, NewReno, DATAGRAM_MAX>;

fn now() -> Instant {
    Instant::from_micros(board::now_micros())
}

fn smoltcp_now() -> smoltcp::time::Instant {
    smoltcp::time::Instant::from_micros(board::now_micros() as i64)
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

/// Datagrams that the socket holds each way. A lone acknowledgement takes a place like any other.
const SLOTS: usize = 8;

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

/// Apart from `main`, whose frame stays: a link passes through the stack on its way into its static.
#[inline(never)]
fn open(seed: u64) -> &'static mut Udp {
    static UDP: StaticCell<Udp> = StaticCell::new();
    UDP.init_with(|| {
        let link = Link::new(&node::udp(), NewReno::new(), seed);
        Driver::new(link, Some(IpEndpoint::new(Ipv4Address::from(DESKTOP).into(), PORT)))
    })
}

#[board::entry]
fn main() -> ! {
    static ETHERNET: StaticCell<Ethernet> = StaticCell::new();
    board::start_clock();
    let seed = board::entropy::seed();
    let node = Node::new(seed);
    let ethernet = ETHERNET.init_with(|| Ethernet::new(HARDWARE_ADDRESS));
    let mut interface = interface(ethernet, seed);
    let mut storage = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let handle = sockets.add(socket());
    let driver = open(seed);
    driver.link().connect(now());
    defmt::info!("smoltcp node, boot {=u64:x}", seed);
    let mut next_reading = Instant::ZERO;
    let mut buffer = [0; MESSAGE_MAX];
    loop {
        interface.poll(smoltcp_now(), ethernet, &mut sockets);
        driver.step(now(), sockets.get_mut(handle));
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
        driver.step(now(), sockets.get_mut(handle));
        interface.poll(smoltcp_now(), ethernet, &mut sockets);
        // The clock ticks every millisecond, and the network interrupts.
        board::idle_until_interrupt();
    }
}
