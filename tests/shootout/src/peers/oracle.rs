//! The bound on everything that waits for losses.
//!
//! The sender knows the rate of the link and keeps to it, fills every datagram without spending a byte on headers, and
//! learns of each loss one propagation delay after the datagram should have arrived: as early as a receiver that misses
//! it at that moment can let it know. Lost bytes go out again before new ones. Whatever only *reacts* to losses can not be
//! faster; what repeats unasked can.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use ackline_tests::endpoint::Micros;

use crate::peer::{Datagram, Pair, Peer, Setting};
use crate::scenario::LinkSpec;

/// Part of a message.
#[derive(Clone, Copy)]
struct Piece {
    message: u64,
    message_len: usize,
    from: usize,
    len: usize,
}

/// Bytes of a [`Piece`] in the rider of a datagram.
const PIECE_LEN: usize = 32;

impl Piece {
    fn write(self, rider: &mut Vec<u8>) {
        for field in [self.message, self.message_len as u64, self.from as u64, self.len as u64] {
            rider.extend(field.to_le_bytes());
        }
    }

    fn read(bytes: &[u8]) -> Self {
        let field = |n| word(bytes, n) as usize;
        Piece { message: word(bytes, 0), message_len: field(1), from: field(2), len: field(3) }
    }
}

/// The `n`th eight bytes.
fn word(bytes: &[u8], n: usize) -> u64 {
    u64::from_le_bytes(bytes[8 * n..8 * n + 8].try_into().expect("8 bytes"))
}

struct Oracle {
    link: LinkSpec,
    is_ordered: bool,
    messages: HashMap<u64, Vec<u8>>,
    next_message: u64,
    fresh: VecDeque<Piece>,
    fresh_len: usize,
    lost: VecDeque<Vec<Piece>>,
    flying: HashMap<u64, Vec<Piece>>,
    next_tag: u64,
    free_at_ns: u64,
    arriving: HashMap<u64, (Vec<u8>, usize)>,
    arrived_tags: HashSet<u64>,
    waiting: BTreeMap<u64, Vec<u8>>,
    next_out: u64,
    incoming: VecDeque<Vec<u8>>,
}

/// Delivers in order.
pub fn ordered(setting: &Setting) -> Pair {
    pair(setting, true)
}

/// Delivers as it arrives.
pub fn unordered(setting: &Setting) -> Pair {
    pair(setting, false)
}

fn pair(setting: &Setting, is_ordered: bool) -> Pair {
    let end = || Oracle {
        link: setting.link.clone(),
        is_ordered,
        messages: HashMap::new(),
        next_message: 0,
        fresh: VecDeque::new(),
        fresh_len: 0,
        lost: VecDeque::new(),
        flying: HashMap::new(),
        next_tag: 0,
        free_at_ns: 0,
        arriving: HashMap::new(),
        arrived_tags: HashSet::new(),
        waiting: BTreeMap::new(),
        next_out: 0,
        incoming: VecDeque::new(),
    };
    [Box::new(end()), Box::new(end())]
}

impl Oracle {
    fn next_pieces(&mut self) -> Vec<Piece> {
        if let Some(pieces) = self.lost.pop_front() {
            return pieces;
        }
        let mut room = self.link.mtu;
        let mut pieces = Vec::new();
        while room > 0
            && let Some(piece) = self.fresh.front_mut()
        {
            let len = piece.len.min(room);
            pieces.push(Piece { len, ..*piece });
            piece.from += len;
            piece.len -= len;
            room -= len;
            self.fresh_len -= len;
            if piece.len == 0 {
                self.fresh.pop_front();
            }
        }
        pieces
    }

    fn complete(&mut self, message: u64, bytes: Vec<u8>) {
        if !self.is_ordered {
            self.incoming.push_back(bytes);
            return;
        }
        self.waiting.insert(message, bytes);
        while let Some(bytes) = self.waiting.remove(&self.next_out) {
            self.incoming.push_back(bytes);
            self.next_out += 1;
        }
    }
}

impl Peer for Oracle {
    fn send(&mut self, _: Micros, message: &[u8]) -> bool {
        // Two datagrams ahead of the link: enough to fill each.
        if self.fresh_len > 2 * self.link.mtu {
            return false;
        }
        let len = message.len();
        self.fresh.push_back(Piece { message: self.next_message, message_len: len, from: 0, len });
        self.fresh_len += len;
        self.messages.insert(self.next_message, message.to_vec());
        self.next_message += 1;
        true
    }

    fn handle_datagram(&mut self, _: Micros, datagram: &[u8]) {
        // The payload of all pieces, the pieces, their number, the tag.
        let tail = &datagram[datagram.len() - 16..];
        let count = word(tail, 0) as usize;
        // The path may have made a second copy.
        if !self.arrived_tags.insert(word(tail, 1)) {
            return;
        }
        let pieces = &datagram[datagram.len() - 16 - count * PIECE_LEN..datagram.len() - 16];
        let mut at = 0;
        for piece in pieces.chunks(PIECE_LEN).map(Piece::read) {
            let bytes = &datagram[at..at + piece.len];
            at += piece.len;
            let entry = self.arriving.entry(piece.message).or_insert_with(|| (vec![0; piece.message_len], 0));
            entry.0[piece.from..piece.from + piece.len].copy_from_slice(bytes);
            entry.1 += piece.len;
            if entry.1 == piece.message_len {
                let (bytes, _) = self.arriving.remove(&piece.message).expect("just filled");
                self.complete(piece.message, bytes);
            }
        }
    }

    fn handle_timeout(&mut self, _: Micros) {}

    fn poll_transmit(&mut self, now: Micros) -> Option<Datagram> {
        if self.free_at_ns > 1_000 * now {
            return None;
        }
        let pieces = self.next_pieces();
        if pieces.is_empty() {
            return None;
        }
        let (mut bytes, mut rider) = (Vec::new(), Vec::new());
        for piece in &pieces {
            bytes.extend(&self.messages[&piece.message][piece.from..piece.from + piece.len]);
            piece.write(&mut rider);
        }
        let bits = 8 * self.link.wire_len(bytes.len()) as u64;
        self.free_at_ns = self.free_at_ns.max(1_000 * now) + bits * 1_000_000_000 / self.link.rate;
        self.next_tag += 1;
        rider.extend((pieces.len() as u64).to_le_bytes());
        rider.extend(self.next_tag.to_le_bytes());
        self.flying.insert(self.next_tag, pieces);
        Some(Datagram { bytes, rider, tag: self.next_tag })
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        self.incoming.pop_front()
    }

    fn poll_timeout(&mut self, now: Micros) -> Option<Micros> {
        let has_work = !self.lost.is_empty() || !self.fresh.is_empty();
        has_work.then(|| self.free_at_ns.div_ceil(1_000).max(now))
    }

    fn is_oracle(&self) -> bool {
        true
    }

    fn on_loss(&mut self, _: Micros, tag: u64) {
        if let Some(pieces) = self.flying.remove(&tag) {
            self.lost.push_back(pieces);
        }
    }
}
