//! Random schedules of faults on the compact link: against the full one in both roles, and against itself, over datagrams and
//! serial lines. See `ackline_tests::schedule` for the environment variables that run more, or one.

use ackline_tests::compact::Compact;
use ackline_tests::schedule::run_seeds;

/// Schedules in an ordinary test run; CI runs more.
const COUNT: u64 = 300;
/// Every how many schedules both ways of driving are compared: ten times slower than a plain run.
const COMPARED_EVERY: u64 = 6;

#[test]
fn random_schedules_with_a_compact_link_keep_every_promise() {
    assert!(run_seeds(&Compact, "compact", 0, COUNT, COMPARED_EVERY) > 0);
}
