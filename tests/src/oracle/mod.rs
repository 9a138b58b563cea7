//! The oracle of the promise: it is told of everything that applications do and see, and says at once when a promise is
//! broken.
//!
//! Messages are followed by content ([`MessageKey`]), not by the protocol's own numbers, so that a protocol that confuses
//! its numbers is caught. The oracle knows nothing of packets: whatever the wire does, the promise is the same.

mod payload;
mod record;
mod rule;

use std::fmt::Debug;
use std::hash::Hash;

pub use payload::{MessageKey, PAYLOAD_LEN_MIN};
pub use record::{Contract, Record};
pub use rule::{Broken, Rule};

use crate::endpoint::{Ending, Failure, Micros, Mode, Notice, Outcome};
use crate::random::Map;

/// The state of one node as its application sees it.
#[derive(Debug)]
struct NodeView {
    contract: Contract,
    peer: usize,
    incarnation: u32,
    /// The oldest incarnation of the peer that this incarnation has heard: restarts before it cannot be noticed. What an
    /// incarnation had sent may arrive when it is gone.
    oldest_heard: Option<u32>,
    restarts_reported: u32,
    has_closed: bool,
    has_ever_closed: bool,
    ended: Option<Ending>,
    connected_count: u32,
    /// When it last took something of use from its peer, on its own clock.
    heard_at: Micros,
}

/// Deliveries of one channel of one incarnation of a sender to one incarnation of its receiver.
#[derive(Default, Debug)]
struct Flow {
    /// The counter after the last one delivered.
    next: u32,
}

/// Follows every message of a world. `M` is the protocol's message id.
#[derive(Debug)]
pub struct Oracle<M> {
    nodes: Vec<NodeView>,
    records: Vec<Record>,
    by_id: Map<(usize, u32, M), usize>,
    /// Indices of the records of (node, incarnation, channel), in the order of their counters.
    by_key: Map<(u8, u16, u8), Vec<usize>>,
    /// By receiver, its incarnation, incarnation of the sender, channel.
    flows: Map<(usize, u32, u16, u8), Flow>,
    /// Latest incarnation of the sender seen, by receiver, its incarnation and channel.
    latest_sender: Map<(usize, u32, u8), u16>,
    owed: usize,
}

type Verdict<T = ()> = Result<T, Broken>;

fn broken<T>(rule: Rule, detail: String) -> Verdict<T> {
    Err(Broken::new(rule, detail))
}

impl<M: Copy + Eq + Hash + Debug> Default for Oracle<M> {
    fn default() -> Self {
        Oracle {
            nodes: Vec::new(),
            records: Vec::new(),
            by_id: Map::default(),
            by_key: Map::default(),
            flows: Map::default(),
            latest_sender: Map::default(),
            owed: 0,
        }
    }
}

impl<M: Copy + Eq + Hash + Debug> Oracle<M> {
    /// Introduces the next node.
    pub fn add_node(&mut self, contract: Contract, peer: usize) {
        self.nodes.push(NodeView {
            contract,
            peer,
            incarnation: 0,
            oldest_heard: None,
            restarts_reported: 0,
            has_closed: false,
            has_ever_closed: false,
            ended: None,
            connected_count: 0,
            heard_at: 0,
        });
    }

    /// Every accepted message, in the order of acceptance.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Messages that still owe their sender an outcome.
    pub fn owed(&self) -> usize {
        self.owed
    }

    /// How the node's link ended, if it has.
    pub fn ended(&self, node: usize) -> Option<Ending> {
        self.nodes[node].ended
    }

    /// How often the node's current incarnation reported a restart of its peer.
    pub fn restarts_reported(&self, node: usize) -> u32 {
        self.nodes[node].restarts_reported
    }

    /// How often the node's current incarnation reported the end of a handshake.
    pub fn connected_count(&self, node: usize) -> u32 {
        self.nodes[node].connected_count
    }

    /// The identity that the next message accepted from `node` on `channel` will have.
    pub fn next_key(&self, node: usize, channel: u8) -> MessageKey {
        let incarnation = self.nodes[node].incarnation as u16;
        let count = self.by_key.get(&(node as u8, incarnation, channel)).map_or(0, Vec::len);
        MessageKey { node: node as u8, incarnation, channel, counter: count as u32 }
    }

    /// A node accepted a message of its application.
    pub fn on_sent(
        &mut self,
        key: MessageKey,
        id: M,
        len: usize,
        offered_at: Micros,
        now: Micros,
        deadline: Option<Micros>,
    ) -> Verdict {
        let node = usize::from(key.node);
        if self.nodes[node].ended.is_some() {
            return broken(Rule::ClosedIsFinal, format!("{key} was accepted after the link had ended"));
        }
        let index = self.records.len();
        if let Some(other) = self.by_id.insert((node, self.nodes[node].incarnation, id), index) {
            let other = self.records[other].key;
            return broken(Rule::UniqueIds, format!("{key} got the id {id:?}, which {other} has"));
        }
        self.by_key.entry((key.node, key.incarnation, key.channel)).or_default().push(index);
        self.records.push(Record {
            key,
            len,
            offered_at,
            sent_at: now,
            deadline,
            taken: Vec::new(),
            accepted_at: None,
            outcome: None,
            is_early: self.nodes[node].connected_count == 0,
            is_orphan: false,
        });
        self.owed += 1;
        Ok(())
    }

    /// An application took a message. `sender_time` is the sender's clock. Says which message it was.
    pub fn on_taken(
        &mut self,
        receiver: usize,
        channel: u8,
        payload: &[u8],
        redelivered: bool,
        now: Micros,
        sender_time: Micros,
    ) -> Verdict<MessageKey> {
        let Some(key) = MessageKey::of(payload) else {
            let head = &payload[..payload.len().min(24)];
            return broken(
                Rule::Intact,
                format!(
                    "n{receiver} took {} bytes on c{channel} that nobody sent: {head:02x?}",
                    payload.len()
                ),
            );
        };
        let found = self.index_of(key);
        let sender = usize::from(key.node);
        let Some(index) = found.filter(|i| {
            self.nodes[receiver].peer == sender
                && key.channel == channel
                && self.records[*i].len == payload.len()
        }) else {
            return broken(
                Rule::Intact,
                format!(
                    "n{receiver} took {key} ({} bytes) on c{channel}, which was not sent so",
                    payload.len()
                ),
            );
        };
        self.check_repetition(receiver, index, redelivered)?;
        self.check_order(receiver, index, sender_time)?;
        let incarnation = self.nodes[receiver].incarnation;
        let is_explicit = self.settles_explicitly(receiver, channel);
        let record = &mut self.records[index];
        record.taken.push((incarnation, now));
        if !is_explicit && record.accepted_at.is_none() {
            record.accepted_at = Some(now);
        }
        Ok(key)
    }

    /// Whether what `receiver` takes on `channel` is settled by a call of its application.
    pub fn settles_explicitly(&self, receiver: usize, channel: u8) -> bool {
        self.nodes[receiver].contract.is_explicit.get(usize::from(channel)).copied().unwrap_or(false)
    }

    fn mode(&self, key: MessageKey) -> Mode {
        let modes = &self.nodes[usize::from(key.node)].contract.modes;
        modes.get(usize::from(key.channel)).copied().unwrap_or(Mode::Ordered)
    }

    fn index_of(&self, key: MessageKey) -> Option<usize> {
        let records = self.by_key.get(&(key.node, key.incarnation, key.channel))?;
        records.get(key.counter as usize).copied()
    }

    fn check_repetition(&self, receiver: usize, index: usize, redelivered: bool) -> Verdict {
        let record = &self.records[index];
        let incarnation = self.nodes[receiver].incarnation;
        let key = record.key;
        if let Some((_, at)) = record.taken.iter().find(|(i, _)| *i == incarnation) {
            return broken(Rule::AtMostOnce, format!("n{receiver} took {key} again, first at {at} µs"));
        }
        if self.mode(key) == Mode::BestEffort && !record.taken.is_empty() {
            return broken(
                Rule::NeverRepeated,
                format!("n{receiver} took best-effort {key} again: {:?}", record.taken),
            );
        }
        if !redelivered && !record.taken.is_empty() {
            return broken(
                Rule::RedeliveredFlag,
                format!("n{receiver} took {key} unflagged, but earlier: {:?}", record.taken),
            );
        }
        // Before the first answer a sender cannot know whether a hello that was lost on the way carried it.
        if redelivered && incarnation == 0 && !record.is_early {
            return broken(
                Rule::RedeliveredFlag,
                format!("n{receiver} took {key} flagged redelivered, but it never restarted"),
            );
        }
        Ok(())
    }

    fn check_order(&mut self, receiver: usize, index: usize, sender_time: Micros) -> Verdict {
        let key = self.records[index].key;
        let incarnation = self.nodes[receiver].incarnation;
        let latest =
            self.latest_sender.entry((receiver, incarnation, key.channel)).or_insert(key.incarnation);
        if *latest > key.incarnation {
            let detail = format!("n{receiver} took {key} after messages of incarnation {latest}");
            return broken(Rule::IncarnationsInOrder, detail);
        }
        *latest = key.incarnation;
        let mode = self.mode(key);
        let flow = self.flows.entry((receiver, incarnation, key.incarnation, key.channel)).or_default();
        let expected = flow.next;
        match mode {
            Mode::Unordered | Mode::BestEffort => return Ok(()),
            Mode::Latest if key.counter < expected => {
                let detail = format!("n{receiver} took {key} after #{}", expected - 1);
                return broken(Rule::NeverStale, detail);
            }
            Mode::Ordered if key.counter < expected => {
                let detail = format!("n{receiver} took {key} after #{}", expected - 1);
                return broken(Rule::InOrder, detail);
            }
            Mode::Latest | Mode::Ordered => flow.next = key.counter + 1,
        }
        if mode == Mode::Ordered {
            let skipped = &self.by_key[&(key.node, key.incarnation, key.channel)];
            for &index in &skipped[expected as usize..key.counter as usize] {
                let record = &self.records[index];
                let is_past = record.deadline.is_some_and(|deadline| deadline <= sender_time);
                if record.outcome.is_none() && record.accepted_at.is_none() && !is_past {
                    let detail = format!("n{receiver} took {key}, but {} is still to come", record.key);
                    return broken(Rule::InOrder, detail);
                }
            }
        }
        Ok(())
    }

    /// The application at `receiver` called `settle` for a message; `was_known` is the answer. `sender_time` is the
    /// sender's clock.
    pub fn on_settled(
        &mut self,
        receiver: usize,
        key: MessageKey,
        was_known: bool,
        now: Micros,
        sender_time: Micros,
    ) -> Verdict {
        let sender = &self.nodes[usize::from(key.node)];
        let is_sender_as_it_was = sender.incarnation == u32::from(key.incarnation) && sender.ended.is_none();
        let is_open = self.nodes[receiver].ended.is_none();
        let index = self.index_of(key).expect("only what was taken is settled");
        let record = &mut self.records[index];
        if was_known {
            record.accepted_at.get_or_insert(now);
        } else if is_sender_as_it_was
            && is_open
            && record.outcome.is_none()
            && record.deadline.is_none_or(|deadline| deadline > sender_time)
        {
            return broken(Rule::KnownDelivery, format!("n{receiver} could not settle {key}"));
        }
        Ok(())
    }

    /// How often a node has lost its memory.
    pub fn incarnation(&self, node: usize) -> u32 {
        self.nodes[node].incarnation
    }

    /// A node heard something that its peer had sent in the given incarnation.
    pub fn on_heard(&mut self, node: usize, incarnation: u32) {
        let view = &mut self.nodes[node];
        view.oldest_heard = Some(view.oldest_heard.map_or(incarnation, |o| o.min(incarnation)));
    }

    /// A node told its application something. `local` is the node's clock.
    pub fn on_notice(&mut self, node: usize, notice: Notice<M>, now: Micros, local: Micros) -> Verdict {
        let peer_incarnation = self.nodes[self.nodes[node].peer].incarnation;
        let view = &mut self.nodes[node];
        if let Some(ending) = view.ended {
            return broken(Rule::ClosedIsFinal, format!("n{node} reported {notice:?} after {ending:?}"));
        }
        match notice {
            Notice::Connected => {
                view.connected_count += 1;
                Ok(())
            }
            Notice::PeerRestarted => {
                view.restarts_reported += 1;
                let happened = peer_incarnation - view.oldest_heard.unwrap_or(peer_incarnation);
                if view.restarts_reported > happened {
                    let detail =
                        format!("n{node} reported {} restarts of {happened}", view.restarts_reported);
                    return broken(Rule::RestartsCounted, detail);
                }
                Ok(())
            }
            Notice::Closed(ending) => {
                view.ended = Some(ending);
                // A link that is over is closed for its peer, too, whatever the reason.
                view.has_ever_closed |= ending == Ending::Unreachable;
                self.on_ended(node, ending, local)
            }
            Notice::Writable(_) => Ok(()),
            Notice::Outcome(id, outcome) => self.on_outcome(node, id, outcome, now, local),
        }
    }

    fn on_ended(&mut self, node: usize, ending: Ending, local: Micros) -> Verdict {
        let incarnation = self.nodes[node].incarnation as u16;
        let without = self.records.iter().find(|r| {
            usize::from(r.key.node) == node && r.key.incarnation == incarnation && r.outcome.is_none()
        });
        if let Some(record) = without {
            let detail = format!("n{node} ended ({ending:?}), and {} has no outcome", record.key);
            return broken(Rule::OneOutcome, detail);
        }
        let has_peer_closed = self.nodes[self.nodes[node].peer].has_ever_closed;
        let is_honest = match ending {
            Ending::Drained | Ending::Aborted => self.nodes[node].has_closed,
            Ending::Peer => has_peer_closed,
            Ending::Unreachable => {
                let view = &self.nodes[node];
                view.contract.give_up.is_some_and(|limit| local >= view.heard_at + limit)
            }
            Ending::Other => true,
        };
        if !is_honest {
            return broken(Rule::HonestReason, format!("n{node} ended with {ending:?}, which is not so"));
        }
        Ok(())
    }

    fn on_outcome(&mut self, node: usize, id: M, outcome: Outcome, now: Micros, local: Micros) -> Verdict {
        let incarnation = self.nodes[node].incarnation;
        let Some(&index) = self.by_id.get(&(node, incarnation, id)) else {
            return broken(
                Rule::OneOutcome,
                format!("n{node} reported {outcome:?} of {id:?}, which it never sent"),
            );
        };
        let record = &self.records[index];
        let key = record.key;
        if let Some((first, at)) = record.outcome {
            let detail = format!("{key} became {outcome:?} after {first:?} at {at} µs");
            return broken(Rule::OneOutcome, detail);
        }
        if outcome == Outcome::Settled && record.accepted_at.is_none() {
            let detail = format!("{key} was reported settled; taken: {:?}, accepted: never", record.taken);
            return broken(Rule::SettledMeansAccepted, detail);
        }
        if !self.is_honest(node, index, outcome, local) {
            let detail =
                format!("{key} became {outcome:?} at {local} µs of its clock: {:?}", self.records[index]);
            return broken(Rule::HonestReason, detail);
        }
        self.records[index].outcome = Some((outcome, now));
        self.owed -= 1;
        Ok(())
    }

    fn is_honest(&self, node: usize, index: usize, outcome: Outcome, local: Micros) -> bool {
        let record = &self.records[index];
        let key = record.key;
        let peer = &self.nodes[self.nodes[node].peer];
        match outcome {
            Outcome::Settled | Outcome::Failed(Failure::Other) => true,
            Outcome::Expired => record.deadline.is_some_and(|deadline| deadline <= local),
            Outcome::Failed(Failure::Lost) => self.mode(key) == Mode::BestEffort,
            Outcome::Failed(Failure::Superseded) => {
                let sent = self.by_key[&(key.node, key.incarnation, key.channel)].len();
                self.mode(key) == Mode::Latest && (key.counter as usize) + 1 < sent
            }
            Outcome::Failed(Failure::PeerClosed) => peer.has_ever_closed,
            Outcome::Failed(Failure::Closed) => self.nodes[node].has_closed,
            Outcome::Failed(Failure::Unreachable) => self.nodes[node].contract.give_up.is_some(),
            // What the peer takes is known after the handshake, and may change when it restarts.
            Outcome::Failed(Failure::TooLarge) => record.is_early || peer.incarnation > 0,
        }
    }

    /// The node took something of use from its peer, at this time of its clock.
    pub fn on_used(&mut self, node: usize, local: Micros) {
        self.nodes[node].heard_at = local;
    }

    /// The application of `node` called `close` or `abort`.
    pub fn on_close(&mut self, node: usize) {
        self.nodes[node].has_closed = true;
        self.nodes[node].has_ever_closed = true;
    }

    /// The node lost its memory.
    pub fn on_reboot(&mut self, node: usize) {
        let view = &mut self.nodes[node];
        let incarnation = view.incarnation as u16;
        view.incarnation += 1;
        view.oldest_heard = None;
        view.restarts_reported = 0;
        view.connected_count = 0;
        view.heard_at = 0;
        view.has_closed = false;
        view.ended = None;
        for record in &mut self.records {
            let is_its_own = usize::from(record.key.node) == node && record.key.incarnation == incarnation;
            if is_its_own && record.outcome.is_none() {
                record.is_orphan = true;
                self.owed -= 1;
            }
        }
    }

    /// Demands that everything owed has come. Reliable messages without a deadline whose sender survived and whose link
    /// was not closed must have settled.
    pub fn check_converged(&self) -> Verdict {
        let open: Vec<String> = self
            .records
            .iter()
            .filter(|r| r.outcome.is_none() && !r.is_orphan)
            .map(|r| {
                format!(
                    "{} (sent {} µs, taken {:?}, accepted {:?})",
                    r.key, r.sent_at, r.taken, r.accepted_at
                )
            })
            .collect();
        if !open.is_empty() {
            let some = open.iter().take(10).cloned().collect::<Vec<_>>().join("; ");
            return broken(Rule::Converges, format!("{} messages have no outcome: {some}", open.len()));
        }
        for record in &self.records {
            let node = usize::from(record.key.node);
            let was_closed =
                self.nodes[node].has_ever_closed || self.nodes[self.nodes[node].peer].has_ever_closed;
            let is_too_large = matches!(record.outcome, Some((Outcome::Failed(Failure::TooLarge), _)));
            let may_fail = is_too_large
                || record.deadline.is_some()
                || was_closed
                || self.nodes[node].contract.give_up.is_some();
            let has_failed = matches!(record.outcome, Some((outcome, _)) if outcome != Outcome::Settled);
            if self.mode(record.key).is_reliable() && !may_fail && has_failed {
                return broken(Rule::Converges, format!("{} was not settled: {record:?}", record.key));
            }
        }
        Ok(())
    }
}
