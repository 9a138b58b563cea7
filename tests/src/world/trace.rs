//! The last things that happened, for the report of a violation, and every datagram emitted, for comparing runs.

use std::collections::VecDeque;
use std::fmt;

use crate::endpoint::Micros;

/// One datagram that an endpoint emitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Emission {
    /// When, in virtual time.
    pub at: Micros,
    /// By which node.
    pub node: usize,
    /// Its length in bytes.
    pub len: usize,
    /// A hash of its bytes.
    pub hash: u64,
}

/// The first emission in which two runs differ, looking at each node on its own (in one instant, nodes have no order).
pub fn first_difference(
    left: &[Emission],
    right: &[Emission],
) -> Option<(Option<Emission>, Option<Emission>)> {
    let node_count = left.iter().chain(right).map(|e| e.node + 1).max().unwrap_or(0);
    let differences = (0..node_count).filter_map(|node| {
        let mut ours = left.iter().filter(|e| e.node == node).copied();
        let mut theirs = right.iter().filter(|e| e.node == node).copied();
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return None,
                (a, b) if a != b => return Some((a, b)),
                _ => {}
            }
        }
    });
    let time = |e: &Option<Emission>| e.map_or(Micros::MAX, |e| e.at);
    differences.min_by_key(|(a, b)| time(a).min(time(b)))
}

/// What happened to a node.
#[derive(Clone, Debug)]
pub(super) enum What {
    Emit { len: usize, head: Vec<u8> },
    Arrive { len: usize, head: Vec<u8>, was_used: bool },
    Text(String),
}

/// A bounded list of what happened last.
#[derive(Debug)]
pub(super) struct Trace {
    entries: VecDeque<(Micros, usize, What)>,
    capacity: usize,
}

/// Entries kept unless `ACKLINE_TRACE` says otherwise.
const CAPACITY: usize = 120;

impl Trace {
    pub(super) fn new() -> Self {
        let asked = std::env::var("ACKLINE_TRACE").ok().and_then(|text| text.parse().ok());
        Trace { entries: VecDeque::new(), capacity: asked.unwrap_or(CAPACITY).max(1) }
    }

    pub(super) fn push(&mut self, at: Micros, node: usize, what: What) {
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
        }
        self.entries.push_back((at, node, what));
    }

    pub(super) fn emitted(&mut self, at: Micros, node: usize, datagram: &[u8]) {
        self.push(at, node, What::Emit { len: datagram.len(), head: head(datagram) });
    }

    pub(super) fn arrived(&mut self, at: Micros, node: usize, datagram: &[u8], was_used: bool) {
        self.push(at, node, What::Arrive { len: datagram.len(), head: head(datagram), was_used });
    }
}

/// As many bytes as identify a packet to a reader with the protocol's tables at hand.
fn head(datagram: &[u8]) -> Vec<u8> {
    datagram[..datagram.len().min(40)].to_vec()
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, node, what) in &self.entries {
            write!(f, "{:>12.3} ms  n{node}  ", *at as f64 / 1_000.0)?;
            match what {
                What::Emit { len, head } => writeln!(f, "-> {len:>4} B  {}", Hex(head))?,
                What::Arrive { len, head, was_used } => {
                    let mark = if *was_used { "<-" } else { "x-" };
                    writeln!(f, "{mark} {len:>4} B  {}", Hex(head))?;
                }
                What::Text(text) => writeln!(f, "{text}")?,
            }
        }
        Ok(())
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A hash of `bytes` that is the same in every run and on every machine (SipHash with fixed keys).
pub(super) fn hash_of(bytes: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = siphasher::sip::SipHasher24::new();
    hasher.write(bytes);
    hasher.finish()
}
