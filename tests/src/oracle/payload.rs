//! Payloads that say which message they are, and prove it.
//!
//! ```text
//! node u8 | channel u8 | incarnation u16 | counter u32 | check u32 | fill ...
//! ```
//!
//! Everything after the first 8 bytes follows from them and from the length, so that any change of any byte, and any change
//! of the length, shows.

use std::fmt;

use crate::random::mix;

/// Shortest payload: the identity and its check.
pub const PAYLOAD_LEN_MIN: usize = 12;

/// Which message: the simulator's own identity, independent of the protocol's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MessageKey {
    /// The sending node.
    pub node: u8,
    /// How often that node had lost its memory.
    pub incarnation: u16,
    /// The channel.
    pub channel: u8,
    /// Counts the accepted messages of that node, incarnation and channel from 0.
    pub counter: u32,
}

impl fmt::Display for MessageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}.{}/c{}#{}", self.node, self.incarnation, self.channel, self.counter)
    }
}

impl MessageKey {
    fn head(&self) -> [u8; 8] {
        let (i, c) = (self.incarnation.to_le_bytes(), self.counter.to_le_bytes());
        [self.node, self.channel, i[0], i[1], c[0], c[1], c[2], c[3]]
    }

    /// The payload of this message with `len` bytes (at least [`PAYLOAD_LEN_MIN`]).
    pub fn payload(&self, len: usize) -> Vec<u8> {
        let len = len.max(PAYLOAD_LEN_MIN);
        let head = self.head();
        let key = mix(u64::from_le_bytes(head) ^ mix(len as u64));
        let mut payload = Vec::with_capacity(len + 8);
        payload.extend(head);
        payload.extend((key as u32).to_le_bytes());
        let mut block = key;
        while payload.len() < len {
            block = mix(block);
            payload.extend(block.to_le_bytes());
        }
        payload.truncate(len);
        payload
    }

    /// Which message `payload` is, if every byte of it is right.
    pub fn of(payload: &[u8]) -> Option<MessageKey> {
        let head = payload.get(..PAYLOAD_LEN_MIN)?;
        let key = MessageKey {
            node: head[0],
            channel: head[1],
            incarnation: u16::from_le_bytes([head[2], head[3]]),
            counter: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
        };
        (key.payload(payload.len()) == payload).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_reads_back_and_every_changed_bit_and_length_is_noticed() {
        let key = MessageKey { node: 1, incarnation: 2, channel: 3, counter: 4 };
        for len in [12, 13, 20, 21, 100] {
            let payload = key.payload(len);
            assert_eq!((payload.len(), MessageKey::of(&payload)), (len, Some(key)));
            for bit in 0..len * 8 {
                let mut changed = payload.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(MessageKey::of(&changed), None, "bit {bit} of {len} bytes");
            }
            assert_eq!(MessageKey::of(&payload[..len - 1]), None);
        }
    }
}
