//! The compact endpoint: alone among hostile datagrams, and with a full or another compact one over a path that loses,
//! copies, reorders and damages as the engine says, with reboots. What was accepted has one outcome; what was settled was
//! delivered; a message comes once in each life of its receiver, in order; and when the path is clean, everything arrives.
#![no_main]

use ackline::compact::{Datagrams, Serial};
use ackline::congestion::FixedRate;
use ackline::storage::Inline;
use ackline::{Channel, Config, Event, Instant, Link, MessageId, SendError};
use ackline_fuzz::wire::seal_long;
use ackline_tests::random::Map;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

type Full = Link<Inline<1, 8, 1024, 16>, FixedRate>;

/// What both kinds of link can do.
trait Side {
    fn send(&mut self, now: Instant, payload: &[u8]) -> Result<MessageId, SendError>;
    fn recv(&mut self, now: Instant) -> Option<(Vec<u8>, bool)>;
    fn poll_event(&mut self) -> Option<Event>;
    fn handle_datagram(&mut self, now: Instant, datagram: &[u8]);
    fn handle_timeout(&mut self, now: Instant);
    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn abort(&mut self, now: Instant);
}

macro_rules! side {
    ($type:ty) => {
        impl Side for $type {
            fn send(&mut self, now: Instant, payload: &[u8]) -> Result<MessageId, SendError> {
                <$type>::send(self, now, Channel(0), payload)
            }
            fn recv(&mut self, now: Instant) -> Option<(Vec<u8>, bool)> {
                <$type>::recv(self, now).map(|d| (d.payload.to_vec(), d.redelivered))
            }
            fn poll_event(&mut self) -> Option<Event> {
                <$type>::poll_event(self)
            }
            fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
                let _ = <$type>::handle_datagram(self, now, datagram);
            }
            fn handle_timeout(&mut self, now: Instant) {
                <$type>::handle_timeout(self, now);
            }
            fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize> {
                <$type>::poll_transmit(self, now, buffer)
            }
            fn poll_timeout(&self) -> Option<Instant> {
                <$type>::poll_timeout(self)
            }
            fn abort(&mut self, now: Instant) {
                <$type>::abort(self, now);
            }
        }
    };
}

side!(Full);
side!(Serial<4, 64, 192>);
side!(Datagrams<4, 64, 192>);

#[derive(Arbitrary, Debug)]
enum Step {
    Send {
        second: bool,
        len: u8,
    },
    Recv {
        second: bool,
    },
    /// Carries what one side has emitted: `fates` says for each datagram what becomes of it.
    Carry {
        second: bool,
        fates: Vec<u8>,
    },
    Pass(u32),
    Stray {
        second: bool,
        sealed: bool,
        bytes: Vec<u8>,
    },
    Reboot {
        second: bool,
    },
}

#[derive(Arbitrary, Debug)]
struct Input {
    is_serial: bool,
    first_is_full: bool,
    steps: Vec<Step>,
}

/// One side and its books.
struct Node {
    link: Box<dyn Side>,
    kind: (bool, bool),
    life: u32,
    sent: u32,
    emitted: Vec<Vec<u8>>,
    outcomes: Map<MessageId, (u32, Option<Event>)>,
    /// (Life of the sender, its counter) of the last message taken in this life.
    last_taken: Option<(u32, u32)>,
    ever_taken: Vec<(u32, u32)>,
}

fn boot((is_serial, is_full): (bool, bool), seed: u64, now: Instant) -> Box<dyn Side> {
    match (is_serial, is_full) {
        (true, true) => {
            let mut config = Config::serial(115_200);
            (config.datagram_max, config.message_max, config.receive_window) = (192, 64, 4);
            let mut link = Full::new(&config, FixedRate::new(11_520), seed);
            link.connect(now);
            Box::new(link)
        }
        (false, true) => {
            let mut config = Config::udp();
            (config.datagram_max, config.message_max, config.receive_window) = (192, 64, 4);
            let mut link = Full::new(&config, FixedRate::new(11_520), seed);
            link.connect(now);
            Box::new(link)
        }
        (true, false) => {
            let mut link = Serial::<4, 64, 192>::new();
            link.start(seed, 50_000);
            link.connect(now);
            Box::new(link)
        }
        (false, false) => {
            let mut link = Datagrams::<4, 64, 192>::new();
            link.start(seed, 100_000);
            link.connect(now);
            Box::new(link)
        }
    }
}

struct World {
    now: Instant,
    nodes: [Node; 2],
    /// Somebody may have talked who is not a peer: only safety is asked for then on a framed medium, which trusts its line.
    is_spoiled: bool,
}

impl World {
    fn new(input: &Input) -> Self {
        let now = Instant::from_millis(1_000);
        let node = |index: u64, is_full: bool| Node {
            link: boot((input.is_serial, is_full), 100 + index, now),
            kind: (input.is_serial, is_full),
            life: 0,
            sent: 0,
            emitted: Vec::new(),
            outcomes: Map::default(),
            last_taken: None,
            ever_taken: Vec::new(),
        };
        World { now, nodes: [node(0, input.first_is_full), node(1, false)], is_spoiled: false }
    }

    fn send(&mut self, index: usize, len: u8) {
        let node = &mut self.nodes[index];
        let mut payload = node.life.to_le_bytes().to_vec();
        payload.extend(node.sent.to_le_bytes());
        payload.resize(8 + usize::from(len % 56), 0xa5);
        if let Ok(id) = node.link.send(self.now, &payload) {
            assert!(node.outcomes.insert(id, (node.sent, None)).is_none(), "{id:?} was used before");
            node.sent += 1;
        }
    }

    fn recv(&mut self, index: usize) {
        while let Some((payload, redelivered)) = self.nodes[index].link.recv(self.now) {
            if self.is_spoiled {
                continue;
            }
            let word = |at: usize| u32::from_le_bytes(payload[at..at + 4].try_into().expect("4 bytes"));
            let key = (word(0), word(4));
            assert!(payload[8..].iter().all(|&b| b == 0xa5));
            let node = &mut self.nodes[index];
            assert!(node.last_taken.is_none_or(|last| last < key), "{key:?} after {:?}", node.last_taken);
            assert!(redelivered || !node.ever_taken.contains(&key), "{key:?} again, and not flagged");
            node.last_taken = Some(key);
            node.ever_taken.push(key);
        }
    }

    fn events(&mut self, index: usize) {
        for round in 0.. {
            assert!(round < 200, "events without end");
            let Some(event) = self.nodes[index].link.poll_event() else { break };
            let (Event::Settled(id) | Event::Failed(id, _) | Event::Expired(id)) = event else { continue };
            let other = self.nodes[1 - index].ever_taken.clone();
            let node = &mut self.nodes[index];
            let (counter, outcome) =
                node.outcomes.get_mut(&id).unwrap_or_else(|| panic!("{event:?} was never sent"));
            assert_eq!(*outcome, None, "a second outcome: {event:?}");
            *outcome = Some(event);
            if matches!(event, Event::Settled(_)) && !self.is_spoiled {
                assert!(other.contains(&(node.life, *counter)), "{event:?}, but it was never taken");
            }
        }
    }

    fn transmit(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let mut buffer = [0; 1_200];
        for count in 0.. {
            assert!(count < 2_000, "emits without end");
            let Some(len) = node.link.poll_transmit(self.now, &mut buffer) else { break };
            assert!((1..=192).contains(&len));
            node.emitted.push(buffer[..len].to_vec());
        }
        // What a path can hold.
        let surplus = node.emitted.len().saturating_sub(64);
        node.emitted.drain(..surplus);
    }

    fn receive(&mut self, index: usize, datagram: &[u8]) {
        self.nodes[index].link.handle_datagram(self.now, datagram);
        self.transmit(index);
    }

    fn carry(&mut self, from: usize, fates: &[u8]) {
        let is_serial = self.nodes[from].kind.0;
        let mut left: Vec<Vec<u8>> = Vec::new();
        for (i, mut datagram) in std::mem::take(&mut self.nodes[from].emitted).into_iter().enumerate() {
            let fate = fates.get(i).copied().unwrap_or(0);
            match fate & 7 {
                1 | 2 => continue,
                // A serial line neither copies nor reorders, and damaged frames do not come through.
                3 if !is_serial => self.receive(1 - from, &datagram),
                4 if !is_serial => {
                    left.push(datagram);
                    continue;
                }
                5 if !is_serial => {
                    let at = usize::from(fate >> 3) % datagram.len();
                    datagram[at] ^= 1 << (fate & 3);
                }
                _ => {}
            }
            self.receive(1 - from, &datagram);
        }
        left.append(&mut self.nodes[from].emitted);
        self.nodes[from].emitted = left;
    }

    fn pass(&mut self, micros: u32) {
        let until = Instant::from_micros(self.now.as_micros() + u64::from(micros));
        let mut spins = 0;
        for round in 0.. {
            assert!(round < 20_000, "asks for the clock without end");
            let next = self.nodes.iter().filter_map(|n| n.link.poll_timeout()).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            spins = if at > self.now { 0 } else { spins + 1 };
            assert!(spins < 64, "asks for the clock at {at:?} again and again");
            self.now = self.now.max(at);
            for index in 0..2 {
                self.nodes[index].link.handle_timeout(self.now);
                self.transmit(index);
            }
        }
        self.now = until;
    }

    fn reboot(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.life += 1;
        node.link = boot(node.kind, 100 + index as u64 + 1_000 * u64::from(node.life), self.now);
        node.outcomes.clear();
        (node.sent, node.last_taken) = (0, None);
        if node.kind.0 {
            node.emitted.clear();
        }
    }

    /// The path is clean: everything that is owed comes.
    fn converge(&mut self) {
        for _ in 0..400 {
            for index in 0..2 {
                self.transmit(index);
                self.carry(index, &[]);
                self.recv(index);
                self.transmit(index);
                self.events(index);
            }
            self.pass(50_000);
        }
        for node in &self.nodes {
            let open =
                node.outcomes.values().find(|(_, outcome)| !matches!(outcome, Some(Event::Settled(_))));
            assert_eq!(open, None, "20 s of a clean path did not settle this");
        }
    }
}

fuzz_target!(|input: Input| {
    let mut world = World::new(&input);
    for step in &input.steps {
        match step {
            Step::Send { second, len } => world.send(usize::from(*second), *len),
            Step::Recv { second } => world.recv(usize::from(*second)),
            Step::Carry { second, fates } => world.carry(usize::from(*second), fates),
            Step::Pass(micros) => world.pass(micros % 3_000_000),
            Step::Stray { second, sealed, bytes } => {
                let seals = *sealed && !input.is_serial;
                // Only a medium without checks of its own, or a hello that anybody may say, can confuse who is who.
                world.is_spoiled |= input.is_serial || seals;
                let datagram = if seals { seal_long(bytes.clone()) } else { bytes.clone() };
                world.receive(usize::from(*second), &datagram);
            }
            Step::Reboot { second } => world.reboot(usize::from(*second)),
        }
        for index in 0..2 {
            world.transmit(index);
            world.events(index);
        }
    }
    if !world.is_spoiled {
        world.converge();
    }
    for node in &mut world.nodes {
        node.link.abort(world.now);
        while let Some(event) = node.link.poll_event() {
            if let Event::Settled(id) | Event::Failed(id, _) = event {
                let (_, outcome) = node.outcomes.get_mut(&id).expect("it was sent");
                assert_eq!(outcome.replace(event), None, "a second outcome");
            }
        }
        let open = node.outcomes.values().find(|(_, outcome)| outcome.is_none());
        assert_eq!(open, None, "no outcome at the end");
    }
});
