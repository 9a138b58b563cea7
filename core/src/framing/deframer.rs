//! Bytes to datagrams: the receiving side of a line.

use super::{DELIMITER, FrameCheck, encoder::RUN_MAX};

/// What a line brought so far. Each counter wraps to zero after 2^32 - 1.
///
/// `frames_good + frames_bad + frames_too_long` is the number of non-empty stretches between delimiters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameStats {
    /// Frames handed out as datagrams.
    pub frames_good: u32,
    /// Frames dropped because of their check or their code bytes: damage, noise, or the rest of a frame whose start
    /// was missed. Constantly growing while nothing is good: look at bit rate, wiring and [`FrameCheck`] of both ends.
    pub frames_bad: u32,
    /// Frames dropped because they are longer than the buffer: from a peer with a larger `datagram_max`, or noise.
    pub frames_too_long: u32,
    /// Bytes in frames that were dropped, delimiters not counted. Counted when the frame ends.
    pub bytes_skipped: u32,
}

/// A [`DeframerIn`] with its buffer inside, for datagrams of up to `N` bytes.
pub type Deframer<const N: usize> = DeframerIn<[u8; N]>;

/// Finds the frames in a stream of bytes and hands out their datagrams, decoded in place into the buffer `B`: an array
/// ([`Deframer`]), a `&mut [u8]`, a `Vec<u8>`, or whatever else is a slice of bytes. Its length is that of the longest
/// datagram in bytes; longer ones are counted and dropped. The check needs no room in it.
///
/// ```
/// use ackline::framing::{Deframer, FrameCheck};
///
/// let mut deframer = Deframer::<256>::new(FrameCheck::Crc16);
/// // The tail of a frame that began before we listened, an empty frame, and then one that is whole.
/// let mut received: &[u8] = &[0x33, 0x44, 0x00, 0x00, 0x02, 0x11, 0x04, 0x22, 0x95, 0x1b, 0x00];
/// let mut datagrams = Vec::new();
/// while !received.is_empty() {
///     let (consumed, datagram) = deframer.push(received);
///     received = &received[consumed..];
///     if let Some(datagram) = datagram {
///         datagrams.push(datagram.to_vec()); // or link.handle_datagram(now, datagram)
///     }
/// }
/// assert_eq!(datagrams, [[0x11, 0x00, 0x22]]);
/// assert_eq!(deframer.stats().frames_bad, 1);
/// assert_eq!(deframer.stats().bytes_skipped, 2);
/// ```
#[derive(Debug)]
pub struct DeframerIn<B> {
    buffer: B,
    check: FrameCheck,
    /// Bytes still to come in the current COBS block.
    run_left: u8,
    /// Whether a zero stands between the current block and the next, if there is a next.
    zero_due: bool,
    /// Decoded bytes of the current frame, check included.
    decoded_len: usize,
    /// Received bytes of the current frame.
    received_len: u32,
    /// The last four decoded bytes, the newest in the high byte. A decoded byte enters the buffer only when it leaves
    /// here, so that the check, which is last, never does.
    held: u32,
    stats: FrameStats,
}

impl<const N: usize> DeframerIn<[u8; N]> {
    /// Starts in the middle of nowhere: what arrives before the first delimiter is a frame only if its check says so.
    pub const fn new(check: FrameCheck) -> Self {
        DeframerIn::over([0; N], check)
    }
}

impl<B> DeframerIn<B> {
    /// The same over the caller's buffer. What it contains does not matter.
    pub const fn over(buffer: B, check: FrameCheck) -> Self {
        DeframerIn {
            buffer,
            check,
            run_left: 0,
            zero_due: false,
            decoded_len: 0,
            received_len: 0,
            held: 0,
            stats: FrameStats { frames_good: 0, frames_bad: 0, frames_too_long: 0, bytes_skipped: 0 },
        }
    }

    /// What the line brought so far.
    pub const fn stats(&self) -> FrameStats {
        self.stats
    }
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> DeframerIn<B> {
    /// Takes bytes as they came from the line, in pieces of any size. Stops behind the first datagram that they
    /// complete. Returns how many bytes it took, and that datagram if there was one: push the rest again until it is
    /// empty.
    pub fn push(&mut self, bytes: &[u8]) -> (usize, Option<&[u8]>) {
        for (index, &byte) in bytes.iter().enumerate() {
            if let Some(len) = self.push_byte(byte) {
                return (index + 1, self.buffer.as_ref().get(..len));
            }
        }
        (bytes.len(), None)
    }

    /// Forgets the frame that has begun, uncounted. For a line that was closed and opened again.
    pub fn reset(&mut self) {
        self.run_left = 0;
        self.zero_due = false;
        self.decoded_len = 0;
        self.received_len = 0;
    }

    /// Takes one byte. Returns the length of the datagram, now at the start of the buffer, that it completes.
    fn push_byte(&mut self, byte: u8) -> Option<usize> {
        if byte != DELIMITER {
            self.received_len = self.received_len.saturating_add(1);
            if self.run_left > 0 {
                self.run_left -= 1;
                self.hold(byte);
            } else {
                self.run_left = byte - 1;
                if core::mem::replace(&mut self.zero_due, byte - 1 < RUN_MAX) {
                    self.hold(0);
                }
            }
            return None;
        }
        if self.received_len == 0 {
            return None; // between frames
        }
        let datagram_len = self.finish_frame();
        if datagram_len.is_none() {
            self.stats.bytes_skipped = self.stats.bytes_skipped.wrapping_add(self.received_len);
        }
        self.reset();
        datagram_len
    }

    /// Appends a decoded byte to the held ones and moves the oldest of them to the buffer. What does not fit there is
    /// dropped, but counted in `decoded_len`, which tells `finish_frame`.
    fn hold(&mut self, data: u8) {
        let oldest = (self.held >> self.held_shift()) as u8;
        if let Some(index) = self.decoded_len.checked_sub(self.check.len())
            && let Some(slot) = self.buffer.as_mut().get_mut(index)
        {
            *slot = oldest;
        }
        self.held = self.held >> 8 | u32::from(data) << 24;
        self.decoded_len = self.decoded_len.saturating_add(1);
    }

    /// Judges a frame at its delimiter. Returns the length of its datagram, or counts why there is none.
    fn finish_frame(&mut self) -> Option<usize> {
        let datagram_len = self.decoded_len.checked_sub(self.check.len());
        let Some(datagram) = self.buffer.as_ref().get(..datagram_len.unwrap_or(0)) else {
            self.stats.frames_too_long = self.stats.frames_too_long.wrapping_add(1);
            return None;
        };
        let is_whole = datagram_len.is_some() && self.run_left == 0;
        if !is_whole || self.check.sum(datagram) != self.held >> self.held_shift() {
            self.stats.frames_bad = self.stats.frames_bad.wrapping_add(1);
            return None;
        }
        self.stats.frames_good = self.stats.frames_good.wrapping_add(1);
        datagram_len
    }

    /// How far the oldest held byte is from the low end, in bits.
    fn held_shift(&self) -> usize {
        8 * (4 - self.check.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Deframer, FrameCheck, FrameStats};

    #[test]
    fn counters_at_their_maximum_wrap() {
        let mut deframer = Deframer::<1>::new(FrameCheck::Crc16);
        let all = |n| FrameStats { frames_good: n, frames_bad: n, frames_too_long: n, bytes_skipped: n };
        deframer.stats = all(u32::MAX);
        deframer.push(&[1, 1, 1, 0]);
        deframer.push(&[2, 0]);
        deframer.push(&[6, 1, 1, 1, 1, 1, 0]);
        assert_eq!(deframer.stats, FrameStats { bytes_skipped: 6, ..all(0) });
    }

    #[test]
    fn frame_of_more_bytes_than_can_be_counted_is_one_frame() {
        let mut deframer = Deframer::<1>::new(FrameCheck::Crc16);
        deframer.push(&[1]);
        deframer.decoded_len = usize::MAX - 1;
        deframer.received_len = u32::MAX - 1;
        deframer.push(&[1, 1, 1, 1, 0]);
        assert_eq!((deframer.stats.frames_too_long, deframer.stats.bytes_skipped), (1, u32::MAX));
    }
}
