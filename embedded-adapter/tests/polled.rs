//! The drivers without an executor carry every link, called only when something has arrived or when they said.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use ackline::framing::FrameCheck;
use ackline::{Channel, CloseReason, Config, Event, Instant};
use ackline_embedded::{polled, smoltcp_014};
use common::exchange::{
    CompactDatagrams, CompactSerial, Full, TailoredDatagrams, TailoredSerial, Tested, message,
};
use embedded_io::{ErrorType, Read, ReadReady, Write};
use smoltcp::iface::{Interface, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint};

/// Messages each way.
const COUNT: u32 = 200;
const CHANNEL: Channel = Channel(0);
const PORT: u16 = 7777;

/// One side's application: sends as there is room, takes what arrives, and closes if it is the one that does.
#[derive(Default)]
struct Application {
    sent: u32,
    settled: u32,
    received: Vec<Vec<u8>>,
    closes: bool,
    closed: Option<CloseReason>,
}

impl Application {
    fn turn<L: Tested>(&mut self, now: Instant, link: &mut L) {
        while let Some(delivery) = link.recv(now) {
            self.received.push(delivery.payload.to_vec());
        }
        while let Some(event) = link.poll_event() {
            match event {
                Event::Settled(_) => self.settled += 1,
                Event::Closed(reason) => self.closed = Some(reason),
                Event::Connected | Event::Writable(_) => {}
                other => panic!("{other:?}"),
            }
        }
        while self.sent < COUNT && link.send(now, CHANNEL, &message(self.sent)).is_ok() {
            self.sent += 1;
        }
        if self.closes && self.settled == COUNT && self.received.len() == COUNT as usize {
            link.close(now);
        }
    }
}

/// Calls `step` of either side when `has_input` for it, or when it said at the last call, until both are closed.
fn exchange(
    clock: &Cell<Instant>,
    has_input: impl Fn(usize) -> bool,
    mut step: impl FnMut(usize, &mut Application) -> Option<Instant>,
) {
    let mut sides = [Application { closes: true, ..Application::default() }, Application::default()];
    let mut wakes = [Some(Instant::ZERO); 2];
    while sides.iter().any(|side| side.closed.is_none()) {
        let mut is_idle = true;
        for (at, side) in sides.iter_mut().enumerate() {
            if has_input(at) || wakes[at].is_some_and(|wake| wake <= clock.get()) {
                wakes[at] = step(at, side);
                is_idle = false;
            }
        }
        let next = wakes.iter().flatten().min();
        clock.set(match is_idle {
            true => *next.expect("there is something to wait for"),
            false => clock.get() + std::time::Duration::from_micros(100),
        });
        assert!(clock.get() < Instant::from_millis(600_000), "it does not end");
    }
    let expected: Vec<_> = (0..COUNT).map(message).collect();
    for side in &sides {
        assert_eq!((side.settled, &side.received), (COUNT, &expected));
    }
    let closed = sides.map(|side| side.closed);
    assert_eq!(closed, [Some(CloseReason::Drained), Some(CloseReason::Peer)]);
}

/// One direction of a line or cable. It loses every so-and-so-many-th of what enters.
struct Lane<T> {
    held: VecDeque<T>,
    entered: u32,
    loses_every: u32,
}

type Shared<T> = Rc<RefCell<Lane<T>>>;

fn lane<T>(loses_every: u32) -> Shared<T> {
    Rc::new(RefCell::new(Lane { held: VecDeque::new(), entered: 0, loses_every }))
}

impl<T> Lane<T> {
    fn push(&mut self, item: T) {
        self.entered += 1;
        if !self.entered.is_multiple_of(self.loses_every) {
            self.held.push_back(item);
        }
    }
}

/// One end of a serial line.
struct Uart(Shared<u8>);

impl ErrorType for Uart {
    type Error = Infallible;
}

impl ReadReady for Uart {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.borrow().held.is_empty())
    }
}

impl Read for Uart {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let held = &mut self.0.borrow_mut().held;
        let len = held.len().min(buffer.len());
        buffer.iter_mut().zip(held.drain(..len)).for_each(|(slot, byte)| *slot = byte);
        Ok(len)
    }
}

impl Write for Uart {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        bytes.iter().for_each(|byte| self.0.borrow_mut().push(*byte));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

fn over_serial<L: Tested>() {
    let clock = Cell::new(Instant::from_millis(1));
    let lanes = [lane(997), lane(997)];
    let mut drivers = [0, 1].map(|seed| {
        let mut driver = polled::Driver::<L, 192>::new(FrameCheck::Crc32);
        driver.link().begin(&Config::serial(115_200), 11_520, seed + 1);
        driver
    });
    drivers[0].link().connect(clock.get());
    let has_input = |at: usize| !lanes[at].borrow().held.is_empty();
    exchange(&clock, has_input, |at, side| {
        let (mut input, mut output) = (Uart(lanes[at].clone()), Uart(lanes[1 - at].clone()));
        let now = || clock.get();
        drivers[at].step(now, &mut input, &mut output, |link| side.turn(now(), link)).unwrap()
    });
    assert!(drivers.iter().all(|driver| driver.stats().frames_bad > 0), "nothing was lost");
}

#[test]
fn every_link_delivers_over_a_polled_serial_line_that_loses() {
    over_serial::<Full>();
    over_serial::<CompactSerial>();
    over_serial::<TailoredSerial>();
}

/// One end of a cable for IP packets.
struct End {
    from: Shared<Vec<u8>>,
    to: Shared<Vec<u8>>,
}

struct Arrived(Vec<u8>);
struct Leave<'a>(&'a Shared<Vec<u8>>);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Leave<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut packet = vec![0; len];
        let result = fill(&mut packet);
        self.0.borrow_mut().push(packet);
        result
    }
}

impl Device for End {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leave<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Arrived, Leave<'_>)> {
        let packet = self.from.borrow_mut().held.pop_front()?;
        Some((Arrived(packet), Leave(&self.to)))
    }
    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Leave<'_>> {
        Some(Leave(&self.to))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = (Medium::Ip, 1500);
        capabilities
    }
}

fn host(at: usize) -> IpAddress {
    IpAddress::v4(10, 0, 0, at as u8 + 1)
}

fn over_smoltcp<L: Tested>() {
    let clock = Cell::new(Instant::from_millis(1));
    let smoltcp_now = || smoltcp::time::Instant::from_micros(clock.get().as_micros() as i64);
    let lanes = [lane(13), lane(13)];
    let mut nodes = [0, 1].map(|at| {
        let mut end = End { from: lanes[at].clone(), to: lanes[1 - at].clone() };
        let config = smoltcp::iface::Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut end, smoltcp_now());
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(host(at), 24)).unwrap());
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; 4].leak(), vec![0; 1024].leak());
        let mut socket = Socket::new(buffer(), buffer());
        socket.bind(PORT).unwrap();
        let mut sockets = SocketSet::new(vec![SocketStorage::EMPTY].leak());
        let handle = sockets.add(socket);
        let mut driver = smoltcp_014::Driver::<L, 192>::new();
        driver.link().begin(&Config::udp(), 1_000_000, at as u64 + 1);
        (driver, interface, end, sockets, handle)
    });
    // The other side hears from whom.
    nodes[0].0.set_peer(IpEndpoint::new(host(1), PORT));
    nodes[0].0.link().connect(clock.get());
    let has_input = |at: usize| !lanes[at].borrow().held.is_empty();
    exchange(&clock, has_input, |at, side| {
        let (driver, interface, end, sockets, handle) = &mut nodes[at];
        interface.poll(smoltcp_now(), end, sockets);
        let now = clock.get();
        let wake = driver.step(now, sockets.get_mut(*handle), |link| side.turn(now, link));
        interface.poll(smoltcp_now(), end, sockets);
        wake
    });
}

#[test]
fn every_link_delivers_over_smoltcp_that_loses() {
    over_smoltcp::<Full>();
    over_smoltcp::<CompactDatagrams>();
    over_smoltcp::<TailoredDatagrams>();
}
