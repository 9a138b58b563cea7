//! What the model of a TCP flow puts on the link: as many bytes as TCP with time stamps, selective acknowledgements and
//! IPv4 would (52 bytes per segment, of which the link adds 28), with 16 of checksum, numbers and times in them.

/// Bytes of header above the 28 that the link counts: 20 of IP and 32 of TCP in all.
pub const HEADER_LEN: usize = 24;
/// TCP has room for three with time stamps (RFC 2018, 3).
pub const BLOCKS_MAX: usize = 3;

/// A segment, an acknowledgement, or both.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Segment {
    /// Number of the first byte of `payload`.
    pub sequence: u32,
    /// Every byte below this has arrived.
    pub acknowledged: u32,
    /// When it was sent, microseconds modulo 2^32.
    pub time: u32,
    /// The `time` of what is acknowledged.
    pub echo: u32,
    /// Ranges above `acknowledged` that have arrived.
    pub blocks: Vec<(u32, u32)>,
    /// Bytes of the stream.
    pub payload: Vec<u8>,
}

impl Segment {
    /// On the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        for word in [self.sequence, self.acknowledged, self.time, self.echo, self.blocks.len() as u32] {
            bytes.extend(word.to_le_bytes());
        }
        for (from, to) in &self.blocks {
            bytes.extend(from.to_le_bytes());
            bytes.extend(to.to_le_bytes());
        }
        bytes.extend(&self.payload);
        let sum = checksum(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` if it is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |n: usize| Some(u32::from_le_bytes(*bytes.get(4 * n..)?.first_chunk()?));
        if word(0)? != checksum(bytes.get(4..)?) {
            return None;
        }
        let count = word(5)? as usize;
        let blocks: Option<Vec<_>> = (0..count).map(|n| Some((word(6 + 2 * n)?, word(7 + 2 * n)?))).collect();
        Some(Segment {
            sequence: word(1)?,
            acknowledged: word(2)?,
            time: word(3)?,
            echo: word(4)?,
            blocks: blocks?,
            payload: bytes.get(HEADER_LEN + 8 * count..)?.to_vec(),
        })
    }
}

/// FNV-1a: stands for the checksums of TCP and of the network below, which together let nothing through in these runs.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_read_back_and_damage_is_noticed() {
        let segment = Segment {
            sequence: 1,
            acknowledged: 2,
            time: 3,
            echo: 4,
            blocks: vec![(5, 6), (7, 8)],
            payload: vec![9; 10],
        };
        let bytes = segment.encode();
        assert_eq!(bytes.len(), HEADER_LEN + 16 + 10);
        assert_eq!(Segment::decode(&bytes), Some(segment));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(Segment::decode(&damaged), None);
        }
    }
}
