//! What users of other protocols suffered, as tests that it does not happen here. Each names the public thread in which it
//! was reported.

mod duplicates;
mod numbers;
mod reboots;
mod reliability;
mod timers;
