//! ackline: the core alone, heap storage, one channel, defaults but for the size of datagrams.

use ackline::congestion::{Controller, FixedRate, PathModel};
use ackline::storage::Heap;
use ackline::{Channel, ChannelConfig, Config, Instant, Link, Mode};
use ackline_tests::endpoint::Micros;

use crate::peer::{Datagram, Pair, Peer, Setting};

struct End<C: Controller> {
    link: Link<Heap, C>,
    buffer: Vec<u8>,
}

fn at(now: Micros) -> Instant {
    Instant::from_micros(now)
}

/// One ordered channel.
pub fn ordered(setting: &Setting) -> Pair {
    pair(setting, Mode::Ordered, true)
}

/// One unordered channel.
pub fn unordered(setting: &Setting) -> Pair {
    pair(setting, Mode::Unordered, true)
}

/// One unordered channel, retransmission only.
pub fn without_repetition(setting: &Setting) -> Pair {
    pair(setting, Mode::Unordered, false)
}

fn pair(setting: &Setting, mode: Mode, repetition: bool) -> Pair {
    let is_serial = setting.link.serial_damage.is_some();
    // The simulated line carries 8 bits per byte; the configuration counts start and stop bits.
    let baud = (setting.link.rate * 10 / 8) as u32;
    let mut config = if is_serial { Config::serial(baud) } else { Config::udp() };
    config = config.channel(0, ChannelConfig::new(mode));
    config.datagram_max = setting.mtu as u16;
    config.repetition = repetition;
    [0, 1].map(|side| {
        let seed = 2 * setting.seed + side;
        if is_serial {
            end(Link::new(&config, FixedRate::new(baud / 10), seed), side == 0, setting.mtu)
        } else {
            end(Link::new(&config, PathModel::new(), seed), side == 0, setting.mtu)
        }
    })
}

fn end<C: Controller + 'static>(mut link: Link<Heap, C>, connects: bool, mtu: usize) -> Box<dyn Peer> {
    if connects {
        link.connect(Instant::ZERO);
    }
    Box::new(End { link, buffer: vec![0; mtu] })
}

impl<C: Controller> Peer for End<C> {
    fn send(&mut self, now: Micros, message: &[u8]) -> bool {
        self.link.send(at(now), Channel(0), message).is_ok()
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) {
        self.link.handle_datagram(at(now), datagram);
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.link.handle_timeout(at(now));
    }

    fn poll_transmit(&mut self, now: Micros) -> Option<Datagram> {
        while self.link.poll_event().is_some() {}
        let len = self.link.poll_transmit(at(now), &mut self.buffer)?;
        Some(self.buffer[..len].to_vec().into())
    }

    fn recv(&mut self, now: Micros) -> Option<Vec<u8>> {
        self.link.recv(at(now)).map(|delivery| delivery.payload.to_vec())
    }

    fn poll_timeout(&mut self, _: Micros) -> Option<Micros> {
        self.link.poll_timeout().map(Instant::as_micros)
    }

    fn is_ready(&self) -> bool {
        self.link.is_connected()
    }

    fn failure(&self) -> Option<String> {
        self.link.is_closed().then(|| "closed".into())
    }
}
