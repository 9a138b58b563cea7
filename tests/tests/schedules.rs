//! Random schedules of faults on the real link. See `ackline_tests::schedule` for the environment variables that run more,
//! or one.

use ackline_tests::link::Ackline;
use ackline_tests::schedule::{WIDE, run_seeds};

/// Schedules in an ordinary test run; CI runs more.
const COUNT: u64 = 300;
/// Every how many schedules both ways of driving are compared: ten times slower than a plain run.
const COMPARED_EVERY: u64 = 6;

// R2.1 R2.2 R2.3 R14.1 R14.3
#[test]
fn random_schedules_keep_every_promise() {
    assert!(run_seeds(&Ackline, "schedules", 0, COUNT, COMPARED_EVERY) > 0);
}

// R16.2 R16.3 R9.3 R9.5
#[test]
fn random_schedules_of_the_second_generator_keep_every_promise() {
    assert!(run_seeds(&Ackline, "schedules", WIDE, COUNT / 2, COMPARED_EVERY) > 0);
}
