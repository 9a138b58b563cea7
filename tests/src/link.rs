//! ackline itself under the simulator: [`Link`] as an [`Endpoint`], its framing, and the subject of random schedules.

use std::time::Duration;

use ackline::congestion::{Controller, FixedRate, NewReno, PathModel};
use ackline::framing::{Deframer, FrameCheck, encode, encoded_len_max};
use ackline::storage::{Heap, Inline, Storage};
use ackline::wire::first_byte;
use ackline::{
    Channel, ChannelConfig, CloseReason, Config, DeliveryId, Event, FailReason, Instant, Link, MessageId,
    Receipt, SendError,
};

use crate::endpoint::{
    Boot, Ending, Endpoint, Factory, Failure, Micros, Mode, Notice, Outcome, Refusal, SECOND, Taken,
};
use crate::gate::Gate;
use crate::net::Framing;
use crate::oracle::Contract;
use crate::schedule::{Carrier, NodePlan, Schedule, Subject};

/// The small storage of schedules: 6 channels of 16 messages and 4 KiB each way, 32 packets in flight.
pub type Small = Inline<6, 16, 4096, 32>;

/// Any link, whatever its storage and its congestion control.
pub type AnyLink = Box<dyn Endpoint<MessageId = MessageId, DeliveryId = DeliveryId>>;

fn at(micros: Micros) -> Instant {
    Instant::from_micros(micros)
}

impl<S: Storage, C: Controller> Endpoint for Link<S, C> {
    type MessageId = MessageId;
    type DeliveryId = DeliveryId;

    fn connect(&mut self, now: Micros) {
        Link::connect(self, at(now));
    }

    fn send(
        &mut self,
        now: Micros,
        channel: u8,
        payload: &[u8],
        deadline: Option<Micros>,
    ) -> Result<MessageId, Refusal> {
        let result = match deadline {
            None => Link::send(self, at(now), Channel(channel), payload),
            Some(deadline) => self.send_before(at(now), Channel(channel), payload, at(deadline)),
        };
        result.map_err(refusal_of)
    }

    fn recv(&mut self, now: Micros, payload: &mut Vec<u8>) -> Option<Taken<DeliveryId>> {
        let delivery = Link::recv(self, at(now))?;
        payload.clear();
        payload.extend_from_slice(delivery.payload);
        Some(Taken {
            delivery: delivery.id,
            channel: delivery.id.channel.0,
            redelivered: delivery.redelivered,
        })
    }

    fn settle(&mut self, now: Micros, delivery: DeliveryId) -> bool {
        Link::settle(self, at(now), delivery).is_ok()
    }

    fn poll_event(&mut self) -> Option<Notice<MessageId>> {
        Link::poll_event(self).map(notice_of)
    }

    fn close(&mut self, now: Micros) {
        Link::close(self, at(now));
    }

    fn abort(&mut self, now: Micros) {
        Link::abort(self, at(now));
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) -> bool {
        // Whoever sends a reset knows nothing of the peer: nothing was heard of it.
        let is_reset = datagram.first() == Some(&first_byte::RESET);
        Link::handle_datagram(self, at(now), datagram) == Receipt::Accepted && !is_reset
    }

    fn handle_timeout(&mut self, now: Micros) {
        Link::handle_timeout(self, at(now));
    }

    fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        Link::poll_transmit(self, at(now), buffer)
    }

    fn poll_timeout(&self) -> Option<Micros> {
        Link::poll_timeout(self).map(Instant::as_micros)
    }

    fn is_connected(&self) -> bool {
        Link::is_connected(self)
    }

    fn is_closed(&self) -> bool {
        Link::is_closed(self)
    }
}

pub(crate) fn refusal_of(error: SendError) -> Refusal {
    match error {
        SendError::Full => Refusal::Full,
        SendError::TooLarge { .. } => Refusal::TooLarge,
        SendError::Closed => Refusal::Closed,
        _ => Refusal::NoSuchChannel,
    }
}

pub(crate) fn notice_of(event: Event) -> Notice<MessageId> {
    match event {
        Event::Connected => Notice::Connected,
        Event::Settled(id) => Notice::Outcome(id, Outcome::Settled),
        Event::Expired(id) => Notice::Outcome(id, Outcome::Expired),
        Event::Failed(id, reason) => Notice::Outcome(id, Outcome::Failed(failure(reason))),
        Event::Writable(channel) => Notice::Writable(channel.0),
        Event::PeerRestarted => Notice::PeerRestarted,
        Event::Closed(reason) => Notice::Closed(ending(reason)),
        other => unreachable!("an event that the simulator does not know: {other:?}"),
    }
}

fn failure(reason: FailReason) -> Failure {
    match reason {
        FailReason::Lost => Failure::Lost,
        FailReason::Superseded => Failure::Superseded,
        FailReason::PeerClosed => Failure::PeerClosed,
        FailReason::Closed => Failure::Closed,
        FailReason::Unreachable => Failure::Unreachable,
        FailReason::TooLarge => Failure::TooLarge,
        _ => Failure::Other,
    }
}

fn ending(reason: CloseReason) -> Ending {
    match reason {
        CloseReason::Drained => Ending::Drained,
        CloseReason::Aborted => Ending::Aborted,
        CloseReason::Peer => Ending::Peer,
        CloseReason::Unreachable => Ending::Unreachable,
        _ => Ending::Other,
    }
}

impl Endpoint for AnyLink {
    type MessageId = MessageId;
    type DeliveryId = DeliveryId;

    fn connect(&mut self, now: Micros) {
        (**self).connect(now);
    }
    fn send(
        &mut self,
        now: Micros,
        channel: u8,
        payload: &[u8],
        deadline: Option<Micros>,
    ) -> Result<MessageId, Refusal> {
        (**self).send(now, channel, payload, deadline)
    }
    fn recv(&mut self, now: Micros, payload: &mut Vec<u8>) -> Option<Taken<DeliveryId>> {
        (**self).recv(now, payload)
    }
    fn settle(&mut self, now: Micros, delivery: DeliveryId) -> bool {
        (**self).settle(now, delivery)
    }
    fn poll_event(&mut self) -> Option<Notice<MessageId>> {
        (**self).poll_event()
    }
    fn close(&mut self, now: Micros) {
        (**self).close(now);
    }
    fn abort(&mut self, now: Micros) {
        (**self).abort(now);
    }
    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) -> bool {
        (**self).handle_datagram(now, datagram)
    }
    fn handle_timeout(&mut self, now: Micros) {
        (**self).handle_timeout(now);
    }
    fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        (**self).poll_transmit(now, buffer)
    }
    fn poll_timeout(&self) -> Option<Micros> {
        (**self).poll_timeout()
    }
    fn is_connected(&self) -> bool {
        (**self).is_connected()
    }
    fn is_closed(&self) -> bool {
        (**self).is_closed()
    }
}

/// Boots links of one storage and controller. A node that keeps its memory goes on as it was.
pub struct LinkFactory<S: Storage, C: Controller> {
    config: Box<dyn Fn(usize) -> Config>,
    controller: fn() -> C,
    storage: std::marker::PhantomData<S>,
}

impl<S: Storage, C: Controller> LinkFactory<S, C> {
    /// Links of one configuration.
    pub fn new(config: Config, controller: fn() -> C) -> Self {
        Self::each(move |_| config.clone(), controller)
    }

    /// Links whose configuration depends on the node.
    pub fn each(config: impl Fn(usize) -> Config + 'static, controller: fn() -> C) -> Self {
        LinkFactory { config: Box::new(config), controller, storage: std::marker::PhantomData }
    }
}

/// Links with heap storage and the internet's congestion control.
pub fn heap_links(config: Config) -> LinkFactory<Heap, PathModel> {
    LinkFactory::new(config, PathModel::new)
}

impl<S: Storage, C: Controller> Factory for LinkFactory<S, C> {
    type Endpoint = Link<S, C>;

    fn boot(&mut self, boot: Boot<Self::Endpoint>) -> Self::Endpoint {
        boot.memory.unwrap_or_else(|| Link::new(&(self.config)(boot.node), (self.controller)(), boot.seed))
    }
}

/// What a link of `config` promises.
pub fn contract(config: &Config) -> Contract {
    let mode = |channel: &ChannelConfig| match channel.mode {
        ackline::Mode::Ordered => Mode::Ordered,
        ackline::Mode::Unordered => Mode::Unordered,
        ackline::Mode::Latest => Mode::Latest,
        ackline::Mode::BestEffort => Mode::BestEffort,
    };
    Contract {
        modes: config.channels.iter().map(mode).collect(),
        is_explicit: config.channels.iter().map(|c| c.settle == ackline::Settle::Explicit).collect(),
        has_keep_alive: config.keep_alive.is_some(),
        give_up: config.give_up.map(|t| t.as_micros() as Micros),
    }
}

/// ackline's framing for byte streams.
struct StreamFraming {
    check: FrameCheck,
    deframer: Deframer<8192>,
}

/// ackline's framing with CRC-32C.
pub fn stream_framing() -> Box<dyn Framing> {
    let check = FrameCheck::Crc32;
    Box::new(StreamFraming { check, deframer: Deframer::new(check) })
}

impl Framing for StreamFraming {
    fn encode(&mut self, datagram: &[u8], stream: &mut Vec<u8>) {
        let start = stream.len();
        stream.resize(start + encoded_len_max(datagram.len()), 0);
        let len = encode(self.check, datagram, &mut stream[start..]).expect("the buffer is long enough");
        stream.truncate(start + len);
    }

    fn decode(&mut self, mut stream: &[u8], sink: &mut dyn FnMut(&[u8])) {
        while !stream.is_empty() {
            let (taken, datagram) = self.deframer.push(stream);
            stream = &stream[taken..];
            if let Some(datagram) = datagram {
                sink(datagram);
            }
        }
    }
}

/// ackline as the subject of random schedules: six channels of every mode (in big storage ten more that are ordered), the
/// default controller over UDP and a fixed rate on serial lines.
pub struct Ackline;

impl Ackline {
    fn config(schedule: &Schedule, node: usize) -> Config {
        let mut config = match schedule.carrier {
            Carrier::Datagrams { .. } => Config::udp(),
            Carrier::Serial { baud } => Config::serial(baud),
        };
        let plan = &schedule.nodes[node];
        if plan.is_small {
            config.datagram_max = config.datagram_max.min(576);
        }
        if let Some(len) = plan.datagram_max {
            config.datagram_max = config.datagram_max.min(len);
        }
        config.repetition = schedule.repeats;
        Self::channels(Self::with_plan(config, plan))
    }

    fn with_plan(mut config: Config, plan: &NodePlan) -> Config {
        let millis = |ms: u16| Duration::from_millis(u64::from(ms));
        config.keep_alive = plan.keep_alive.map(millis);
        config.give_up = plan.give_up.map(millis);
        config
    }

    fn channels(config: Config) -> Config {
        use ackline::Mode::{BestEffort, Latest, Ordered, Unordered};
        config
            .channel(0, ChannelConfig::new(Ordered))
            .channel(1, ChannelConfig::new(Unordered).priority(1))
            .channel(2, ChannelConfig::new(Latest))
            .channel(3, ChannelConfig::new(BestEffort).priority(2))
            .channel(4, ChannelConfig::new(Ordered).settle_explicitly())
            .channel(5, ChannelConfig::new(Unordered).priority(3).settle_explicitly())
    }
}

/// Boots the links of one schedule.
pub struct ScheduleFactory {
    schedule: Schedule,
}

impl Factory for ScheduleFactory {
    type Endpoint = AnyLink;

    fn boot(&mut self, boot: Boot<AnyLink>) -> AnyLink {
        let Boot { node, seed, memory, .. } = boot;
        if let Some(link) = memory {
            return link;
        }
        let config = Ackline::config(&self.schedule, node);
        let plan = &self.schedule.nodes[node];
        match (self.schedule.carrier, plan.is_small) {
            (Carrier::Datagrams { .. }, false) => {
                behind_gate(plan, Link::<Heap, _>::new(&config, PathModel::new(), seed), seed)
            }
            (Carrier::Datagrams { .. }, true) => {
                behind_gate(plan, Link::<Small, _>::new(&config, NewReno::new(), seed), seed)
            }
            (Carrier::Serial { baud }, false) => {
                numbered(plan, Link::<Heap, _>::new(&config, FixedRate::new(baud / 10), seed))
            }
            (Carrier::Serial { baud }, true) => {
                numbered(plan, Link::<Small, _>::new(&config, FixedRate::new(baud / 10), seed))
            }
        }
    }
}

/// `link` with the first numbers of `plan`.
fn numbered<S: Storage, C: Controller>(plan: &NodePlan, mut link: Link<S, C>) -> Box<Link<S, C>> {
    if let Some((message, packet)) = plan.first_numbers {
        link.start_numbers_at(message, packet);
    }
    Box::new(link)
}

/// The same, behind a listener where the plan asks for one.
fn behind_gate<S: Storage, C: Controller>(plan: &NodePlan, link: Link<S, C>, seed: u64) -> AnyLink
where
    Link<S, C>: 'static,
{
    let link = numbered(plan, link);
    if plan.asks_for_cookie && !plan.connects { Box::new(Gate::new(*link, seed)) } else { link }
}

impl Subject for Ackline {
    type Factory = ScheduleFactory;

    fn factory(&self, schedule: &Schedule) -> ScheduleFactory {
        ScheduleFactory { schedule: schedule.clone() }
    }

    fn contract(&self, plan: &NodePlan) -> Contract {
        let mut contract = contract(&Self::channels(Self::with_plan(Config::udp(), plan)));
        contract.modes.truncate(6);
        contract.is_explicit.truncate(6);
        contract
    }

    fn framing(&self) -> fn() -> Box<dyn Framing> {
        stream_framing
    }

    fn probe_wait_max(&self) -> Micros {
        PROBE_WAIT_MAX
    }
}

/// Longest wait between two probes: the cap of the backoff (protocol.md, timers).
pub const PROBE_WAIT_MAX: Micros = 5 * SECOND;
