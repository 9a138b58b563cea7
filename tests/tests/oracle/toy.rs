//! A small protocol that keeps the promise: one message at a time, boot counters as epochs, fixed timers. Each [`Bug`]
//! breaks it in one place.

use std::collections::{BTreeSet, HashMap, VecDeque};

use ackline_tests::endpoint::{
    Boot, Ending, Endpoint, Factory, Failure, Micros, Mode, Notice, Outcome, Refusal, Taken,
};
use ackline_tests::random::mix;

/// What is wrong with a toy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    Nothing,
    /// Settles what it stored, not what the application accepted.
    SettleOnReceipt,
    /// Does not remember what it delivered.
    NoDedup,
    /// Reports every outcome twice.
    OutcomeTwice,
    /// Forgets a message when the peer restarts, and says nothing.
    DropOnRestart,
    /// Sends the newest message first.
    NewestFirst,
    /// Does not check packets.
    NoCheck,
    /// Retransmits best-effort messages.
    RepeatBestEffort,
    /// Never flags.
    NoFlag,
    /// Flags everything.
    FlagAlways,
    /// Numbers messages modulo 4.
    ReuseIds,
    /// Does not know what it has to settle.
    ForgetDelivery,
    /// Reports every restart twice.
    RestartTwice,
    /// Accepts messages after the end.
    OpenAfterClose,
    /// Never lets its timer rest.
    NeverQuiet,
    /// Asks for the clock at once, always.
    Spin,
    /// Expires messages at half of their time.
    ExpireEarly,
    /// Counts how often it is given the clock, and lets that show.
    CountCalls,
    /// Believes packets of earlier epochs.
    AnyEpoch,
    /// Calls every failure a loss.
    WrongReason,
}

const RETRY: Micros = 50_000;
const OUTBOX_COUNT: usize = 16;

struct Entry {
    id: u32,
    channel: u8,
    sequence: u32,
    payload: Vec<u8>,
    deadline: Option<Micros>,
    is_sent: bool,
    is_flagged: bool,
}

pub struct Toy {
    bug: Bug,
    modes: Vec<Mode>,
    is_explicit: Vec<bool>,
    epoch: u32,
    peer_epoch: u32,
    outbox: VecDeque<Entry>,
    next_id: u32,
    next_sequence: HashMap<u8, u32>,
    retry_at: Option<Micros>,
    due: VecDeque<Vec<u8>>,
    inbox: VecDeque<(u8, u32, bool, Vec<u8>)>,
    /// Stored, and settled, per channel.
    stored: BTreeSet<(u8, u32)>,
    settled: BTreeSet<(u8, u32)>,
    notices: VecDeque<Notice<u32>>,
    /// Channels that were refused for lack of room.
    refused: BTreeSet<u8>,
    ended: bool,
    clock: Micros,
    calls: u8,
}

impl Toy {
    fn packet(&mut self, kind: u8, body: &[u8]) {
        let mut packet = vec![kind];
        packet.extend(self.epoch.to_le_bytes());
        packet.extend(self.peer_epoch.to_le_bytes());
        if self.bug == Bug::CountCalls {
            packet.push(self.calls);
        }
        packet.extend(body);
        packet.extend(check(&packet).to_le_bytes());
        self.due.push_back(packet);
    }

    fn outcome(&mut self, id: u32, outcome: Outcome) {
        self.notices.push_back(Notice::Outcome(id, outcome));
        if self.bug == Bug::OutcomeTwice {
            self.notices.push_back(Notice::Outcome(id, outcome));
        }
        let refused = std::mem::take(&mut self.refused);
        self.notices.extend(refused.into_iter().map(Notice::Writable));
    }

    /// Sends the message at the head, or a hello if the peer is not known.
    fn transmit_head(&mut self) {
        self.retry_at = None;
        if self.peer_epoch == 0 {
            if !self.outbox.is_empty() {
                self.packet(b'h', &[]);
                self.retry_at = Some(self.clock + RETRY);
            }
            return;
        }
        let next = if self.bug == Bug::NewestFirst { self.outbox.len().saturating_sub(1) } else { 0 };
        let Some(head) = self.outbox.get_mut(next) else { return };
        let is_again = head.is_sent && self.modes[usize::from(head.channel)] == Mode::BestEffort;
        if is_again && self.bug != Bug::RepeatBestEffort {
            let id = head.id;
            self.outbox.remove(next);
            self.outcome(id, Outcome::Failed(Failure::Lost));
            return self.transmit_head();
        }
        head.is_sent = true;
        let flag = match self.bug {
            Bug::NoFlag => false,
            Bug::FlagAlways => true,
            _ => head.is_flagged,
        };
        let mut body = vec![head.channel, u8::from(flag)];
        body.extend(head.sequence.to_le_bytes());
        body.extend(&head.payload);
        self.packet(b'd', &body);
        self.retry_at = Some(self.clock + RETRY);
    }

    fn on_peer_epoch(&mut self, epoch: u32) {
        if self.peer_epoch != 0 {
            self.notices.push_back(Notice::PeerRestarted);
            if self.bug == Bug::RestartTwice {
                self.notices.push_back(Notice::PeerRestarted);
            }
            for entry in &mut self.outbox {
                entry.is_flagged |= entry.is_sent;
            }
            if self.bug == Bug::DropOnRestart {
                self.outbox.pop_front();
            }
        } else {
            self.notices.push_back(Notice::Connected);
        }
        // What was stored of the earlier incarnation and not taken is still in the inbox, and is delivered first.
        self.peer_epoch = epoch;
        self.stored.clear();
        self.settled.clear();
        self.transmit_head();
    }

    fn on_data(&mut self, body: &[u8]) {
        let Some((head, payload)) = body.split_at_checked(6) else { return };
        let (channel, flag) = (head[0], head[1] != 0);
        let sequence = u32::from_le_bytes([head[2], head[3], head[4], head[5]]);
        let key = (channel, sequence);
        if self.stored.insert(key) || self.bug == Bug::NoDedup {
            self.inbox.push_back((channel, sequence, flag, payload.to_vec()));
        }
        if self.settled.contains(&key) || self.bug == Bug::SettleOnReceipt {
            self.send_settle(channel, sequence);
        }
    }

    fn send_settle(&mut self, channel: u8, sequence: u32) {
        let mut body = vec![channel];
        body.extend(sequence.to_le_bytes());
        self.packet(b's', &body);
    }

    fn on_settle(&mut self, body: &[u8]) {
        let [channel, rest @ ..] = body else { return };
        let Ok(sequence) = rest.try_into().map(u32::from_le_bytes) else { return };
        if let Some(at) = self.outbox.iter().position(|e| e.channel == *channel && e.sequence == sequence) {
            let entry = self.outbox.remove(at).expect("position is in range");
            self.outcome(entry.id, Outcome::Settled);
            self.transmit_head();
        }
    }

    fn expire(&mut self) {
        let early = if self.bug == Bug::ExpireEarly { RETRY } else { 0 };
        let clock = self.clock;
        let is_past = |e: &Entry| e.deadline.is_some_and(|deadline| deadline <= clock + early);
        let expired: Vec<u32> = self.outbox.iter().filter(|e| is_past(e)).map(|e| e.id).collect();
        self.outbox.retain(|e| !is_past(e));
        for id in expired {
            self.outcome(id, Outcome::Expired);
        }
    }

    fn drained(&mut self, ending: Ending) {
        self.notices.push_back(Notice::Closed(ending));
        self.ended = true;
        self.retry_at = None;
    }
}

fn check(bytes: &[u8]) -> u32 {
    bytes.iter().fold(bytes.len() as u64, |sum, byte| mix(sum ^ u64::from(*byte))) as u32
}

impl Endpoint for Toy {
    type MessageId = u32;
    type DeliveryId = (u8, u32);

    fn connect(&mut self, now: Micros) {
        self.clock = self.clock.max(now);
        self.packet(b'h', &[]);
    }

    fn send(
        &mut self,
        now: Micros,
        channel: u8,
        payload: &[u8],
        deadline: Option<Micros>,
    ) -> Result<u32, Refusal> {
        self.clock = self.clock.max(now);
        if self.ended && self.bug != Bug::OpenAfterClose {
            return Err(Refusal::Closed);
        }
        if self.outbox.len() == OUTBOX_COUNT {
            self.refused.insert(channel);
            return Err(Refusal::Full);
        }
        if self.modes[usize::from(channel)] == Mode::Latest && self.bug != Bug::NewestFirst {
            let old: Vec<u32> =
                self.outbox.iter().filter(|e| e.channel == channel && !e.is_sent).map(|e| e.id).collect();
            self.outbox.retain(|e| !old.contains(&e.id));
            let reason =
                if self.bug == Bug::WrongReason { Failure::Unreachable } else { Failure::Superseded };
            old.into_iter().for_each(|id| self.outcome(id, Outcome::Failed(reason)));
        }
        let id = self.next_id;
        self.next_id += 1;
        if self.bug == Bug::ReuseIds {
            self.next_id %= 4;
        }
        let sequence = self.next_sequence.entry(channel).or_default();
        self.outbox.push_back(Entry {
            id,
            channel,
            sequence: *sequence,
            payload: payload.to_vec(),
            deadline,
            is_sent: false,
            is_flagged: false,
        });
        *sequence += 1;
        if self.retry_at.is_none() {
            self.transmit_head();
        }
        Ok(id)
    }

    fn recv(&mut self, _now: Micros, payload: &mut Vec<u8>) -> Option<Taken<(u8, u32)>> {
        let (channel, sequence, redelivered, bytes) = self.inbox.pop_front()?;
        *payload = bytes;
        if !self.is_explicit[usize::from(channel)] {
            self.settled.insert((channel, sequence));
            self.send_settle(channel, sequence);
        }
        Some(Taken { delivery: (channel, sequence), channel, redelivered })
    }

    fn settle(&mut self, _now: Micros, (channel, sequence): (u8, u32)) -> bool {
        if !self.stored.contains(&(channel, sequence)) || self.bug == Bug::ForgetDelivery {
            return false;
        }
        self.settled.insert((channel, sequence));
        self.send_settle(channel, sequence);
        true
    }

    fn poll_event(&mut self) -> Option<Notice<u32>> {
        self.notices.pop_front()
    }

    fn close(&mut self, _now: Micros) {
        // A toy is closed only at rest.
        self.drained(Ending::Drained);
    }

    fn abort(&mut self, now: Micros) {
        self.clock = self.clock.max(now);
        while let Some(entry) = self.outbox.pop_front() {
            self.outcome(entry.id, Outcome::Failed(Failure::Closed));
        }
        self.drained(Ending::Aborted);
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) -> bool {
        self.clock = self.clock.max(now);
        let Some((packet, sum)) = datagram.split_last_chunk::<4>() else { return false };
        if self.bug != Bug::NoCheck && check(packet).to_le_bytes() != *sum {
            return false;
        }
        let header_len = if self.bug == Bug::CountCalls { 10 } else { 9 };
        let Some((header, body)) = packet.split_at_checked(header_len) else { return false };
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (from, to) = (word(1), word(5));
        if from < self.peer_epoch && self.bug != Bug::AnyEpoch {
            return false;
        }
        if from > self.peer_epoch {
            self.on_peer_epoch(from);
        }
        if to != self.epoch && !(self.bug == Bug::AnyEpoch && to != 0) {
            // The peer does not know this incarnation yet.
            self.packet(b'h', &[]);
            return true;
        }
        match header[0] {
            b'd' => self.on_data(body),
            b's' => self.on_settle(body),
            _ => {}
        }
        true
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.clock = self.clock.max(now);
        self.calls = self.calls.wrapping_add(1);
        self.expire();
        if self.retry_at.is_some_and(|at| at <= self.clock) {
            self.transmit_head();
        }
    }

    fn poll_transmit(&mut self, _now: Micros, buffer: &mut [u8]) -> Option<usize> {
        let packet = self.due.pop_front()?;
        buffer[..packet.len()].copy_from_slice(&packet);
        Some(packet.len())
    }

    fn poll_timeout(&self) -> Option<Micros> {
        match self.bug {
            Bug::Spin => return Some(self.clock),
            Bug::NeverQuiet => return Some(self.clock + RETRY),
            _ => {}
        }
        let deadline = self.outbox.iter().filter_map(|e| e.deadline).min();
        [self.retry_at, deadline].into_iter().flatten().min()
    }

    fn is_connected(&self) -> bool {
        self.peer_epoch != 0
    }

    fn is_closed(&self) -> bool {
        self.ended
    }
}

/// Boots toys.
pub struct ToyFactory {
    pub bug: Bug,
    pub modes: Vec<Mode>,
    pub is_explicit: Vec<bool>,
}

impl Factory for ToyFactory {
    type Endpoint = Toy;

    fn boot(&mut self, boot: Boot<Toy>) -> Toy {
        boot.memory.unwrap_or_else(|| Toy {
            bug: self.bug,
            modes: self.modes.clone(),
            is_explicit: self.is_explicit.clone(),
            epoch: boot.incarnation + 1,
            peer_epoch: 0,
            outbox: VecDeque::new(),
            next_id: 0,
            next_sequence: HashMap::new(),
            retry_at: None,
            due: VecDeque::new(),
            inbox: VecDeque::new(),
            stored: BTreeSet::new(),
            settled: BTreeSet::new(),
            notices: VecDeque::new(),
            refused: BTreeSet::new(),
            ended: false,
            clock: boot.now,
            calls: 0,
        })
    }
}
