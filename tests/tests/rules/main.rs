//! Single rules of protocol.md, held against a link by a peer made by hand. The number of a rule stands above the test that
//! proves it; `traceability.rs` demands one for every rule.

mod acknowledging;
mod closing;
mod frames;
mod hello;
mod listening;
mod messages;
mod packets;
mod recovery;
mod restart;
mod settling;
