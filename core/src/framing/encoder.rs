//! Datagrams to frames, byte by byte, without a second buffer.

use core::fmt;

use super::{DELIMITER, FrameCheck};

/// The longest run of non-zero bytes that one COBS block holds.
pub(super) const RUN_MAX: u8 = 254;

/// Why a frame was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// The buffer cannot hold the frame. Nothing in it is of use. Pass one of `enough_len` bytes or more, or fill a
    /// small one repeatedly with [`FrameEncoder::fill`].
    BufferTooSmall {
        /// A length in bytes that is enough for every datagram of that length: [`encoded_len_max`].
        enough_len: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameError::BufferTooSmall { enough_len } = self;
        write!(f, "the buffer cannot hold the frame: {enough_len} bytes are enough")
    }
}

impl core::error::Error for FrameError {}

/// The longest frame in bytes, delimiter included, that a datagram of `datagram_len` bytes can become, with either
/// [`FrameCheck`]. The zero of [`FrameEncoder::after_silence`] is not counted.
pub const fn encoded_len_max(datagram_len: usize) -> usize {
    let checked_len = datagram_len.saturating_add(FrameCheck::Crc32.len());
    checked_len.saturating_add(checked_len.div_ceil(RUN_MAX as usize)).saturating_add(1)
}

/// Writes the frame of `datagram`, delimiter included, to the start of `out` and returns its length in bytes.
///
/// # Errors
///
/// [`FrameError::BufferTooSmall`] if the frame does not fit; a buffer of [`encoded_len_max`] bytes always does.
pub fn encode(check: FrameCheck, datagram: &[u8], out: &mut [u8]) -> Result<usize, FrameError> {
    let mut encoder = FrameEncoder::new(check, datagram);
    let written_len = encoder.fill(datagram, out);
    if encoder.is_done() {
        Ok(written_len)
    } else {
        Err(FrameError::BufferTooSmall { enough_len: encoded_len_max(datagram.len()) })
    }
}

/// One frame on its way out, given out in pieces of any size.
///
/// It borrows nothing, so that it can live in a `static` beside the datagram it encodes, which an interrupt handler
/// passes to every call. Passing other bytes than those it was made for yields frames that the peer counts as bad.
///
/// ```
/// use ackline::framing::{FrameCheck, FrameEncoder};
///
/// let datagram = [0x11, 0x00, 0x22];
/// let mut encoder = FrameEncoder::new(FrameCheck::Crc16, &datagram);
/// let mut fifo = [0; 4]; // as much as the UART takes at once
/// let mut line = Vec::new();
/// while !encoder.is_done() {
///     let len = encoder.fill(&datagram, &mut fifo);
///     line.extend_from_slice(&fifo[..len]);
/// }
/// assert_eq!(line, [0x02, 0x11, 0x04, 0x22, 0x95, 0x1b, 0x00]);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FrameEncoder {
    sum: u32,
    datagram_len: usize,
    /// Datagram and check.
    total_len: usize,
    /// The next byte of datagram and check to leave, `0..=total_len`.
    next: usize,
    /// Bytes of the current block after its code byte, and how many of them are still to leave.
    run_len: u8,
    run_left: u8,
    phase: Phase,
}

/// What leaves next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Phase {
    LeadingDelimiter,
    Code,
    Data,
    Delimiter,
    Done,
}

impl FrameEncoder {
    /// The frame of `datagram`. Sums over all of it, so do this outside of an interrupt handler.
    pub fn new(check: FrameCheck, datagram: &[u8]) -> Self {
        FrameEncoder {
            sum: check.sum(datagram),
            datagram_len: datagram.len(),
            total_len: datagram.len().saturating_add(check.len()),
            next: 0,
            run_len: 0,
            run_left: 0,
            phase: Phase::Code,
        }
    }

    /// The same with a delimiter before it, for the first frame after the line was silent: what the line picked up
    /// meanwhile ends there, and the frame survives it.
    pub fn after_silence(check: FrameCheck, datagram: &[u8]) -> Self {
        FrameEncoder { phase: Phase::LeadingDelimiter, ..FrameEncoder::new(check, datagram) }
    }

    /// Whether the last byte, the closing delimiter, was given out.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// The next byte for the line, `None` after the closing delimiter. Looks at no more than 255 bytes of the datagram.
    pub fn next_byte(&mut self, datagram: &[u8]) -> Option<u8> {
        let byte = match self.phase {
            Phase::LeadingDelimiter => {
                self.phase = Phase::Code;
                return Some(DELIMITER);
            }
            Phase::Code => {
                self.run_len = self.run_ahead(datagram);
                self.run_left = self.run_len;
                self.run_len + 1
            }
            Phase::Data => {
                let byte = self.byte_at(datagram, self.next);
                self.next += 1;
                self.run_left -= 1;
                byte
            }
            Phase::Delimiter => {
                self.phase = Phase::Done;
                return Some(DELIMITER);
            }
            Phase::Done => return None,
        };
        self.phase = if self.run_left > 0 {
            Phase::Data
        } else if self.next >= self.total_len {
            Phase::Delimiter
        } else {
            // A block that is not full stands for the zero after it, even if that was the last byte: then an empty
            // block follows.
            self.next += usize::from(self.run_len < RUN_MAX);
            Phase::Code
        };
        Some(byte)
    }

    /// Writes as much of the frame as fits to the start of `out`; returns how many bytes that is. Less than `out.len()`
    /// only if the frame is done.
    pub fn fill(&mut self, datagram: &[u8], out: &mut [u8]) -> usize {
        let mut filled_len = 0;
        for slot in out {
            let Some(byte) = self.next_byte(datagram) else { break };
            *slot = byte;
            filled_len += 1;
        }
        filled_len
    }

    /// Non-zero bytes from `next` on, at most `RUN_MAX`.
    fn run_ahead(&self, datagram: &[u8]) -> u8 {
        let mut run_len = 0;
        while run_len < RUN_MAX {
            let index = self.next + usize::from(run_len);
            if index >= self.total_len || self.byte_at(datagram, index) == 0 {
                break;
            }
            run_len += 1;
        }
        run_len
    }

    /// Byte `index` of datagram and check, `index < total_len`. Total even if the caller passes a shorter datagram than
    /// at first.
    fn byte_at(&self, datagram: &[u8], index: usize) -> u8 {
        match index.checked_sub(self.datagram_len) {
            Some(of_check) => (self.sum >> (8 * (of_check & 3))) as u8,
            None => datagram.get(index).copied().unwrap_or(0),
        }
    }
}
