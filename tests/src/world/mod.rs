//! Virtual time: [`World`] runs endpoints, paths and applications from event to event, and tells the oracle everything.
//!
//! Nothing in a world depends on anything but its setup and its seed: the same world run twice emits the same bytes at the
//! same virtual times. Events of one instant happen in a fixed order: arrivals, then applications and faults, then timers,
//! each in the order in which they were scheduled; driving endpoints more often ([`Drive`]) therefore changes nothing but the
//! number of calls.

mod action;
mod application;
mod node;
mod run;
mod trace;

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

pub use action::Action;
pub use application::{Reader, Take, Traffic};
pub use node::NodeSetup;
pub use trace::{Emission, first_difference};

use crate::endpoint::{Boot, Endpoint, Factory, Micros};
use crate::net::{Path, PathStats};
use crate::oracle::{Broken, Oracle, Record, Rule};
use crate::random::Random;
use application::Source;
use node::{Node, Work};
use trace::{Trace, What};

/// When endpoints are given the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drive {
    /// Exactly when `poll_timeout` says, and at no other time.
    Deadlines,
    /// When `poll_timeout` says, and every so many microseconds besides. Must emit the same bytes as [`Drive::Deadlines`].
    DeadlinesAndTicks(Micros),
    /// At the first multiple of so many microseconds that is not before what `poll_timeout` says: a coarse timer.
    CoarseDeadlines(Micros),
    /// At every multiple of so many microseconds, whatever `poll_timeout` says. Must emit the same bytes as
    /// [`Drive::CoarseDeadlines`].
    Ticks(Micros),
}

impl Drive {
    fn tick(self) -> Option<Micros> {
        match self {
            Drive::DeadlinesAndTicks(tick) | Drive::Ticks(tick) => Some(tick),
            Drive::Deadlines | Drive::CoarseDeadlines(_) => None,
        }
    }
}

/// A promise was broken. Shows the rule, the time, and the last events.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which rule, and how.
    pub broken: Broken,
    /// When, in virtual time.
    pub at: Micros,
    /// The last events before it.
    pub trace: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.trace)?;
        write!(f, "broken at {:.3} ms: {}", self.at as f64 / 1_000.0, self.broken)
    }
}

impl std::error::Error for Violation {}

/// `Err` is a broken promise.
pub type Verdict<T = ()> = Result<T, Box<Violation>>;

/// The class of an event decides the order within one instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Class {
    Arrival,
    Application,
    Timer,
}

enum Event<D> {
    /// What the sender emitted in the given incarnation of it.
    Arrive {
        node: usize,
        incarnation: u32,
        bytes: Vec<u8>,
    },
    Boot {
        node: usize,
    },
    Offer {
        source: usize,
    },
    Take {
        node: usize,
    },
    Settle {
        node: usize,
        work: Work<D>,
    },
    Act(Action),
    EndOutage {
        node: usize,
    },
    Wake {
        node: usize,
        generation: u64,
    },
}

struct Scheduled<D> {
    at: Micros,
    class: Class,
    sequence: u64,
    event: Event<D>,
}

impl<D> Scheduled<D> {
    fn order(&self) -> (Micros, Class, u64) {
        (self.at, self.class, self.sequence)
    }
}

impl<D> PartialEq for Scheduled<D> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<D> Eq for Scheduled<D> {}

impl<D> PartialOrd for Scheduled<D> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<D> Ord for Scheduled<D> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

type DeliveryOf<F> = <<F as Factory>::Endpoint as Endpoint>::DeliveryId;
type MessageOf<F> = <<F as Factory>::Endpoint as Endpoint>::MessageId;

/// Endpoints, the paths between them, and their applications, in virtual time.
pub struct World<F: Factory> {
    seed: u64,
    factory: F,
    drive: Drive,
    now: Micros,
    sequence: u64,
    queue: BinaryHeap<Reverse<Scheduled<DeliveryOf<F>>>>,
    nodes: Vec<Node<F::Endpoint>>,
    sources: Vec<Source>,
    oracle: Oracle<MessageOf<F>>,
    trace: Trace,
    emissions: Vec<Emission>,
    /// Kept only if asked for: see [`World::record_datagrams`].
    datagrams: Option<Vec<Vec<u8>>>,
    in_flight_count: usize,
    last_emission: Micros,
    buffer: Vec<u8>,
    payload: Vec<u8>,
}

thread_local! {
    /// What led to the last panic of an endpoint on this thread.
    static PANIC_TRACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The trace of the world that was dropped last by a panic on this thread; empty if there was none since the last call.
pub fn take_panic_trace() -> String {
    PANIC_TRACE.take()
}

impl<F: Factory> Drop for World<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            PANIC_TRACE.set(self.trace.to_string());
        }
    }
}

impl<F: Factory> World<F> {
    /// An empty world.
    pub fn new(seed: u64, drive: Drive, factory: F) -> Self {
        World {
            seed,
            factory,
            drive,
            now: 0,
            sequence: 0,
            queue: BinaryHeap::new(),
            nodes: Vec::new(),
            sources: Vec::new(),
            oracle: Oracle::default(),
            trace: Trace::new(),
            emissions: Vec::new(),
            datagrams: None,
            in_flight_count: 0,
            last_emission: 0,
            buffer: vec![0; 65_536],
            payload: Vec::new(),
        }
    }

    /// Adds two nodes that are each other's peer. Answers their indices.
    pub fn add_pair(&mut self, first: NodeSetup, second: NodeSetup) -> (usize, usize) {
        let a = self.nodes.len();
        let b = a + 1;
        for (index, peer, setup) in [(a, b, first), (b, a, second)] {
            self.oracle.add_node(setup.contract.clone(), peer);
            let random = Random::labelled(self.seed, 1_000 + index as u64);
            let path = Path::new(setup.path.clone(), random);
            let boots_at = setup.boots_at.max(self.now);
            self.nodes.push(Node::new(index, peer, setup, path));
            self.schedule(boots_at, Class::Application, Event::Boot { node: index });
        }
        (a, b)
    }

    /// Adds messages to be offered.
    pub fn offer(&mut self, traffic: Traffic) {
        let source = self.sources.len();
        let random = Random::labelled(self.seed, 2_000_000 + source as u64);
        self.sources.push(Source::new(traffic, random));
        self.schedule_offer(source);
    }

    /// Has `action` happen at `at` (now, if that has passed).
    pub fn at(&mut self, at: Micros, action: Action) {
        self.schedule(at.max(self.now), Class::Application, Event::Act(action));
    }

    /// Keeps every emitted datagram for [`World::datagrams`], from now on.
    pub fn record_datagrams(&mut self) {
        self.datagrams = Some(Vec::new());
    }

    /// The time.
    pub fn now(&self) -> Micros {
        self.now
    }

    /// What the oracle knows.
    pub fn oracle(&self) -> &Oracle<MessageOf<F>> {
        &self.oracle
    }

    /// Every accepted message.
    pub fn records(&self) -> &[Record] {
        self.oracle.records()
    }

    /// Every datagram emitted so far: when, by whom, how long, and its hash.
    pub fn emissions(&self) -> &[Emission] {
        &self.emissions
    }

    /// The bytes of the datagrams emitted since [`World::record_datagrams`].
    pub fn datagrams(&self) -> &[Vec<u8>] {
        self.datagrams.as_deref().unwrap_or_default()
    }

    /// The endpoint of `node`, unless its power is off.
    pub fn endpoint(&self, node: usize) -> Option<&F::Endpoint> {
        self.nodes[node].endpoint.as_ref()
    }

    /// Counters of the path on which `node` sends.
    pub fn path_stats(&self, node: usize) -> PathStats {
        self.nodes[node].path.stats()
    }

    /// The path on which `node` sends.
    pub fn path_mut(&mut self, node: usize) -> &mut Path {
        &mut self.nodes[node].path
    }

    /// The time from offer to first delivery of every delivered message that `select` picks, ascending.
    pub fn latencies(&self, select: impl Fn(&Record) -> bool) -> Vec<Micros> {
        let mut latencies: Vec<_> =
            self.records().iter().filter(|r| select(r)).filter_map(Record::latency).collect();
        latencies.sort_unstable();
        latencies
    }

    /// The last events, one a line, for a person.
    pub fn trace(&self) -> String {
        self.trace.to_string()
    }

    /// A violation now, with the trace so far.
    pub fn violation(&self, broken: Broken) -> Box<Violation> {
        Box::new(Violation { broken, at: self.now, trace: self.trace.to_string() })
    }

    fn schedule(&mut self, at: Micros, class: Class, event: Event<DeliveryOf<F>>) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled { at, class, sequence: self.sequence, event }));
    }

    fn note(&mut self, node: usize, text: impl Into<String>) {
        self.trace.push(self.now, node, What::Text(text.into()));
    }

    fn judge<T>(&self, verdict: Result<T, Broken>) -> Verdict<T> {
        verdict.map_err(|broken| self.violation(broken))
    }

    fn boot(&mut self, index: usize) -> Verdict {
        let (seed, now) = (self.seed, self.now);
        let node = &mut self.nodes[index];
        let local = node.local(now);
        node.boots += 1;
        let memory = node.kept_memory.take();
        let keeps_memory = memory.is_some();
        let seed = Random::labelled(seed, (index as u64) << 32 | node.boots).bits();
        let boot = Boot { node: index, incarnation: node.incarnation, seed, now: local, memory };
        let mut endpoint = self.factory.boot(boot);
        if node.connects && !keeps_memory {
            endpoint.connect(local);
        }
        node.endpoint = Some(endpoint);
        node.has_booted = true;
        node.decoder = node.make_framing.map(|make| make());
        let connects = node.connects;
        for work in std::mem::take(&mut self.nodes[index].kept_work) {
            self.schedule(now, Class::Application, Event::Settle { node: index, work });
        }
        self.plan_take(index);
        self.note(index, format!("boots{}", if connects { " and connects" } else { "" }));
        for source in 0..self.sources.len() {
            if self.sources[source].traffic.node == index {
                self.sources[source].is_blocked = false;
                // Before the first datagram leaves: what is due can ride with the hello.
                self.offer_from(source)?;
            }
        }
        self.service(index)
    }

    fn act(&mut self, action: Action) -> Verdict {
        match action {
            Action::SetPath { node, config } => *self.nodes[node].path.config_mut() = *config,
            Action::Mtu { node, mtu } => self.nodes[node].path.config_mut().mtu = mtu,
            Action::LoseNth { node, n } => self.nodes[node].path.lose_nth(n),
            Action::Outage { node, lasting } => {
                self.note(node, format!("sends into an outage of {lasting} µs"));
                self.nodes[node].path.config_mut().is_down = true;
                self.schedule(self.now + lasting, Class::Application, Event::EndOutage { node });
            }
            Action::Heal => {
                for node in &mut self.nodes {
                    node.path.heal();
                }
                self.note(0, "all paths heal");
            }
            Action::Reboot { node, down, keeps_memory } => self.power_off(node, down, keeps_memory),
            Action::Stall { node, lasting } => {
                self.note(node, format!("stalls for {lasting} µs"));
                let until = self.now + lasting;
                self.nodes[node].stalled_until = self.nodes[node].stalled_until.max(until);
                self.schedule_wake(node, until);
            }
            Action::StepClock { node, by } => {
                self.note(node, format!("steps its clock by {by} µs"));
                self.nodes[node].step_clock(by);
                self.arm(node)?;
            }
            Action::PauseReader { node, lasting } => {
                let until = self.now + lasting;
                self.nodes[node].paused_until = self.nodes[node].paused_until.max(until);
                self.schedule(until, Class::Application, Event::Take { node });
            }
            Action::SetReader { node, reader } => {
                self.nodes[node].reader = reader;
                self.schedule(self.now, Class::Application, Event::Take { node });
            }
            Action::Inject { node, bytes } => {
                self.in_flight_count += 1;
                let sender = self.nodes[node].peer;
                return self.arrive(node, self.oracle.incarnation(sender), bytes);
            }
            Action::Offer(traffic) => {
                self.offer(Traffic { start: traffic.start.max(self.now), ..traffic });
            }
            Action::Close { node } => return self.end(node, false),
            Action::Abort { node } => return self.end(node, true),
        }
        Ok(())
    }

    fn power_off(&mut self, index: usize, down: Micros, keeps_memory: bool) {
        self.note(
            index,
            format!("loses power for {down} µs{}", if keeps_memory { ", keeps memory" } else { "" }),
        );
        let node = &mut self.nodes[index];
        if node.endpoint.is_none() {
            return;
        }
        let endpoint = node.endpoint.take();
        node.wake_generation += 1;
        if keeps_memory {
            node.kept_memory = endpoint;
        } else {
            node.incarnation += 1;
            node.kept_work.clear();
            self.oracle.on_reboot(index);
        }
        self.schedule(self.now + down, Class::Application, Event::Boot { node: index });
    }

    fn end(&mut self, index: usize, aborts: bool) -> Verdict {
        let now = self.now;
        let node = &mut self.nodes[index];
        let local = node.local(now);
        let Some(endpoint) = node.endpoint.as_mut() else { return Ok(()) };
        if aborts {
            endpoint.abort(local);
        } else {
            endpoint.close(local);
        }
        self.oracle.on_close(index);
        self.note(index, if aborts { "aborts" } else { "closes" });
        self.service(index)
    }

    /// Runs until `time`.
    pub fn run_until(&mut self, time: Micros) -> Verdict {
        while self.step(time)? {}
        self.now = self.now.max(time);
        Ok(())
    }

    /// Runs until every message that is owed an outcome has one and every source is exhausted, for at most `bound` more;
    /// then demands it.
    pub fn converge_within(&mut self, bound: Micros) -> Verdict {
        let limit = self.now + bound;
        while self.is_owing() && self.step(limit)? {}
        if self.is_owing() {
            self.now = limit;
            let open: u32 = self.sources.iter().filter(|s| s.next_at().is_some()).count() as u32;
            self.judge(self.oracle.check_converged())?;
            let detail = format!("{open} sources were not served within {bound} µs");
            return Err(self.violation(Broken::new(Rule::Converges, detail)));
        }
        self.judge(self.oracle.check_converged())
    }

    fn is_owing(&self) -> bool {
        self.oracle.owed() > 0 || self.sources.iter().any(|s| s.next_at().is_some())
    }

    /// Runs until nothing is in flight and no endpoint asks for the clock, for at most `bound` more; then demands it of every
    /// node without a keep-alive.
    pub fn quiet_within(&mut self, bound: Micros) -> Verdict {
        let limit = self.now + bound;
        while !self.is_quiet() && self.step(limit)? {}
        if self.is_quiet() {
            return Ok(());
        }
        let pending: Vec<_> = (0..self.nodes.len())
            .filter_map(|n| Some((n, self.nodes[n].endpoint.as_ref()?.poll_timeout()?)))
            .map(|(n, at)| format!("n{n} at {} µs", self.nodes[n].world_time(at)))
            .collect();
        let detail = format!(
            "{} datagrams in flight, last emission at {} µs, timers: {pending:?}",
            self.in_flight_count, self.last_emission
        );
        Err(self.violation(Broken::new(Rule::Quiet, detail)))
    }

    fn is_quiet(&self) -> bool {
        let asks = |n: &Node<F::Endpoint>| n.endpoint.as_ref().is_none_or(|e| e.poll_timeout().is_some());
        self.in_flight_count == 0 && !self.nodes.iter().any(asks)
    }
}
