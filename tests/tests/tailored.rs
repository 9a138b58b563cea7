//! Random schedules of faults on tailored endpoints with everything on: against the full link in both roles, and against
//! themselves, over datagrams and serial lines. See `ackline_tests::schedule` for the environment variables that run more, or one.

use ackline_tests::schedule::{check, run_seeds, schedule_of};
use ackline_tests::tailored::AllFeatures;

/// Schedules in an ordinary test run; CI runs more.
const COUNT: u64 = 300;
/// Every how many schedules both ways of driving are compared: ten times slower than a plain run.
const COMPARED_EVERY: u64 = 6;

#[test]
fn random_schedules_with_a_tailored_link_keep_every_promise() {
    assert!(run_seeds(&AllFeatures, "tailored", 0, COUNT, COMPARED_EVERY) > 0);
}

/// What broke: a value whose predecessor had been withdrawn when half of it was acknowledged began with its second half; short stray
/// packets were not answered.
#[test]
fn schedules_that_once_broke_a_promise_keep_it() {
    for seed in [1_260, 1_270, 1_509, 1_749, 1_812, 1_951, 2_960, 2_979, 17_233] {
        if let Err(violation) = check(&AllFeatures, &schedule_of(seed), false) {
            panic!("seed {seed}: {violation}");
        }
    }
}
