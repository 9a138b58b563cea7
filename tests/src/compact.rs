//! The compact link under the simulator: against the full one and against itself, in random schedules.

use ackline::congestion::{FixedRate, NewReno, PathModel};
use ackline::storage::Heap;
use ackline::{Channel, ChannelConfig, Config, DeliveryId, Instant, Link, MessageId, Receipt, compact};

use crate::endpoint::{Boot, Endpoint, Factory, Micros, Mode, Notice, Refusal, Taken};
use crate::link::{AnyLink, PROBE_WAIT_MAX, Small, notice_of, refusal_of, stream_framing};
use crate::net::Framing;
use crate::oracle::{Contract, PAYLOAD_LEN_MIN};
use crate::schedule::{Carrier, NodePlan, Schedule, Subject};

/// The longest message of the compact links in schedules.
const BYTES: u16 = 64;

impl<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool> Endpoint
    for compact::Link<MESSAGES, BYTES, DATAGRAM, CHECKED>
{
    type MessageId = MessageId;
    type DeliveryId = DeliveryId;

    fn connect(&mut self, now: Micros) {
        Self::connect(self, Instant::from_micros(now));
    }

    fn send(
        &mut self,
        now: Micros,
        channel: u8,
        payload: &[u8],
        deadline: Option<Micros>,
    ) -> Result<MessageId, Refusal> {
        if deadline.is_some() {
            return Err(Refusal::NoSuchChannel);
        }
        Self::send(self, Instant::from_micros(now), Channel(channel), payload).map_err(refusal_of)
    }

    fn recv(&mut self, now: Micros, payload: &mut Vec<u8>) -> Option<Taken<DeliveryId>> {
        let delivery = Self::recv(self, Instant::from_micros(now))?;
        payload.clear();
        payload.extend_from_slice(delivery.payload);
        Some(Taken {
            delivery: delivery.id,
            channel: delivery.id.channel.0,
            redelivered: delivery.redelivered,
        })
    }

    fn settle(&mut self, _: Micros, _: DeliveryId) -> bool {
        // Taking has settled it.
        false
    }

    fn poll_event(&mut self) -> Option<Notice<MessageId>> {
        Self::poll_event(self).map(notice_of)
    }

    fn close(&mut self, now: Micros) {
        Self::close(self, Instant::from_micros(now));
    }

    fn abort(&mut self, now: Micros) {
        Self::abort(self, Instant::from_micros(now));
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) -> bool {
        Self::handle_datagram(self, Instant::from_micros(now), datagram) == Receipt::Accepted
    }

    fn handle_timeout(&mut self, now: Micros) {
        Self::handle_timeout(self, Instant::from_micros(now));
    }

    fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        Self::poll_transmit(self, Instant::from_micros(now), buffer)
    }

    fn poll_timeout(&self) -> Option<Micros> {
        Self::poll_timeout(self).map(Instant::as_micros)
    }

    fn is_connected(&self) -> bool {
        Self::is_connected(self)
    }

    fn is_closed(&self) -> bool {
        Self::is_closed(self)
    }
}

/// One or two compact links as the subject of random schedules, by the schedule's seed: a compact link and a full one, in both
/// roles, or two compact ones. A node with the small storage is the compact one.
///
/// There is one channel; the full link settles explicitly if its application works on messages for a while.
pub struct Compact;

/// Boots the links of one schedule.
pub struct CompactFactory {
    schedule: Schedule,
}

impl CompactFactory {
    fn full(&self, boot: &Boot<AnyLink>) -> AnyLink {
        let plan = &self.schedule.nodes[boot.node];
        let config = match self.schedule.carrier {
            Carrier::Datagrams { .. } => Config::udp(),
            Carrier::Serial { baud } => Config::serial(baud),
        };
        let mut channel = ChannelConfig::new(ackline::Mode::Ordered);
        if plan.settles_after > 0 {
            channel = channel.settle_explicitly();
        }
        let mut config = config.channel(0, channel);
        config.repetition = self.schedule.repeats;
        let seed = boot.seed;
        match (self.schedule.carrier, self.schedule.repeats) {
            (Carrier::Datagrams { .. }, false) => {
                Box::new(Link::<Heap, _>::new(&config, PathModel::new(), seed))
            }
            (Carrier::Datagrams { .. }, true) => {
                Box::new(Link::<Small, _>::new(&config, NewReno::new(), seed))
            }
            (Carrier::Serial { baud }, false) => {
                Box::new(Link::<Heap, _>::new(&config, FixedRate::new(baud / 10), seed))
            }
            (Carrier::Serial { baud }, true) => {
                Box::new(Link::<Small, _>::new(&config, FixedRate::new(baud / 10), seed))
            }
        }
    }

    fn compact(&self, boot: &Boot<AnyLink>) -> AnyLink {
        match self.schedule.carrier {
            Carrier::Datagrams { .. } if self.schedule.repeats => {
                started(compact::Datagrams::<8, { BYTES as usize }, 512>::new(), boot.seed)
            }
            Carrier::Datagrams { .. } => {
                started(compact::Datagrams::<4, { BYTES as usize }, 160>::new(), boot.seed)
            }
            Carrier::Serial { .. } if self.schedule.repeats => {
                started(compact::Serial::<4, { BYTES as usize }, 192>::new(), boot.seed)
            }
            Carrier::Serial { .. } => {
                started(compact::Serial::<1, { BYTES as usize }, 128>::new(), boot.seed)
            }
        }
    }
}

fn started<const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize, const CHECKED: bool>(
    mut link: compact::Link<MESSAGES, BYTES, DATAGRAM, CHECKED>,
    seed: u64,
) -> AnyLink {
    link.start(seed.max(1), if CHECKED { 100_000 } else { 50_000 });
    Box::new(link)
}

impl Factory for CompactFactory {
    type Endpoint = AnyLink;

    fn boot(&mut self, mut boot: Boot<AnyLink>) -> AnyLink {
        match boot.memory.take() {
            Some(link) => link,
            None if self.schedule.nodes[boot.node].is_small => self.compact(&boot),
            None => self.full(&boot),
        }
    }
}

impl Subject for Compact {
    type Factory = CompactFactory;

    fn adapt(&self, schedule: &Schedule) -> Schedule {
        let mut schedule = schedule.clone();
        let kind = schedule.seed % 3;
        schedule.nodes[0].is_small = kind != 1;
        schedule.nodes[1].is_small = kind != 0;
        for node in &mut schedule.nodes {
            // Over datagrams a compact link opens.
            let opens = node.is_small && matches!(schedule.carrier, Carrier::Datagrams { .. });
            node.connects |= opens;
            if node.is_small {
                node.settles_after = 0;
            }
        }
        let shortest = PAYLOAD_LEN_MIN as u16;
        for flow in &mut schedule.flows {
            flow.channel = 0;
            if matches!(schedule.carrier, Carrier::Datagrams { delay: 20_000.., .. }) {
                // One packet a round trip: a thousand messages would take minutes.
                flow.count = flow.count % 15 + 1;
            }
            flow.len_min = shortest + flow.len_min % (BYTES + 1 - shortest);
            flow.len_max = (shortest + flow.len_max % (BYTES + 1 - shortest)).max(flow.len_min);
            if schedule.nodes[usize::from(flow.node)].is_small {
                flow.deadline = None;
            }
        }
        schedule
    }

    fn factory(&self, schedule: &Schedule) -> CompactFactory {
        CompactFactory { schedule: schedule.clone() }
    }

    fn contract(&self, plan: &NodePlan) -> Contract {
        Contract {
            modes: vec![Mode::Ordered],
            is_explicit: vec![plan.settles_after > 0],
            has_keep_alive: false,
            give_up: None,
        }
    }

    fn framing(&self) -> fn() -> Box<dyn Framing> {
        stream_framing
    }

    fn probe_wait_max(&self) -> Micros {
        PROBE_WAIT_MAX
    }
}
