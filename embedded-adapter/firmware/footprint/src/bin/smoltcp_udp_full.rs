//! A UDP image: smoltcp over Ethernet, and one full link on its socket.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::NewReno;
use ackline::storage::Inline;
use ackline::{Channel, Config, Link};
use ackline_embedded::smoltcp_014::Driver;
use footprint::device::World;
use footprint::{now, transmit, wish};
use panic_halt as _;
use smoltcp::iface::{self, Interface, SocketSet, SocketStorage};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, Ipv4Address};
use static_cell::StaticCell;

const DATAGRAM_MAX: usize = 512;
type Udp = Driver<Link<Inline<1, 4, 512, 8>, NewReno>, DATAGRAM_MAX>;

fn smoltcp_now() -> Instant {
    Instant::from_micros(now().as_micros() as i64)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static WORLD: StaticCell<World> = StaticCell::new();
    static DATA: StaticCell<[[u8; 1024]; 2]> = StaticCell::new();
    static UDP: StaticCell<Udp> = StaticCell::new();
    let world = WORLD.init_with(World::new);
    let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
    let mut interface = Interface::new(iface::Config::new(hardware.into()), world, smoltcp_now());
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(Ipv4Address::new(10, 0, 2, 15).into(), 24));
    });
    let _ = interface.routes_mut().add_default_ipv4_route(Ipv4Address::new(10, 0, 2, 2));
    let [received, queued] = DATA.init_with(|| [[0; 1024]; 2]);
    let mut meta = [[udp::PacketMetadata::EMPTY; 4]; 2];
    let [receive_meta, transmit_meta] = &mut meta;
    let mut socket = udp::Socket::new(
        udp::PacketBuffer::new(&mut receive_meta[..], &mut received[..]),
        udp::PacketBuffer::new(&mut transmit_meta[..], &mut queued[..]),
    );
    let _ = socket.bind(7777);
    let mut storage = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let handle = sockets.add(socket);
    let driver = UDP.init_with(|| {
        let mut config = Config::udp();
        config.datagram_max = DATAGRAM_MAX as u16;
        let link = Link::new(&config, NewReno::new(), wish().into());
        Driver::new(link, Some(IpEndpoint::new(Ipv4Address::new(10, 0, 2, 2).into(), 7777)))
    });
    driver.link().connect(now());
    loop {
        interface.poll(smoltcp_now(), world, &mut sockets);
        driver.step(now(), sockets.get_mut(handle));
        let link = driver.link();
        while let Some(delivery) = link.recv(now()) {
            delivery.payload.iter().copied().for_each(transmit);
        }
        while link.poll_event().is_some() {}
        if wish() == 1 {
            let _ = link.send(now(), Channel(0), &[wish() as u8; 64]);
        }
    }
}
