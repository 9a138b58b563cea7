//! Two links under a schedule, with the oracle on: lost, repeated, reordered and damaged datagrams, outages, reboots, stalls
//! and stepping clocks, all chosen by the engine; and strangers' datagrams in between. Then the paths heal, and everything
//! owed must come; then nothing may happen any more.
#![no_main]

use ackline_fuzz::schedule::schedule;
use ackline_tests::endpoint::{MILLISECOND, Micros, SECOND};
use ackline_tests::link::{Ackline, PROBE_WAIT_MAX};
use ackline_tests::schedule::{Schedule, check, stage};
use ackline_tests::world::{Action, Drive, Verdict};
use arbitrary::{Arbitrary, Result, Unstructured};
use libfuzzer_sys::fuzz_target;

/// A datagram (on a serial line: bytes) from nowhere, or one of those that were emitted before, again.
#[derive(Arbitrary, Debug)]
enum Stray {
    Bytes(Vec<u8>),
    Replay(u16),
}

#[derive(Debug)]
struct Input {
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

fn with_strays(input: &Input) -> Verdict {
    let schedule = &input.schedule;
    let mut world = stage(&Ackline, schedule, Drive::Deadlines);
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
    world.converge_within(schedule.bound(PROBE_WAIT_MAX))?;
    world.quiet_within(2 * PROBE_WAIT_MAX + 5 * SECOND)?;
    Ok(())
}

fuzz_target!(|input: Input| {
    let verdict = if input.strays.is_empty() {
        check(&Ackline, &input.schedule, input.compares)
    } else {
        with_strays(&input)
    };
    if let Err(violation) = verdict {
        panic!("{violation}\n{input:#?}");
    }
});
