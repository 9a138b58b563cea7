//! Two endpoints under a schedule that the engine chooses, with the oracle on: lost, repeated, reordered and damaged
//! datagrams, outages, reboots, stalls and stepping clocks; and strangers' datagrams in between. Then the paths heal, and
//! everything owed must come; then nothing may happen any more.

use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::schedule::{Schedule, Subject, check, stage};
use ackline_tests::world::{Action, Drive, Verdict};
use arbitrary::{Arbitrary, Result, Unstructured};

use crate::schedule::schedule;

/// A datagram (on a serial line: bytes) from nowhere, or one of those that were emitted before, again.
#[derive(Arbitrary, Debug)]
enum Stray {
    Bytes(Vec<u8>),
    Replay(u16),
}

/// What the engine chooses.
#[derive(Debug)]
pub struct Input {
    schedule: Schedule,
    strays: Vec<(u16, bool, Stray)>,
    compares: bool,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let schedule = schedule(u)?;
        let compares = u.ratio(1, 16)?;
        Ok(Input { schedule, compares, strays: Vec::arbitrary(u)? })
    }
}

fn with_strays<S: Subject>(subject: &S, input: &Input) -> Verdict {
    let schedule = &subject.adapt(&input.schedule);
    let mut world = stage(subject, schedule, Drive::Deadlines);
    world.record_datagrams();
    let mut strays: Vec<_> = input.strays.iter().take(40).collect();
    strays.sort_by_key(|(at, ..)| *at);
    for (at, second, stray) in strays {
        let at = (Micros::from(*at % 4_000) * MILLISECOND).min(schedule.heals_at());
        world.run_until(at)?;
        let (node, bytes) = match stray {
            Stray::Bytes(bytes) => (usize::from(*second), bytes.clone()),
            Stray::Replay(which) => {
                let count = world.datagrams().len();
                let Some(index) = count.checked_sub(1 + usize::from(*which)) else { continue };
                (1 - world.emissions()[index].node, world.datagrams()[index].clone())
            }
        };
        world.at(at, Action::Inject { node, bytes });
    }
    world.run_until(schedule.heals_at() + 2 * MILLISECOND)?;
    world.converge_within(schedule.bound(subject.probe_wait_max()))?;
    world.quiet_within(2 * subject.probe_wait_max() + 5 * SECOND)?;
    Ok(())
}

/// Plays `input` with the endpoints of `subject`.
///
/// # Panics
///
/// If a promise was broken.
pub fn play<S: Subject>(subject: &S, input: &Input) {
    let verdict = if input.strays.is_empty() {
        check(subject, &input.schedule, input.compares)
    } else {
        with_strays(subject, input)
    };
    if let Err(violation) = verdict {
        panic!("{violation}\n{input:#?}");
    }
}
