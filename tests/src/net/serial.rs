//! Byte streams: what a serial line does to frames.

use crate::random::Random;

/// How datagrams become bytes of a stream and bytes become datagrams again. One value serves one direction: the sending
/// end encodes, the receiving end (another value) decodes.
pub trait Framing {
    /// Appends the frame of `datagram` to `stream`.
    fn encode(&mut self, datagram: &[u8], stream: &mut Vec<u8>);
    /// Takes in bytes of the stream and hands every intact datagram to `sink`.
    fn decode(&mut self, stream: &[u8], sink: &mut dyn FnMut(&[u8]));
}

/// The damage that a serial line does. All are probabilities.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Serial {
    /// Of a byte having one bit flipped.
    pub flip: f64,
    /// Of a random byte being inserted before a byte.
    pub insert: f64,
    /// Of a byte vanishing.
    pub delete: f64,
    /// Of a frame being damaged in one to four of its bytes.
    pub damage_frame: f64,
    /// Of a burst of 1 to 16 random bytes (noise) before a frame.
    pub noise: f64,
}

impl Serial {
    /// What arrives of `frame`, and whether anything was changed.
    pub(super) fn damage(&self, frame: &[u8], random: &mut Random) -> (Vec<u8>, bool) {
        let mut arrived = Vec::with_capacity(frame.len() + 16);
        let mut is_damaged = false;
        if random.chance(self.noise) {
            let len = random.between(1, 16) as usize;
            arrived.extend(random.bytes(len));
            is_damaged = true;
        }
        let start = arrived.len();
        for &byte in frame {
            if self.insert > 0.0 && random.chance(self.insert) {
                arrived.push(random.bits() as u8);
                is_damaged = true;
            }
            if self.delete > 0.0 && random.chance(self.delete) {
                is_damaged = true;
                continue;
            }
            if self.flip > 0.0 && random.chance(self.flip) {
                arrived.push(byte ^ (1 << random.below(8)));
                is_damaged = true;
            } else {
                arrived.push(byte);
            }
        }
        if random.chance(self.damage_frame) && arrived.len() > start {
            for _ in 0..random.between(1, 4) {
                let at = start + random.below((arrived.len() - start) as u64) as usize;
                arrived[at] ^= random.between(1, 255) as u8;
            }
            is_damaged = true;
        }
        (arrived, is_damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_line_changes_nothing() {
        let mut random = Random::new(1);
        let frame: Vec<u8> = (0..=255).collect();
        assert_eq!(Serial::default().damage(&frame, &mut random), (frame, false));
    }

    #[test]
    fn each_kind_of_damage_shows() {
        let mut random = Random::new(1);
        let frame = [7u8; 100];
        let (flipped, _) = Serial { flip: 0.1, ..Serial::default() }.damage(&frame, &mut random);
        assert!(flipped.len() == 100 && flipped != frame);
        let (longer, _) = Serial { insert: 0.1, ..Serial::default() }.damage(&frame, &mut random);
        assert!(longer.len() > 100);
        let (shorter, _) = Serial { delete: 0.1, ..Serial::default() }.damage(&frame, &mut random);
        assert!(shorter.len() < 100);
        let (noisy, _) = Serial { noise: 1.0, ..Serial::default() }.damage(&frame, &mut random);
        assert!(noisy.len() > 100 && noisy.ends_with(&frame));
        let (hit, is_damaged) = Serial { damage_frame: 1.0, ..Serial::default() }.damage(&frame, &mut random);
        assert!(is_damaged && hit.len() == 100);
    }
}
