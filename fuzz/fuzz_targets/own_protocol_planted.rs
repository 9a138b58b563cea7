//! The same with a planted bug: it forgets its journal. `fuzz/run` demands that this is found.
#![no_main]

use ackline_fuzz::dispenser::{Journal, run};
use ackline_fuzz::schedule::schedule;
use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(schedule) = schedule(&mut Unstructured::new(data)) {
        run(&schedule, Journal::Forgotten);
    }
});
