//! Section 17 of the protocol, read once more: what a receiver must find in a stream of bytes.

use crate::wire::{crc16, crc32c};

/// Which check ends a frame.
#[derive(arbitrary::Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Check {
    /// Four bytes.
    Crc32,
    /// Two bytes.
    Crc16,
}

impl Check {
    fn of(self, datagram: &[u8]) -> Vec<u8> {
        match self {
            Check::Crc32 => crc32c(datagram).to_le_bytes().to_vec(),
            Check::Crc16 => crc16(datagram).to_le_bytes().to_vec(),
        }
    }
}

/// The datagrams in `bytes`, none longer than `len_max`. What follows the last zero has not arrived yet.
pub fn datagrams(check: Check, bytes: &[u8], len_max: usize) -> Vec<Vec<u8>> {
    let mut stretches: Vec<_> = bytes.split(|&b| b == 0).collect();
    stretches.pop();
    stretches.into_iter().filter(|s| !s.is_empty()).filter_map(|s| datagram(check, s, len_max)).collect()
}

fn datagram(check: Check, mut frame: &[u8], len_max: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    while let Some((&code, rest)) = frame.split_first() {
        let (block, after) = rest.split_at_checked(usize::from(code) - 1)?;
        plain.extend_from_slice(block);
        if code != 255 && !after.is_empty() {
            plain.push(0);
        }
        frame = after;
    }
    let at = plain.len().checked_sub(check.of(&[]).len())?;
    let (datagram, sum) = plain.split_at(at);
    (datagram.len() <= len_max && check.of(datagram) == sum).then(|| datagram.to_vec())
}
