//! TCP (smoltcp): messages with a four-byte length before each. smoltcp neither sends nor reads selective
//! acknowledgements, so that a kernel does better under loss: see `cubic`.

use std::collections::VecDeque;

use ackline_tests::endpoint::Micros;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::prefixed::Prefixed;
use crate::peer::{Datagram, Pair, Peer, Setting};

/// A network card made of two queues.
struct Card {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
    mtu: usize,
}

struct Receive(Vec<u8>);

impl RxToken for Receive {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Send<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Send<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = vec![0; len];
        let result = f(&mut packet);
        self.0.push_back(packet);
        result
    }
}

impl Device for Card {
    type RxToken<'a> = Receive;
    type TxToken<'a> = Send<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Receive, Send<'_>)> {
        Some((Receive(self.incoming.pop_front()?), Send(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Send<'_>> {
        Some(Send(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.max_transmission_unit = self.mtu;
        capabilities.medium = Medium::Ip;
        capabilities
    }
}

struct End {
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// The rest of a message that did not fit into the socket's buffer.
    unsent: VecDeque<u8>,
    incoming: Prefixed,
}

fn at(now: Micros) -> Instant {
    Instant::from_micros(now as i64)
}

/// CUBIC.
pub fn cubic(setting: &Setting) -> Pair {
    [1, 2].map(|host| end(setting, host, CongestionControl::Cubic))
}

/// Reno.
pub fn reno(setting: &Setting) -> Pair {
    [1, 2].map(|host| end(setting, host, CongestionControl::Reno))
}

fn end(setting: &Setting, host: u8, control: CongestionControl) -> Box<dyn Peer> {
    let buffer = || SocketBuffer::new(vec![0; (4 * setting.link.bdp()).clamp(64 * 1024, 4 << 20)]);
    let mut card = Card { incoming: VecDeque::new(), outgoing: VecDeque::new(), mtu: setting.mtu };
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = setting.seed + u64::from(host);
    let mut interface = Interface::new(config, &mut card, at(0));
    interface.update_ip_addrs(|addresses| {
        addresses.push(IpCidr::new(IpAddress::v4(10, 0, 0, host), 24)).expect("the first address");
    });
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_congestion_control(control);
    socket.set_nagle_enabled(false);
    if host == 1 {
        let remote = (IpAddress::v4(10, 0, 0, 2), 7_u16);
        socket.connect(interface.context(), remote, 40_000_u16).expect("a fresh socket");
    } else {
        socket.listen(7_u16).expect("a fresh socket");
    }
    let mut sockets = SocketSet::new(vec![]);
    let handle = sockets.add(socket);
    let mut end =
        End { card, interface, sockets, handle, unsent: VecDeque::new(), incoming: Prefixed::default() };
    end.poll(0);
    Box::new(end)
}

impl End {
    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn write(&mut self) {
        let socket: &mut Socket = self.sockets.get_mut(self.handle);
        while !self.unsent.is_empty() && socket.can_send() {
            let written = socket.send_slice(self.unsent.as_slices().0).unwrap_or(0);
            if written == 0 {
                break;
            }
            self.unsent.drain(..written);
        }
    }

    fn poll(&mut self, now: Micros) {
        self.write();
        self.interface.poll(at(now), &mut self.card, &mut self.sockets);
        let mut has_read = false;
        let socket: &mut Socket = self.sockets.get_mut(self.handle);
        while socket.can_recv() {
            let incoming = &mut self.incoming;
            let read = socket.recv(|bytes| {
                incoming.push(bytes);
                (bytes.len(), ())
            });
            has_read |= read.is_ok();
        }
        if has_read {
            // Room in the buffer may be worth an announcement.
            self.interface.poll(at(now), &mut self.card, &mut self.sockets);
        }
    }
}

impl Peer for End {
    fn send(&mut self, now: Micros, message: &[u8]) -> bool {
        self.write();
        if !self.unsent.is_empty() || !self.socket().can_send() {
            return false;
        }
        self.unsent.extend((message.len() as u32).to_le_bytes());
        self.unsent.extend(message);
        self.poll(now);
        true
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) {
        self.card.incoming.push_back(datagram.to_vec());
        self.poll(now);
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.poll(now);
    }

    fn poll_transmit(&mut self, _: Micros) -> Option<Datagram> {
        self.card.outgoing.pop_front().map(Datagram::from)
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        self.incoming.take()
    }

    fn poll_timeout(&mut self, now: Micros) -> Option<Micros> {
        self.interface.poll_at(at(now), &self.sockets).map(|at| at.total_micros().max(0) as Micros)
    }

    fn is_ready(&self) -> bool {
        self.sockets.get::<Socket>(self.handle).state() == State::Established
    }

    fn failure(&self) -> Option<String> {
        let is_closed = self.sockets.get::<Socket>(self.handle).state() == State::Closed;
        is_closed.then(|| "closed".into())
    }
}
