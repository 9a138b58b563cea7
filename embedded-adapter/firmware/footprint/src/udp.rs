//! A link on a UDP socket of smoltcp, over an Ethernet device made of the world's bytes.

use ackline_embedded::Drive;
use ackline_embedded::smoltcp_014::Driver;
use smoltcp::iface::{SocketSet, SocketStorage};
use smoltcp::socket::udp;
use smoltcp::wire::IpEndpoint;
use static_cell::StaticCell;

use crate::device::{PEER, World, interface, smoltcp_now};
use crate::line::application;
use crate::now;

/// Opens the link of `driver`, which was started, and carries datagrams for ever.
#[inline(always)]
pub fn run<const N: usize>(driver: &mut Driver<impl Drive, N>) -> ! {
    static WORLD: StaticCell<World> = StaticCell::new();
    static DATA: StaticCell<[[u8; 1024]; 2]> = StaticCell::new();
    let world = WORLD.init_with(World::new);
    let mut interface = interface(world);
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
    driver.set_peer(IpEndpoint::new(PEER.into(), 7777));
    driver.link().connect(now());
    loop {
        interface.poll(smoltcp_now(), world, &mut sockets);
        driver.step(now(), sockets.get_mut(handle), |link| application(link, &[0x5A; 64]));
    }
}
