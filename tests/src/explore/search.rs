//! Depth-first search through all states.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use super::DEPTH_MAX;
use super::model::{State, Step};
use super::setup::Setup;

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Different states.
    pub state_count: u64,
    /// Steps taken, those to known states included.
    pub step_count: u64,
    /// States in which nothing could happen any more.
    pub rest_count: u64,
    /// Steps from the beginning to the end of the longest run.
    pub depth: usize,
    /// Whether every reachable state was visited.
    pub is_complete: bool,
    /// How long it took.
    pub took: Duration,
    /// What was broken first, with the steps that led there.
    pub violation: Option<Violation>,
}

/// A broken promise, and how to get there.
#[derive(Clone, Debug)]
pub struct Violation {
    /// What was broken.
    pub what: String,
    /// The steps from the beginning, with the datagrams under way after each.
    pub trace: Vec<String>,
}

/// Steps that a report of a run without end shows.
const SHOWN_MAX: usize = 60;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.trace.iter().take(SHOWN_MAX).enumerate() {
            writeln!(f, "{:>3}  {line}", i + 1)?;
        }
        if self.trace.len() > SHOWN_MAX {
            writeln!(f, "...  {} more", self.trace.len() - SHOWN_MAX)?;
        }
        write!(f, "{}", self.what)
    }
}

/// Plays `steps` once more and says of each what it was and what was under way afterwards.
fn trace(setup: &Setup, steps: &[Step]) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(mut state) = State::new(setup) else { return lines };
    for step in steps {
        match state.after(setup, *step) {
            Ok(Some(next)) => state = next,
            _ => {
                lines.push(format!("{step:?}"));
                break;
            }
        }
        lines.push(format!("{step:?}{}", state.under_way()));
    }
    lines
}

/// The digests are hashes already.
#[derive(Default)]
struct Low(u64);

impl Hasher for Low {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only digests are hashed");
    }
    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

struct Frame {
    state: State,
    steps: Vec<Step>,
    next: usize,
}

/// Visits every state of `setup` that can be reached, at most `state_max` of them, and stops at the first broken promise.
///
/// # Panics
///
/// If the link does, after printing the steps that led there.
pub fn explore(setup: &Setup, state_max: u64) -> Report {
    let began = Instant::now();
    let mut seen: HashSet<u128, BuildHasherDefault<Low>> = HashSet::default();
    let mut report = Report {
        state_count: 1,
        step_count: 0,
        rest_count: 0,
        depth: 0,
        is_complete: true,
        took: Duration::ZERO,
        violation: None,
    };
    let mut stack = match State::new(setup) {
        Ok(first) => {
            seen.insert(first.digest());
            vec![frame(setup, first)]
        }
        Err(what) => {
            report.violation = Some(Violation { what, trace: Vec::new() });
            Vec::new()
        }
    };
    while let Some(top) = stack.last_mut() {
        let Some(step) = top.steps.get(top.next).copied() else {
            stack.pop();
            continue;
        };
        top.next += 1;
        report.step_count += 1;
        let child = top.state.after(setup, step);
        let path = |stack: &[Frame]| -> Vec<Step> { stack.iter().map(|f| f.steps[f.next - 1]).collect() };
        let child = match child {
            Ok(Some(child)) => child,
            Ok(None) => continue,
            Err(what) => {
                report.violation = Some(Violation { what, trace: trace(setup, &path(&stack)) });
                break;
            }
        };
        if !seen.insert(child.digest()) {
            continue;
        }
        report.state_count += 1;
        report.depth = report.depth.max(stack.len());
        if report.state_count >= state_max {
            report.is_complete = false;
            break;
        }
        let next = frame(setup, child);
        let is_at_rest = !next.steps.iter().any(|s| !s.is_fault());
        report.rest_count += u64::from(is_at_rest);
        let verdict = if is_at_rest { next.state.check_at_rest(setup) } else { Ok(()) };
        let verdict = verdict.and(if stack.len() < DEPTH_MAX {
            Ok(())
        } else {
            Err(format!("not at rest after {DEPTH_MAX} steps"))
        });
        if let Err(what) = verdict {
            report.violation = Some(Violation { what, trace: trace(setup, &path(&stack)) });
            break;
        }
        stack.push(next);
    }
    report.took = began.elapsed();
    report
}

fn frame(setup: &Setup, state: State) -> Frame {
    let steps = state.steps(setup);
    Frame { state, steps, next: 0 }
}
