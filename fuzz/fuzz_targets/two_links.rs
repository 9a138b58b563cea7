//! Two full links under a schedule; see `ackline_fuzz::two_ends`.
#![no_main]

use ackline_fuzz::two_ends::{Input, play};
use ackline_tests::link::Ackline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| play(&Ackline, &input));
