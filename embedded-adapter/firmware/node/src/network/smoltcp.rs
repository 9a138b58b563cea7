//! smoltcp.

use board::ethernet::Ethernet;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint, Ipv4Address};
use static_cell::StaticCell;

use super::{ADDRESS, DESKTOP, HARDWARE_ADDRESS, HELD_MAX, PORT, SLOTS};

/// The stack, and a bound socket.
pub struct Network {
    ethernet: &'static mut Ethernet,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Network {
    /// Starts the stack, once.
    pub fn open(seed: u64) -> Self {
        static ETHERNET: StaticCell<Ethernet> = StaticCell::new();
        static STORAGE: StaticCell<[SocketStorage<'static>; 1]> = StaticCell::new();
        let ethernet = ETHERNET.init_with(|| Ethernet::new(HARDWARE_ADDRESS));
        ethernet.start();
        let mut config = Config::new(EthernetAddress(HARDWARE_ADDRESS).into());
        config.random_seed = seed;
        let mut interface = Interface::new(config, ethernet, now());
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(Ipv4Address::from(ADDRESS).into(), 24)).expect("room for one address");
        });
        let mut sockets = SocketSet::new(&mut STORAGE.init_with(|| [SocketStorage::EMPTY])[..]);
        let handle = sockets.add(socket());
        Network { ethernet, interface, sockets, handle }
    }

    /// Where the desktop is.
    pub fn desktop(&self) -> IpEndpoint {
        IpEndpoint::new(Ipv4Address::from(DESKTOP).into(), PORT)
    }

    /// Moves what has arrived into the socket, and what it has to send out of it.
    pub fn poll(&mut self) {
        self.interface.poll(now(), self.ethernet, &mut self.sockets);
    }

    /// The socket.
    pub fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }
}

fn now() -> Instant {
    Instant::from_micros(board::now_micros() as i64)
}

fn socket() -> Socket<'static> {
    static META: StaticCell<[[PacketMetadata; SLOTS]; 2]> = StaticCell::new();
    static DATA: StaticCell<[[u8; HELD_MAX]; 2]> = StaticCell::new();
    let [receive_meta, transmit_meta] = META.init_with(|| [[PacketMetadata::EMPTY; SLOTS]; 2]);
    let [received, transmit] = DATA.init_with(|| [[0; HELD_MAX]; 2]);
    let receive = PacketBuffer::new(&mut receive_meta[..], &mut received[..]);
    let transmit = PacketBuffer::new(&mut transmit_meta[..], &mut transmit[..]);
    let mut socket = Socket::new(receive, transmit);
    socket.bind(PORT).expect("a new socket");
    socket
}
