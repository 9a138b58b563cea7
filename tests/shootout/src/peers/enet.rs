//! ENet (rusty_enet). It cannot say when it next needs the clock, so it is serviced every millisecond, the resolution of
//! its own clock, and whenever something arrives.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use ackline_tests::endpoint::{MILLISECOND, Micros};
use rusty_enet::{EventNoRef, Host, HostSettings, MTU_MAX, Packet, PacketReceived, PeerID, Socket};

use crate::peer::{Datagram, Pair, Peer, Setting};

/// Sending to memory does not fail.
#[derive(Debug)]
struct Never;

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot happen")
    }
}

impl std::error::Error for Never {}

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

#[derive(Clone, Default)]
struct Wire {
    incoming: Queue,
    outgoing: Queue,
}

impl Socket for Wire {
    type Address = ();
    type Error = Never;

    fn send(&mut self, (): (), bytes: &[u8]) -> Result<usize, Never> {
        self.outgoing.borrow_mut().push_back(bytes.to_vec());
        Ok(bytes.len())
    }

    fn receive(&mut self, buffer: &mut [u8; MTU_MAX]) -> Result<Option<((), PacketReceived)>, Never> {
        Ok(self.incoming.borrow_mut().pop_front().map(|datagram| {
            buffer[..datagram.len()].copy_from_slice(&datagram);
            ((), PacketReceived::Complete(datagram.len()))
        }))
    }
}

struct End {
    host: Host<Wire>,
    wire: Wire,
    clock: Rc<Cell<Micros>>,
    peer: Option<PeerID>,
    channels: u8,
    next_channel: u8,
    incoming: VecDeque<Vec<u8>>,
    next_service: Micros,
    is_lost: bool,
    taken: usize,
}

/// ENet hides how much it holds and takes everything: so many messages a millisecond are more than any link here carries.
const TAKEN_MAX: usize = 64;

/// Everything on one channel, in order.
pub fn one_channel(setting: &Setting) -> Pair {
    pair(setting, 1)
}

/// Dealt out over 64 channels, so that few messages wait for each other.
pub fn many_channels(setting: &Setting) -> Pair {
    pair(setting, 64)
}

fn pair(setting: &Setting, channels: u8) -> Pair {
    [true, false].map(|connects| -> Box<dyn Peer> {
        let (wire, clock) = (Wire::default(), Rc::new(Cell::new(0)));
        let time = clock.clone();
        let settings = HostSettings {
            peer_limit: 1,
            channel_limit: usize::from(channels),
            // Not from 0: ENet takes a time of 0 for "never".
            time: Box::new(move || Duration::from_secs(1) + Duration::from_micros(time.get())),
            seed: Some(setting.seed as u32),
            ..HostSettings::default()
        };
        let mut host = Host::new(wire.clone(), settings).expect("the settings are in range");
        host.set_mtu(setting.mtu as u16).expect("at least 576");
        if connects {
            host.connect((), usize::from(channels), 0).expect("there is one peer");
        }
        Box::new(End {
            host,
            wire,
            clock,
            peer: None,
            channels,
            next_channel: 0,
            incoming: VecDeque::new(),
            next_service: 0,
            is_lost: false,
            taken: 0,
        })
    })
}

impl End {
    fn service(&mut self, now: Micros) {
        self.clock.set(now);
        while let Ok(Some(event)) = self.host.service() {
            match event.no_ref() {
                EventNoRef::Connect { peer, .. } => {
                    self.peer = Some(peer);
                    // Never give up: recovery is measured, not patience.
                    self.host.peer_mut(peer).set_timeout(u32::MAX, 1 << 30, 1 << 30);
                }
                EventNoRef::Disconnect { .. } => self.is_lost = true,
                EventNoRef::Receive { packet, .. } => self.incoming.push_back(packet.data().to_vec()),
            }
        }
    }
}

impl Peer for End {
    fn send(&mut self, now: Micros, message: &[u8]) -> bool {
        let Some(peer) = self.peer.filter(|_| self.taken < TAKEN_MAX) else { return false };
        self.taken += 1;
        let channel = self.next_channel;
        self.next_channel = (channel + 1) % self.channels;
        self.clock.set(now);
        let is_taken = self.host.peer_mut(peer).send(channel, &Packet::reliable(message)).is_ok();
        self.host.flush();
        is_taken
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) {
        self.wire.incoming.borrow_mut().push_back(datagram.to_vec());
        self.service(now);
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.service(now);
        self.taken = 0;
        self.next_service = now + MILLISECOND;
    }

    fn poll_transmit(&mut self, _: Micros) -> Option<Datagram> {
        self.wire.outgoing.borrow_mut().pop_front().map(Datagram::from)
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        self.incoming.pop_front()
    }

    fn poll_timeout(&mut self, _: Micros) -> Option<Micros> {
        Some(self.next_service)
    }

    fn is_ready(&self) -> bool {
        self.peer.is_some()
    }

    fn failure(&self) -> Option<String> {
        self.is_lost.then(|| "disconnected".into())
    }
}
