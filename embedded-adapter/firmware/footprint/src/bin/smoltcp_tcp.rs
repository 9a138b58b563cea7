//! The same image with smoltcp's TCP instead: a client that reconnects, bytes both ways.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use footprint::device::World;
use footprint::{now, transmit, wish};
use panic_halt as _;
use smoltcp::iface::{self, Interface, SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};
use static_cell::StaticCell;

fn smoltcp_now() -> Instant {
    Instant::from_micros(now().as_micros() as i64)
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static WORLD: StaticCell<World> = StaticCell::new();
    static DATA: StaticCell<[[u8; 1024]; 2]> = StaticCell::new();
    let world = WORLD.init_with(World::new);
    let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
    let mut interface = Interface::new(iface::Config::new(hardware.into()), world, smoltcp_now());
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(Ipv4Address::new(10, 0, 2, 15).into(), 24));
    });
    let _ = interface.routes_mut().add_default_ipv4_route(Ipv4Address::new(10, 0, 2, 2));
    let [received, queued] = DATA.init_with(|| [[0; 1024]; 2]);
    let socket =
        tcp::Socket::new(tcp::SocketBuffer::new(&mut received[..]), tcp::SocketBuffer::new(&mut queued[..]));
    let mut storage = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let handle = sockets.add(socket);
    loop {
        interface.poll(smoltcp_now(), world, &mut sockets);
        let socket = sockets.get_mut::<tcp::Socket>(handle);
        if !socket.is_open() {
            let _ = socket.connect(interface.context(), (Ipv4Address::new(10, 0, 2, 2), 7777), 50_000);
        }
        let mut message = [0; 64];
        if socket.can_recv()
            && let Ok(len) = socket.recv_slice(&mut message)
        {
            message[..len].iter().copied().for_each(transmit);
        }
        if wish() == 1 && socket.can_send() {
            let _ = socket.send_slice(&[wish() as u8; 64]);
        }
    }
}
