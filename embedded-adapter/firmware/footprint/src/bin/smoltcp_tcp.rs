//! The same image with smoltcp's TCP instead: a client that reconnects, bytes both ways.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use footprint::device::{PEER, World, interface, smoltcp_now};
use footprint::{transmit, wish};
use panic_halt as _;
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::socket::tcp;
use static_cell::StaticCell;

#[cortex_m_rt::entry]
fn main() -> ! {
    static WORLD: StaticCell<World> = StaticCell::new();
    static DATA: StaticCell<[[u8; 1024]; 2]> = StaticCell::new();
    let world = WORLD.init_with(World::new);
    let mut interface = interface(world);
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
            let _ = socket.connect(interface.context(), (PEER, 7777), 50_000);
        }
        let mut message = [0; 64];
        if socket.can_recv()
            && let Ok(len) = socket.recv_slice(&mut message)
        {
            message.iter().copied().take(len).for_each(transmit);
        }
        if wish() == 1 && socket.can_send() {
            let _ = socket.send_slice(&[wish() as u8; 64]);
        }
    }
}
