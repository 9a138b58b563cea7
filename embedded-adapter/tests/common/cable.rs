//! Two network stacks of embassy-net, joined by a cable made of memory.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};

use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{IpEndpoint, Ipv4Address, Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

/// IP packets that a cable holds each way. One, so that a socket has to wait for it.
const HELD_MAX: usize = 1;
const PORT: u16 = 7777;

/// One direction.
#[derive(Default)]
struct Lane {
    packets: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of the cable.
pub struct End {
    to: Rc<RefCell<Lane>>,
    from: Rc<RefCell<Lane>>,
    /// Packets that ever left this end.
    pub sent: Rc<Cell<u32>>,
}

/// A cable's two ends.
pub fn cable() -> (End, End) {
    let lanes = [Rc::<RefCell<Lane>>::default(), Rc::default()];
    let end = |to: usize| End { to: lanes[to].clone(), from: lanes[1 - to].clone(), sent: Rc::default() };
    (end(0), end(1))
}

pub struct Arrived(Vec<u8>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, read: F) -> R {
        read(&mut self.0)
    }
}

pub struct Leave<'a>(&'a End);

impl TxToken for Leave<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut packet = vec![0; len];
        let result = fill(&mut packet);
        let mut lane = self.0.to.borrow_mut();
        lane.packets.push_back(packet);
        self.0.sent.set(self.0.sent.get() + 1);
        if let Some(reader) = lane.reader.take() {
            reader.wake();
        }
        result
    }
}

impl Driver for End {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leave<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Arrived, Leave<'_>)> {
        let mut lane = self.from.borrow_mut();
        let Some(packet) = lane.packets.pop_front() else {
            lane.reader = Some(cx.waker().clone());
            return None;
        };
        if let Some(writer) = lane.writer.take() {
            writer.wake();
        }
        drop(lane);
        Some((Arrived(packet), Leave(self)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<Leave<'_>> {
        let mut lane = self.to.borrow_mut();
        if lane.packets.len() >= HELD_MAX {
            lane.writer = Some(cx.waker().clone());
            return None;
        }
        drop(lane);
        Some(Leave(self))
    }

    fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1500;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ip
    }
}

/// What a stack and its socket keep.
pub struct Memory {
    resources: StackResources<1>,
    received_meta: [PacketMetadata; 64],
    received: [u8; 8192],
    transmit_meta: [PacketMetadata; 2],
    transmit: [u8; 400],
}

impl Memory {
    pub fn new() -> Self {
        Memory {
            resources: StackResources::new(),
            received_meta: [PacketMetadata::EMPTY; 64],
            received: [0; 8192],
            transmit_meta: [PacketMetadata::EMPTY; 2],
            transmit: [0; 400],
        }
    }
}

pub type Network<'a> = embassy_net::Runner<'a, End>;

/// A stack with the address 10.0.0.`host` on `end`, and a bound socket with room for two datagrams to
/// send, and for more than can arrive before it is read: nothing is lost on the way.
pub fn socket(memory: &mut Memory, end: End, host: u8) -> (Network<'_>, UdpSocket<'_>) {
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(Ipv4Address::new(10, 0, 0, host), 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let Memory { resources, received_meta, received, transmit_meta, transmit } = memory;
    let (stack, network): (Stack<'_>, _) = embassy_net::new(end, config, resources, host.into());
    let mut socket = UdpSocket::new(stack, received_meta, received, transmit_meta, transmit);
    socket.bind(PORT).expect("a new socket");
    (network, socket)
}

/// Where `host` is.
pub fn address(host: u8) -> IpEndpoint {
    (Ipv4Address::new(10, 0, 0, host), PORT).into()
}
