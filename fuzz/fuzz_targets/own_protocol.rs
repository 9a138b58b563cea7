//! The dispenser of `ackline_fuzz::dispenser` as it should be: one portion for each order, whatever happens.
#![no_main]

use ackline_fuzz::dispenser::{Journal, run};
use ackline_fuzz::schedule::schedule;
use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(schedule) = schedule(&mut Unstructured::new(data)) {
        run(&schedule, Journal::Kept);
    }
});
