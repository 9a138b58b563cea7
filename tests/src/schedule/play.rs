//! Plays schedules: once, twice in two ways of driving for comparison, or by the thousand.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::strategy::{BoxedStrategy, Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::{Fault, NodePlan, Schedule, WIDE, schedules, wide_schedules};
use crate::endpoint::{Factory, MILLISECOND, Micros, SECOND};
use crate::net::Framing;
use crate::oracle::{Broken, Contract, Rule};
use crate::random::mix;
use crate::world::{
    Action, Drive, Emission, NodeSetup, Reader, Take, Traffic, Verdict, World, first_difference,
    take_panic_trace,
};

/// The protocol that schedules are played with.
pub trait Subject {
    /// Boots its endpoints.
    type Factory: Factory;
    /// What it plays of a schedule that asks for more than it has.
    fn adapt(&self, schedule: &Schedule) -> Schedule {
        schedule.clone()
    }
    /// The factory for this schedule's carrier and nodes.
    fn factory(&self, schedule: &Schedule) -> Self::Factory;
    /// What a node of this schedule promises. Channels 0 to 5 are used, by the [second generator](super::WIDE) all; those
    /// beyond the contract are ordered, or refused.
    fn contract(&self, plan: &NodePlan) -> Contract;
    /// Frames datagrams on a serial line.
    fn framing(&self) -> fn() -> Box<dyn Framing>;
    /// The longest wait between two probes of an endpoint that has something to send and hears nothing.
    fn probe_wait_max(&self) -> Micros;
}

/// The world of `schedule` before anything has happened.
pub fn stage<S: Subject>(subject: &S, schedule: &Schedule, drive: Drive) -> World<S::Factory> {
    let mut world = World::new(schedule.seed, drive, subject.factory(schedule));
    let setup = |node: usize| {
        let plan = &schedule.nodes[node];
        let period = Micros::from(plan.reads_every) * MILLISECOND;
        let take = if period == 0 { Take::AtOnce } else { Take::Slowly { period, count: 4 } };
        let settle_after = Micros::from(plan.settles_after) * MILLISECOND;
        let path = schedule.path(schedule.weather[node]);
        let is_serial = path.serial.is_some();
        let mut setup =
            NodeSetup::new(subject.contract(plan)).path(path).reader(Reader { take, settle_after });
        setup.connects = plan.connects;
        setup.reopens = true;
        if is_serial { setup.framing(subject.framing()) } else { setup }
    };
    world.add_pair(setup(0), setup(1));
    for flow in &schedule.flows {
        world.offer(Traffic {
            node: usize::from(flow.node),
            channel: flow.channel,
            start: Micros::from(flow.start) * MILLISECOND,
            period: Micros::from(flow.period) * MILLISECOND,
            count: u32::from(flow.count),
            len_min: usize::from(flow.len_min),
            len_max: usize::from(flow.len_max),
            deadline: flow.deadline.map(|ms| Micros::from(ms) * MILLISECOND),
        });
    }
    add_steps(&mut world, schedule);
    let heals_at = schedule.heals_at();
    world.at(heals_at, Action::Heal);
    // A node that only listens cannot know that it has to wake a peer which was idle while it rebooted; the peer's next message
    // does.
    for (node, plan) in schedule.nodes.iter().enumerate() {
        if plan.connects {
            world.offer(Traffic::new(node, 0, 1, 12, 0).starting(heals_at + MILLISECOND));
        }
    }
    world
}

/// Plays `schedule` and answers every emission, or what was broken.
pub fn play<S: Subject>(subject: &S, schedule: &Schedule, drive: Drive) -> Verdict<Vec<Emission>> {
    let schedule = &subject.adapt(schedule);
    let mut world = stage(subject, schedule, drive);
    world.run_until(schedule.heals_at() + 2 * MILLISECOND)?;
    world.converge_within(schedule.bound(subject.probe_wait_max()))?;
    // Everything is settled, so what is left is a few acknowledgements, and deadlines that passed.
    let rest = 2 * subject.probe_wait_max() + 5 * SECOND;
    if schedule.nodes.iter().any(|n| n.keep_alive.is_some()) {
        world.run_until(world.now() + rest)?;
        beat(&mut world, schedule)?;
    } else {
        world.quiet_within(rest)?;
    }
    if let Some(node) = schedule.closes {
        close(&mut world, usize::from(node), subject.probe_wait_max())?;
    }
    Ok(world.emissions().to_vec())
}

/// At rest, a node with a keep-alive says as often as asked that it is there, and nobody says much more than that.
fn beat<F: Factory>(world: &mut World<F>, schedule: &Schedule) -> Verdict {
    let periods = schedule.nodes.map(|n| n.keep_alive.map(|ms| Micros::from(ms) * MILLISECOND));
    let (start, before) = (world.now(), world.emissions().len());
    let watched = 10 * SECOND;
    world.run_until(start + watched)?;
    let told = world.emissions()[before..].to_vec();
    // A ping, its acknowledgement, and both once more: what is acknowledged late is probed.
    let allowed: u64 = periods.iter().flatten().map(|period| 4 * (watched / period + 2)).sum();
    if told.len() as u64 > allowed {
        let detail = format!("{} datagrams at rest in {watched} µs, {allowed} allowed", told.len());
        return Err(world.violation(Broken::new(Rule::Quiet, detail)));
    }
    for (node, period) in periods.iter().enumerate().filter_map(|(n, p)| Some((n, (*p)?))) {
        // While a ping is on its way, it is the probes that speak.
        let silence_max = period + 4 * schedule.crossing() + SECOND;
        let mut last = start;
        let times = told.iter().filter(|e| e.node == node).map(|e| e.at);
        for at in times.chain([start + watched]) {
            if at - last > silence_max {
                let detail =
                    format!("n{node} was silent from {last} to {at} µs, with a keep-alive of {period}");
                return Err(world.violation(Broken::new(Rule::Quiet, detail)));
            }
            last = at;
        }
    }
    Ok(())
}

fn close<F: Factory>(world: &mut World<F>, node: usize, probe_wait_max: Micros) -> Verdict {
    let end = world.now();
    world.at(end, Action::Close { node });
    world.run_until(end + 1)?;
    // Without a link there is nothing to keep alive.
    world.quiet_within(4 * probe_wait_max + 5 * SECOND)?;
    if world.oracle().ended(node).is_none() {
        let detail = format!("n{node} closed at rest, came to rest, and did not report its end");
        return Err(world.violation(Broken::new(Rule::Converges, detail)));
    }
    Ok(())
}

fn add_steps<F: Factory>(world: &mut World<F>, schedule: &Schedule) {
    let millis = |t: u16| Micros::from(t) * MILLISECOND;
    for step in &schedule.steps {
        let node = usize::from(step.node);
        let at = millis(step.at);
        let action = match step.fault {
            Fault::Weather(weather) => {
                let config = Box::new(schedule.path(weather));
                Action::SetPath { node, config }
            }
            Fault::Outage(t) => Action::Outage { node, lasting: millis(t) },
            Fault::Mtu { mtu, lasting } => {
                world.at(at + millis(lasting), Action::Mtu { node, mtu: 65_507 });
                Action::Mtu { node, mtu: usize::from(mtu) }
            }
            Fault::LoseNth(n) => Action::LoseNth { node, n: u64::from(n) },
            Fault::Reboot(t) => Action::Reboot { node, down: millis(t), keeps_memory: false },
            Fault::Sleep(t) => Action::Reboot { node, down: millis(t), keeps_memory: true },
            Fault::Stall(t) => Action::Stall { node, lasting: millis(t) },
            Fault::StepClock(by) => Action::StepClock { node, by: i64::from(by) * 1_000 },
            Fault::PauseReader(t) => Action::PauseReader { node, lasting: millis(t) },
        };
        world.at(at, action);
    }
}

/// Plays `schedule` driven at deadlines, and demands that driving every 100 µs emits the same bytes at the same times: besides
/// the deadlines, and (`coarse`) instead of them.
pub fn check<S: Subject>(subject: &S, schedule: &Schedule, compares: bool) -> Verdict {
    let exact = play(subject, schedule, Drive::Deadlines)?;
    if !compares || schedule.steps_back() {
        return Ok(());
    }
    let ticked = play(subject, schedule, Drive::DeadlinesAndTicks(100))?;
    compare(&exact, &ticked, "driven every 100 µs besides")?;
    let coarse = play(subject, schedule, Drive::CoarseDeadlines(100))?;
    let ticks = play(subject, schedule, Drive::Ticks(100))?;
    compare(&coarse, &ticks, "driven every 100 µs instead")
}

fn compare(left: &[Emission], right: &[Emission], how: &str) -> Verdict {
    let Some((seldom, often)) = first_difference(left, right) else { return Ok(()) };
    let detail = format!("at deadlines {seldom:?}, {how} {often:?}");
    let at = seldom.or(often).map_or(0, |e| e.at);
    let broken = Broken::new(Rule::DriveIndependent, detail);
    Err(Box::new(crate::world::Violation { broken, at, trace: String::new() }))
}

/// Plays the schedules of `count` seeds from `first` on, or what the environment asks for (see the [module](super)), every
/// `compared_every`th of them in both ways of driving. Answers how many were played.
///
/// # Panics
///
/// If one fails: with the shrunk schedule, the trace of its failure, and the command that replays it. `test` is the name of the
/// test for that command.
pub fn run_seeds<S: Subject>(subject: &S, test: &str, first: u64, count: u64, compared_every: u64) -> u64 {
    let from_environment = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match from_environment("ACKLINE_SEED") {
        Some(seed) => (seed, 1),
        None => (
            from_environment("ACKLINE_FIRST").unwrap_or(first),
            from_environment("ACKLINE_SCHEDULES").unwrap_or(count),
        ),
    };
    for seed in first..first + count {
        let compares = count == 1 || seed.is_multiple_of(compared_every);
        if let Some(Failing { schedule, report, .. }) = failing(subject, seed, compares) {
            panic!(
                "seed {seed}, shrunk to {schedule:#?}\n{report}\n\
                 replay: ACKLINE_SEED={seed} cargo test -p ackline-tests --test {test}"
            );
        }
    }
    count
}

/// Candidates tried when shrinking.
const SHRINK_MAX: u32 = 600;

/// A schedule that breaks a rule.
#[derive(Debug)]
pub struct Failing {
    /// The simplest that was found.
    pub schedule: Schedule,
    /// What it breaks; `None` if the endpoint panicked.
    pub rule: Option<Rule>,
    /// The trace and the violation.
    pub report: String,
}

fn runner_of(seed: u64) -> TestRunner {
    let mut bytes = [0; 32];
    for (i, word) in bytes.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&mix(seed ^ ((i as u64) << 56)).to_le_bytes());
    }
    let config = Config { max_shrink_iters: SHRINK_MAX, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn strategy_of(seed: u64) -> BoxedStrategy<Schedule> {
    if seed < WIDE { schedules().boxed() } else { wide_schedules().boxed() }
}

/// The schedule of `seed`.
pub fn schedule_of(seed: u64) -> Schedule {
    strategy_of(seed).new_tree(&mut runner_of(seed)).expect("the strategy rejects nothing").current()
}

/// Plays the schedule of `seed`, compared in both ways of driving if `compares`; shrinks it if it fails.
pub fn failing<S: Subject>(subject: &S, seed: u64, compares: bool) -> Option<Failing> {
    let mut runner = runner_of(seed);
    let tree = strategy_of(seed).new_tree(&mut runner).expect("the strategy rejects nothing");
    // While shrinking, another broken rule is another defect: stay with the first.
    let rule = Cell::new(None);
    let result = runner.run_one(tree, |schedule| match check(subject, &schedule, compares) {
        Err(violation) if rule.get().is_none_or(|first| first == violation.broken.rule) => {
            rule.set(Some(violation.broken.rule));
            Err(TestCaseError::fail(violation.to_string()))
        }
        _ => Ok(()),
    });
    match result {
        Ok(_) => None,
        Err(TestError::Fail(reason, schedule)) => {
            // Play it once more: shrinking ends with a candidate that passed.
            let again = catch_unwind(AssertUnwindSafe(|| check(subject, &schedule, compares)));
            let trace = if again.is_err() { take_panic_trace() } else { String::new() };
            Some(Failing { schedule, rule: rule.get(), report: format!("{trace}{reason}") })
        }
        Err(TestError::Abort(reason)) => panic!("seed {seed}: {reason}"),
    }
}
