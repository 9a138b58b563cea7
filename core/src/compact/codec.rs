//! Reading and writing bytes with one check at the end instead of one at every value: a reader that has come to the end of
//! its bytes gives zeros and remembers that it has, a writer counts what does not fit. Where every branch is flash, that is
//! half the size of `wire`'s codec, which says at once what is wrong.

/// Takes values off the front of a slice.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
    /// The bytes were no encoding of what was read.
    pub(crate) is_bad: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Reader { rest, is_bad: false }
    }

    #[inline(never)]
    pub(crate) fn u8(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => {
                self.is_bad = true;
                0
            }
        }
    }

    /// The next `len` bytes, or none of them.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => {
                self.is_bad = true;
                &[]
            }
        }
    }

    /// Four bytes, least significant first.
    #[inline(never)]
    pub(crate) fn u32(&mut self) -> u32 {
        (0..4).fold(0, |value, _| value >> 8 | u32::from(self.u8()) << 24)
    }

    /// Eight bytes, least significant first.
    pub(crate) fn u64(&mut self) -> u64 {
        let low = self.u32();
        u64::from(self.u32()) << 32 | u64::from(low)
    }

    /// Groups of seven bits, least significant first: at most `shift_max / 7` of them. Returns their value, 7 times their
    /// count, and the last byte.
    fn groups(&mut self, shift_max: u32) -> (u32, u32, u8) {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let byte = self.u8();
            value |= u32::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return (value, shift, byte);
            }
            if shift >= shift_max {
                self.is_bad = true;
                return (value, shift, byte);
            }
        }
    }

    /// R3.1, R3.2.
    pub(crate) fn varint(&mut self) -> u32 {
        let (value, shift, last) = self.groups(35);
        self.is_bad |= shift > 7 && last == 0 || shift == 35 && last > 15;
        value
    }

    /// Reads `count` pairs of a gap and a run, each one less than it is. Together with `first` they must span less than
    /// 2^31 (R5.2, R6.12).
    pub(crate) fn spans(&mut self, first: u32, count: u8) {
        let mut span = first;
        let mut value = 0;
        for left in (0..=2 * u32::from(count)).rev() {
            if (span | value) as i32 <= -1 {
                self.is_bad = true;
                return;
            }
            if left > 0 {
                value = self.varint();
                span = span.wrapping_add(value).wrapping_add(1);
            }
        }
    }

    /// A truncated number, restored two-sided from `reference` (R3.3, R3.4), and how many bits of it there are.
    pub(crate) fn number(&mut self, reference: u32) -> (u32, u32) {
        let (low, bits, _) = self.groups(28);
        let left = 32 - bits;
        let distance = (low.wrapping_sub(reference) << left) as i32 >> left;
        (reference.wrapping_add(distance as u32), bits)
    }

    /// A truncated number, restored one-sided from `limit` (R3.3, R3.5).
    pub(crate) fn number_before(&mut self, limit: u32) -> u32 {
        let (low, bits, _) = self.groups(28);
        let left = 32 - bits;
        limit.wrapping_sub(limit.wrapping_sub(low) << left >> left)
    }
}

/// Copies `from` to the front of `to`. `false`: it is too long. (The compiler knows such a loop for no `memcpy`, which
/// would be larger than everything else here.)
#[inline(never)]
pub(crate) fn copy(to: &mut [u8], from: &[u8]) -> bool {
    for (i, &byte) in from.iter().enumerate() {
        match to.get_mut(i) {
            Some(slot) => *slot = byte,
            None => return false,
        }
    }
    true
}

/// Puts values one after another into a buffer.
pub(crate) struct Writer<'a> {
    pub(crate) buffer: &'a mut [u8],
    /// Bytes written, and those that did not fit.
    pub(crate) len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(buffer: &'a mut [u8]) -> Self {
        Writer { buffer, len: 0 }
    }

    #[inline(never)]
    pub(crate) fn u8(&mut self, byte: u8) {
        if let Some(slot) = self.buffer.get_mut(self.len) {
            *slot = byte;
        }
        self.len += 1;
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.u8(byte);
        }
    }

    /// The low bytes of `value`, least significant first.
    pub(crate) fn low_bytes(&mut self, mut value: u32, count: u8) {
        for _ in 0..count {
            self.u8(value as u8);
            value >>= 8;
        }
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.low_bytes(value as u32, 4);
        self.low_bytes((value >> 32) as u32, 4);
    }

    pub(crate) fn varint(&mut self, mut value: u32) {
        while value > 127 {
            self.u8(value as u8 | 128);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// The low `bits` of `value`: 7, 14, 21 or 28.
    pub(crate) fn number(&mut self, mut value: u32, mut bits: u8) {
        while bits > 7 {
            self.u8(value as u8 | 128);
            value >>= 7;
            bits -= 7;
        }
        self.u8(value as u8 & 127);
    }

    /// What was written; `None` if not all of it fitted.
    pub(crate) fn finish(self) -> Option<&'a mut [u8]> {
        self.buffer.get_mut(..self.len)
    }
}
