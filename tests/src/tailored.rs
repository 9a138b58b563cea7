//! Tailored endpoints with everything on, under the simulator: against the full link and against themselves, in random
//! schedules with six channels of every mode.

use ackline::congestion::{FixedRate, NewReno, PathModel};
use ackline::storage::Heap;
use ackline::tailored::{Endpoint as Tailored, Media, Profile};
use ackline::{
    Channel, ChannelConfig, Config, DeliveryId, Instant, Link, MessageId, Mode::*, Receipt, Stats,
};

use crate::endpoint::{Boot, Endpoint, Factory, Micros, Notice, Refusal, Taken};
use crate::link::{AnyLink, PROBE_WAIT_MAX, Small, contract, notice_of, refusal_of, stream_framing};
use crate::net::Framing;
use crate::oracle::{Contract, PAYLOAD_LEN_MIN};
use crate::schedule::{Carrier, NodePlan, Schedule, Subject};

/// Every feature but those that a schedule has no room for: a link that keeps itself alive is never quiet, and one that gives up
/// does not converge.
#[derive(Clone, Copy, Debug)]
pub enum Everything {}

impl Profile for Everything {
    const MEDIA: Media = Media::Both;
    const CHANNELS: &'static [ChannelConfig] = &CHANNELS;
    const FRAGMENTS: bool = true;
    const SERVES: bool = true;
    type Deadline = Instant;
    type Counters = Stats;
}

const CHANNELS: [ChannelConfig; 6] = [
    ChannelConfig::new(Ordered),
    ChannelConfig::new(Unordered).priority(1),
    ChannelConfig::new(Latest),
    ChannelConfig::new(BestEffort).priority(2),
    ChannelConfig::new(Ordered).settle_explicitly(),
    ChannelConfig::new(Unordered).priority(3).settle_explicitly(),
];

/// What it uses of a slot is a little less, for the bitmap.
const BYTES: usize = 800;
type Node<const MESSAGES: usize, const DATAGRAM: usize> = Tailored<Everything, 6, MESSAGES, BYTES, DATAGRAM>;

impl<const CHANNELS: usize, const MESSAGES: usize, const BYTES: usize, const DATAGRAM: usize> Endpoint
    for Tailored<Everything, CHANNELS, MESSAGES, BYTES, DATAGRAM>
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
        let (now, channel) = (Instant::from_micros(now), Channel(channel));
        let result = match deadline {
            None => Self::send(self, now, channel, payload),
            Some(deadline) => self.send_before(now, channel, payload, Instant::from_micros(deadline)),
        };
        result.map_err(refusal_of)
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

    fn settle(&mut self, now: Micros, delivery: DeliveryId) -> bool {
        Self::settle(self, Instant::from_micros(now), delivery).is_ok()
    }

    fn poll_event(&mut self) -> Option<Notice<MessageId>> {
        let had = self.has_event();
        let event = Self::poll_event(self);
        assert_eq!(had, event.is_some(), "what has_event says");
        event.map(notice_of)
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

/// One or two tailored endpoints with everything on as the subject of random schedules, by the schedule's seed. A node with the
/// small storage is the tailored one.
pub struct AllFeatures;

/// Boots the links of one schedule.
pub struct AllFeaturesFactory {
    schedule: Schedule,
}

impl AllFeaturesFactory {
    fn full(&self, seed: u64) -> AnyLink {
        let mut config = match self.schedule.carrier {
            Carrier::Datagrams { .. } => Config::udp(),
            Carrier::Serial { baud } => Config::serial(baud),
        };
        config.repetition = self.schedule.repeats;
        let config = configured(config);
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

    fn compact(&self, seed: u64) -> AnyLink {
        let is_framed = matches!(self.schedule.carrier, Carrier::Serial { .. });
        if self.schedule.repeats {
            started(Node::<16, 512>::new(), is_framed, seed)
        } else {
            started(Node::<4, 240>::new(), is_framed, seed)
        }
    }
}

fn configured(mut config: Config) -> Config {
    config.channels[..CHANNELS.len()].copy_from_slice(&CHANNELS);
    config
}

fn started<const MESSAGES: usize, const DATAGRAM: usize>(
    mut link: Node<MESSAGES, DATAGRAM>,
    is_framed: bool,
    seed: u64,
) -> AnyLink {
    link.set_framed(is_framed);
    link.start(seed.max(1), if is_framed { 50_000 } else { 100_000 });
    Box::new(link)
}

impl Factory for AllFeaturesFactory {
    type Endpoint = AnyLink;

    fn boot(&mut self, mut boot: Boot<AnyLink>) -> AnyLink {
        match boot.memory.take() {
            Some(link) => link,
            None if self.schedule.nodes[boot.node].is_small => self.compact(boot.seed),
            None => self.full(boot.seed),
        }
    }
}

impl Subject for AllFeatures {
    type Factory = AllFeaturesFactory;

    fn adapt(&self, schedule: &Schedule) -> Schedule {
        let mut schedule = schedule.clone();
        let kind = schedule.seed % 3;
        schedule.nodes[0].is_small = kind != 1;
        schedule.nodes[1].is_small = kind != 0;
        for node in &mut schedule.nodes {
            node.keep_alive = None;
            node.give_up = None;
        }
        let shortest = PAYLOAD_LEN_MIN as u16;
        let longest = Node::<4, 240>::MESSAGE_MAX as u16;
        for flow in &mut schedule.flows {
            flow.channel %= CHANNELS.len() as u8;
            // One packet a round trip: hundreds of messages would take minutes.
            flow.count = flow.count % 12 + 1;
            flow.len_min = shortest + flow.len_min % (longest + 1 - shortest);
            flow.len_max = (shortest + flow.len_max % (longest + 1 - shortest)).max(flow.len_min);
        }
        schedule
    }

    fn factory(&self, schedule: &Schedule) -> AllFeaturesFactory {
        AllFeaturesFactory { schedule: schedule.clone() }
    }

    fn contract(&self, _: &NodePlan) -> Contract {
        let mut contract = contract(&configured(Config::udp()));
        contract.modes.truncate(CHANNELS.len());
        contract.is_explicit.truncate(CHANNELS.len());
        contract
    }

    fn framing(&self) -> fn() -> Box<dyn Framing> {
        stream_framing
    }

    fn probe_wait_max(&self) -> Micros {
        PROBE_WAIT_MAX
    }
}
