//! What can happen to two links and their applications, and the promises that every step is held to.

use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use ackline::{Channel, CloseReason, DeliveryId, Event, FailReason, Instant, MessageId, Mode};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::setup::{Memory, Setup, Tiny};

/// How many datagrams of a direction can overtake each other.
const REORDERED: usize = 3;

/// Datagrams after one call that count as emitting without end.
const BURST_MAX: usize = 32;

/// For how long a node with all its memory sleeps.
const ASLEEP: Duration = Duration::from_secs(10);

/// Timers that a link has.
const TIMERS_MAX: usize = 8;

/// One step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The side opens the association.
    Connect(usize),
    /// Its application sends its next message.
    Send(usize),
    /// It takes a message.
    Take(usize),
    /// It settles the delivery with this index among those that wait.
    Settle(usize, usize),
    /// It closes.
    Close(usize),
    /// To this side, this one of the first datagrams under way arrives.
    Arrive(usize, usize),
    /// The same is lost.
    Lose(usize, usize),
    /// The same is copied.
    Copy(usize, usize),
    /// The next timer of the side fires.
    Timer(usize),
    /// The side reboots. `true`: what was under way to it is lost meanwhile.
    Reboot(usize, bool),
}

impl Step {
    /// Whether the world can do without it: what is not a fault happens some day.
    pub fn is_fault(self) -> bool {
        matches!(self, Step::Lose(..) | Step::Copy(..) | Step::Reboot(..))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Outcome {
    Settled,
    Superseded,
    PeerClosed,
}

/// A message that a link accepted.
#[derive(Clone, Hash, Debug)]
struct Message {
    incarnation: u8,
    /// Which of the application's messages.
    ordinal: u8,
    id: MessageId,
    /// A bit for every incarnation of the receiver that took it.
    taken: u8,
    is_accepted: bool,
    /// Accepted before the handshake: its sender cannot know what became of the first hello.
    is_early: bool,
    outcome: Option<Outcome>,
}

/// One application.
#[derive(Clone, Hash, Debug, Default)]
struct Side {
    incarnation: u8,
    /// The peer's incarnation when this one booted.
    peer_at_boot: u8,
    has_opened: bool,
    has_closed: bool,
    /// An earlier incarnation had closed.
    had_closed: bool,
    has_ended: bool,
    is_connected: bool,
    restarts_reported: u8,
    /// The application's messages that are not offered yet (or, with a durable outbox, again).
    to_send: Vec<u8>,
    sent: Vec<Message>,
    /// Of each incarnation of the peer, one after the index (in `sent`) of the last message taken.
    taken_to: [u8; 4],
    /// Deliveries that wait to be settled, with the index of their message.
    open: Vec<(DeliveryId, u8)>,
}

/// Two links, their applications, and what is under way.
#[derive(Clone)]
pub struct State {
    links: [Rc<Tiny>; 2],
    /// Digests of the links.
    digests: [u128; 2],
    /// Each side's clock since its boot. They go at the same pace.
    clocks: [Instant; 2],
    /// When each link was called last. It digests itself as it was then.
    called: [Instant; 2],
    /// By destination, in the order of sending.
    flights: [Vec<Rc<[u8]>>; 2],
    sides: [Side; 2],
    losses: u8,
    copies: u8,
    early: u8,
    reboots: u8,
}

fn digest_of(value: impl FnOnce(&mut SipHasher13)) -> u128 {
    let mut hasher = SipHasher13::new();
    value(&mut hasher);
    hasher.finish128().as_u128()
}

impl State {
    /// Nothing has happened, or no more than the handshake.
    ///
    /// # Errors
    ///
    /// What was broken in the handshake.
    pub fn new(setup: &Setup) -> Result<Self, String> {
        let mut state = State::cold(setup);
        // No handshake has so many steps.
        for _ in 0..if setup.is_connected { 64 } else { 0 } {
            let steps = state.steps(setup);
            let is_wanted = |s: &&Step| matches!(s, Step::Connect(_) | Step::Arrive(..) | Step::Timer(_));
            let mut after = None;
            for step in steps.iter().filter(is_wanted) {
                after = state.after(setup, *step)?;
                if after.as_ref().is_some_and(|a| a.early == state.early) {
                    break;
                }
            }
            match after {
                Some(after) => state = after,
                None => break,
            }
        }
        Ok(state)
    }

    fn cold(setup: &Setup) -> Self {
        let side = |n: usize| Side { to_send: (0..setup.messages[n]).collect(), ..Side::default() };
        let links = [Rc::new(setup.boot(0, 0)), Rc::new(setup.boot(1, 0))];
        let digests = [0, 1].map(|n| digest_of(|h| links[n].digest(h)));
        State {
            digests,
            links,
            clocks: [Instant::ZERO; 2],
            called: [Instant::ZERO; 2],
            flights: [Vec::new(), Vec::new()],
            sides: [side(0), side(1)],
            losses: setup.losses,
            copies: setup.copies,
            early: setup.early,
            reboots: setup.reboots,
        }
    }

    /// Names this state among all states of one setup.
    pub fn digest(&self) -> u128 {
        digest_of(|h| {
            ([0, 1].map(|n| self.clocks[n] - self.called[n]), self.digests).hash(h);
            (&self.sides, self.losses, self.copies, self.early, self.reboots).hash(h);
            for flight in &self.flights {
                // The first few are a set: the order of those that can overtake each other does not matter.
                let count = flight.len().min(REORDERED);
                let mut first: Vec<&[u8]> = flight[..count].iter().map(|d| &**d).collect();
                first.sort_unstable();
                first.hash(h);
                flight[count..].hash(h);
                h.write_u8(0xff);
            }
        })
    }

    /// The datagrams under way to each side, and the clocks in milliseconds, for people.
    pub fn under_way(&self) -> String {
        let mut text =
            format!("  [{}, {} ms]", self.clocks[0].as_micros() / 1_000, self.clocks[1].as_micros() / 1_000);
        for (n, flight) in self.flights.iter().enumerate() {
            for datagram in flight {
                let hex: String = datagram.iter().map(|b| format!("{b:02x}")).collect();
                text.push_str(&format!("\n       to {n}: {hex}"));
            }
        }
        text
    }

    /// Everything that can happen now.
    pub fn steps(&self, setup: &Setup) -> Vec<Step> {
        let mut steps = Vec::new();
        for n in 0..2 {
            self.application_steps(setup, n, &mut steps);
        }
        let reach = if setup.is_framed { 1 } else { REORDERED };
        for n in 0..2 {
            let flight = &self.flights[n];
            let count = flight.len().min(reach);
            for i in (0..count).filter(|&i| !flight[..i].contains(&flight[i])) {
                steps.push(Step::Arrive(n, i));
                if self.losses > 0 {
                    steps.push(Step::Lose(n, i));
                }
                if self.copies > 0 {
                    steps.push(Step::Copy(n, i));
                }
            }
        }
        // Whether a timer that fires now is early is known when it has fired.
        for n in 0..2 {
            if self.links[n].poll_timeout().is_some() {
                steps.push(Step::Timer(n));
            }
        }
        if self.reboots > 0 {
            for n in 0..2 {
                if setup.memory != Memory::Everything {
                    steps.push(Step::Reboot(n, false));
                }
                if setup.memory == Memory::Everything || !self.flights[n].is_empty() {
                    steps.push(Step::Reboot(n, true));
                }
            }
        }
        steps
    }

    fn application_steps(&self, setup: &Setup, n: usize, steps: &mut Vec<Step>) {
        let side = &self.sides[n];
        if setup.connects[n] && !side.has_opened {
            steps.push(Step::Connect(n));
        }
        if !side.to_send.is_empty() && !side.has_ended && !side.has_closed {
            steps.push(Step::Send(n));
        }
        if self.links[n].has_delivery() {
            steps.push(Step::Take(n));
        }
        for i in 0..side.open.len() {
            steps.push(Step::Settle(n, i));
        }
        let is_done = side.to_send.is_empty();
        if setup.closes[n] && !side.has_closed && !side.has_ended && is_done {
            steps.push(Step::Close(n));
        }
    }

    fn is_waiting(&self, setup: &Setup) -> bool {
        let mut steps = Vec::new();
        self.application_steps(setup, 0, &mut steps);
        self.application_steps(setup, 1, &mut steps);
        !steps.is_empty() || self.flights.iter().any(|f| !f.is_empty())
    }

    /// The state after `step`, or `None` if it would use up more faults than there are.
    ///
    /// # Errors
    ///
    /// What was broken.
    pub fn after(&self, setup: &Setup, step: Step) -> Result<Option<State>, String> {
        let mut next = self.clone();
        match step {
            Step::Connect(n) => {
                next.sides[n].has_opened = true;
                let now = next.clocks[n];
                next.call(setup, n, |link| link.connect(now))?;
            }
            Step::Send(n) => next.send(setup, n)?,
            Step::Take(n) => {
                next.take(setup, n)?;
                next.call(setup, n, |_| ())?;
            }
            Step::Settle(n, i) => next.settle(setup, n, i)?,
            Step::Close(n) => {
                next.sides[n].has_closed = true;
                let now = next.clocks[n];
                next.call(setup, n, |link| link.close(now))?;
            }
            Step::Arrive(n, i) => {
                let datagram = next.flights[n].remove(i);
                let now = next.clocks[n];
                Rc::make_mut(&mut next.links[n]).handle_datagram(now, &datagram);
                while setup.takes_at_once && next.links[n].has_delivery() {
                    next.take(setup, n)?;
                }
                next.call(setup, n, |_| ())?;
            }
            Step::Lose(n, i) => {
                next.losses -= 1;
                next.flights[n].remove(i);
            }
            Step::Copy(n, i) => {
                next.copies -= 1;
                let copy = next.flights[n][i].clone();
                next.flights[n].push(copy);
            }
            Step::Timer(n) => {
                if !next.timer(setup, n)? {
                    return Ok(None);
                }
            }
            Step::Reboot(n, is_deaf) => next.reboot(setup, n, is_deaf)?,
        }
        next.check_acknowledged()?;
        Ok(Some(next))
    }

    /// Calls a link and does what has to follow.
    fn call(&mut self, setup: &Setup, n: usize, act: impl FnOnce(&mut Tiny)) -> Result<(), String> {
        let now = self.clocks[n];
        self.called[n] = now;
        let link = Rc::make_mut(&mut self.links[n]);
        act(link);
        let mut buffer = [0; 128];
        let mut count = 0;
        while let Some(len) = link.poll_transmit(now, &mut buffer) {
            self.flights[1 - n].push(Rc::from(&buffer[..len]));
            count += 1;
            if count > BURST_MAX {
                return Err(format!("side {n} emits without end"));
            }
        }
        while let Some(event) = Rc::make_mut(&mut self.links[n]).poll_event() {
            self.on_event(setup, n, event)?;
        }
        let link = Rc::make_mut(&mut self.links[n]);
        // An event that was taken makes room, and perhaps something to send.
        if let Some(len) = link.poll_transmit(now, &mut buffer) {
            return Err(format!("side {n} has {len} bytes more to send after its events were taken"));
        }
        self.digests[n] = digest_of(|h| self.links[n].digest(h));
        Ok(())
    }

    /// How long until the next timer of `n` is due.
    fn timer_in(&self, n: usize) -> Option<Duration> {
        self.links[n].poll_timeout().map(|at| at - self.clocks[n])
    }

    /// Lets time pass until the next timer of `n` is due, and fires it. False if that would be one early timer too many.
    fn timer(&mut self, setup: &Setup, n: usize) -> Result<bool, String> {
        let Some(wait) = self.timer_in(n) else { return Ok(false) };
        let is_early = self.is_waiting(setup) || self.timer_in(1 - n).is_some_and(|other| other < wait);
        let under_way = self.flights[1 - n].len();
        self.clocks = self.clocks.map(|clock| clock + wait);
        let now = self.clocks[n];
        self.call(setup, n, |link| link.handle_timeout(now))?;
        // Several may be due at once.
        for _ in 0..TIMERS_MAX {
            if self.links[n].poll_timeout().is_some_and(|next| next <= now) {
                self.call(setup, n, |link| link.handle_timeout(now))?;
            }
        }
        if self.links[n].poll_timeout().is_some_and(|next| next <= now) {
            return Err(format!("side {n} asks for the clock again and again in the same instant"));
        }
        let only_acknowledges = self.flights[1 - n][under_way..].iter().all(|d| d[0] & 0xe0 == 0x60);
        let sends = self.flights[1 - n].len() > under_way;
        if is_early && !(sends && only_acknowledges) {
            if self.early == 0 {
                return Ok(false);
            }
            self.early -= 1;
        }
        Ok(true)
    }

    fn send(&mut self, setup: &Setup, n: usize) -> Result<(), String> {
        let now = self.clocks[n];
        let ordinal = self.sides[n].to_send[0];
        let incarnation = self.sides[n].incarnation;
        let mut payload = vec![ordinal; setup.len];
        payload[..3].copy_from_slice(&[n as u8, incarnation, ordinal]);
        let mut result = None;
        // The message goes on record before the events that follow from it.
        let link = Rc::make_mut(&mut self.links[n]);
        result.get_or_insert(link.send(now, Channel(0), &payload));
        match result {
            Some(Ok(id)) => {
                let side = &mut self.sides[n];
                side.to_send.remove(0);
                if side.sent.iter().any(|m| m.incarnation == incarnation && m.id == id) {
                    return Err(format!("side {n}: the id {id:?} is used twice"));
                }
                side.sent.push(Message {
                    incarnation,
                    ordinal,
                    id,
                    taken: 0,
                    is_accepted: false,
                    is_early: !side.is_connected,
                    outcome: None,
                });
            }
            other => return Err(format!("side {n}: send was refused: {other:?}")),
        }
        self.call(setup, n, |_| ())
    }

    fn take(&mut self, setup: &Setup, n: usize) -> Result<(), String> {
        let now = self.clocks[n];
        let link = Rc::make_mut(&mut self.links[n]);
        let Some(delivery) = link.recv(now) else {
            return Err(format!("side {n} has a delivery and does not give it"));
        };
        let (id, flagged, payload) = (delivery.id, delivery.redelivered, delivery.payload.to_vec());
        let index = self.on_taken(setup, n, &payload, flagged)?;
        if setup.settles {
            self.sides[n].open.push((id, index as u8));
        } else {
            self.sides[1 - n].sent[index].is_accepted = true;
        }
        Ok(())
    }

    fn on_taken(&mut self, setup: &Setup, n: usize, payload: &[u8], flagged: bool) -> Result<usize, String> {
        let from = 1 - n;
        let incarnation = self.sides[n].incarnation;
        let fails = |what: &str| Err(format!("side {n} ({incarnation}) took {payload:?}: {what}"));
        let of = |m: &Message| payload[..3] == [from as u8, m.incarnation, m.ordinal];
        let found = self.sides[from].sent.iter().position(of);
        let Some(index) = found.filter(|_| payload.len() == setup.len) else {
            return fails("nobody sent that");
        };
        let message = &self.sides[from].sent[index];
        let bit = 1 << incarnation;
        if message.taken & bit != 0 {
            return fails("delivered twice to one incarnation");
        }
        if message.taken != 0 && !flagged {
            return fails("an earlier incarnation took it, but it is not flagged");
        }
        if flagged && incarnation == 0 && !message.is_early {
            return fails("flagged, but this side never restarted");
        }
        let life = usize::from(message.incarnation);
        if self.sides[n].taken_to[life + 1..].iter().any(|t| *t > 0) {
            return fails("an earlier incarnation of the sender after a later one");
        }
        let done = usize::from(self.sides[n].taken_to[life]);
        let is_in_sequence = matches!(setup.mode, Mode::Ordered | Mode::Latest);
        if is_in_sequence && index < done {
            return fails("an older message after a newer one");
        }
        if setup.mode == Mode::Ordered {
            let skipped = &self.sides[from].sent[done.min(index)..index];
            if skipped
                .iter()
                .any(|m| m.incarnation == message.incarnation && !m.is_accepted && m.outcome.is_none())
            {
                return fails("one before it is still to come");
            }
        }
        self.sides[n].taken_to[life] = done.max(index + 1) as u8;
        self.sides[from].sent[index].taken |= bit;
        Ok(index)
    }

    fn settle(&mut self, setup: &Setup, n: usize, i: usize) -> Result<(), String> {
        let (id, index) = self.sides[n].open.remove(i);
        let now = self.clocks[n];
        let known = Rc::make_mut(&mut self.links[n]).settle(now, id).is_ok();
        let from = &self.sides[1 - n];
        let message = &from.sent[usize::from(index)];
        let is_owed = message.incarnation == from.incarnation && message.outcome.is_none();
        let is_open = !self.sides[n].has_ended && !from.has_ended && setup.mode != Mode::Latest;
        if known {
            self.sides[1 - n].sent[usize::from(index)].is_accepted = true;
        } else if is_owed && is_open {
            return Err(format!("side {n} could not settle {message:?}"));
        }
        self.call(setup, n, |_| ())
    }

    fn reboot(&mut self, setup: &Setup, n: usize, is_deaf: bool) -> Result<(), String> {
        self.reboots -= 1;
        if is_deaf {
            self.flights[n].clear();
        }
        if setup.memory == Memory::Everything {
            self.clocks[n] = self.clocks[n] + ASLEEP;
            let now = self.clocks[n];
            return self.call(setup, n, |link| link.handle_timeout(now));
        }
        let peer_at_boot = self.sides[1 - n].incarnation;
        let side = &mut self.sides[n];
        let incarnation = side.incarnation + 1;
        let mut to_send = std::mem::take(&mut side.to_send);
        if setup.memory == Memory::Outbox {
            let owed = side.sent.iter().filter(|m| m.incarnation + 1 == incarnation && m.outcome.is_none());
            to_send = owed.map(|m| m.ordinal).chain(to_send).collect();
        }
        *side = Side {
            incarnation,
            peer_at_boot,
            had_closed: side.had_closed || side.has_closed,
            to_send,
            sent: std::mem::take(&mut side.sent),
            ..Side::default()
        };
        self.links[n] = Rc::new(setup.boot(n, incarnation));
        self.clocks[n] = Instant::ZERO;
        self.called[n] = Instant::ZERO;
        self.call(setup, n, |_| ())
    }

    fn on_event(&mut self, setup: &Setup, n: usize, event: Event) -> Result<(), String> {
        let peer_incarnation = self.sides[1 - n].incarnation;
        let may_close = [&self.sides[0], &self.sides[1]].map(|s| s.has_closed || s.had_closed);
        let side = &mut self.sides[n];
        if side.has_ended {
            return Err(format!("side {n} reports {event:?} after its end"));
        }
        match event {
            Event::Connected if side.is_connected => return Err(format!("side {n} connects twice")),
            Event::Connected => side.is_connected = true,
            Event::PeerRestarted => {
                side.restarts_reported += 1;
                if side.restarts_reported > peer_incarnation - side.peer_at_boot {
                    return Err(format!("side {n} reports a restart that was none"));
                }
            }
            Event::Settled(id) => self.on_outcome(setup, n, id, Outcome::Settled)?,
            Event::Failed(id, FailReason::Superseded) => {
                self.on_outcome(setup, n, id, Outcome::Superseded)?;
            }
            Event::Failed(id, FailReason::PeerClosed) if may_close[1 - n] => {
                self.on_outcome(setup, n, id, Outcome::PeerClosed)?;
            }
            Event::Closed(CloseReason::Drained) if may_close[n] => side.has_ended = true,
            Event::Closed(CloseReason::Peer) if may_close[1 - n] => side.has_ended = true,
            other => return Err(format!("side {n} reports {other:?}")),
        }
        let side = &self.sides[n];
        let owes = |m: &Message| m.incarnation == side.incarnation && m.outcome.is_none();
        if side.has_ended && side.sent.iter().any(owes) {
            return Err(format!("side {n} has ended, and a message has no outcome"));
        }
        Ok(())
    }

    fn on_outcome(&mut self, setup: &Setup, n: usize, id: MessageId, outcome: Outcome) -> Result<(), String> {
        let incarnation = self.sides[n].incarnation;
        let sent = &mut self.sides[n].sent;
        let found = sent.iter().position(|m| m.incarnation == incarnation && m.id == id);
        let Some(index) = found else { return Err(format!("side {n}: {outcome:?} of {id:?}, never sent")) };
        let is_last = index + 1 == sent.len();
        let message = &mut sent[index];
        if message.outcome.is_some() {
            return Err(format!("side {n}: {outcome:?} after an outcome: {message:?}"));
        }
        if outcome == Outcome::Settled && !message.is_accepted {
            return Err(format!("side {n}: settled, and the application has not accepted it: {message:?}"));
        }
        if outcome == Outcome::Superseded && (setup.mode != Mode::Latest || is_last) {
            return Err(format!("side {n}: superseded by nothing: {message:?}"));
        }
        message.outcome = Some(outcome);
        Ok(())
    }

    /// What a sender takes for acknowledged is stored at the peer that it knows.
    fn check_acknowledged(&self) -> Result<(), String> {
        for n in 0..2 {
            let (link, peer) = (&self.links[n], &self.links[1 - n]);
            if link.peer_incarnation() != peer.incarnation() || peer.is_closed() {
                continue;
            }
            for message in &self.sides[n].sent {
                if message.incarnation == self.sides[n].incarnation
                    && link.is_acknowledged(message.id)
                    && peer.peer_incarnation() == link.incarnation()
                    && !peer.has_stored(Channel(0), message.id.sequence)
                {
                    return Err(format!("side {n}: acknowledged, and not stored: {message:?}"));
                }
            }
        }
        Ok(())
    }

    /// Nothing can happen any more: everything must be as promised.
    ///
    /// # Errors
    ///
    /// What is missing.
    pub fn check_at_rest(&self, setup: &Setup) -> Result<(), String> {
        let any_closed = self.sides.iter().any(|s| s.has_closed || s.had_closed);
        for (n, side) in self.sides.iter().enumerate() {
            for message in side.sent.iter().filter(|m| m.incarnation == side.incarnation) {
                let is_newest = side.sent.last().is_some_and(|m| m.id == message.id);
                let is_good = match message.outcome {
                    Some(Outcome::Settled) => true,
                    Some(Outcome::Superseded) => setup.mode == Mode::Latest && !is_newest,
                    Some(Outcome::PeerClosed) => any_closed,
                    None => false,
                };
                if !is_good {
                    return Err(format!("side {n} is at rest, and {message:?}"));
                }
            }
            if side.has_closed && !side.has_ended {
                return Err(format!("side {n} has closed, is at rest, and was not told the end"));
            }
            let all_accepted =
                (0..setup.messages[n]).all(|o| side.sent.iter().any(|m| m.ordinal == o && m.is_accepted));
            if setup.memory == Memory::Outbox && setup.mode != Mode::Latest && !any_closed && !all_accepted {
                return Err(format!("side {n} is at rest, and a message of its outbox was not processed"));
            }
        }
        Ok(())
    }
}
