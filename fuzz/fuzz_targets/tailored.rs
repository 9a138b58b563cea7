//! A tailored endpoint with everything on and a full link, or two of them, under a schedule; see `ackline_fuzz::two_ends`.
#![no_main]

use ackline_fuzz::two_ends::{Input, play};
use ackline_tests::tailored::AllFeatures;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| play(&AllFeatures, &input));
