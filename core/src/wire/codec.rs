//! Reading and writing integers: fixed little-endian, varints (the same as postcard's), truncated numbers.

/// The input is not an encoding of anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Malformed;

/// Takes values off the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// What was not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// What was read since `start` was what was not read yet.
    pub(super) fn since(&self, start: &'a [u8]) -> &'a [u8] {
        start.get(..start.len().wrapping_sub(self.0.len())).unwrap_or(&[])
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        let (&b, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(b)
    }

    /// The next `len` bytes.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (a, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(a)
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        let (a, rest) = self.0.split_first_chunk::<4>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*a))
    }

    /// Eight bytes, little-endian.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let (a, rest) = self.0.split_first_chunk::<8>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*a))
    }

    /// A varint of up to 32 bits: seven bits a byte, least significant first, the top bit says that more follow. Longer
    /// than needed is malformed.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        let mut shift = 0;
        loop {
            let b = self.u8()?;
            if shift == 28 && b > 15 || shift > 0 && b == 0 {
                return Err(Malformed);
            }
            value |= u32::from(b & 127) << shift;
            if b < 128 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A truncated number: the low `7 * len` bits, and `len` (`1..=4`). Same bytes as a varint, but any length is good.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn truncated(&mut self) -> Result<(u32, u8), Malformed> {
        let mut value = 0u32;
        for len in 1..=4u8 {
            let b = self.u8()?;
            value |= u32::from(b & 127) << (7 * (len - 1));
            if b < 128 {
                return Ok((value, len));
            }
        }
        Err(Malformed)
    }
}

/// Puts values one after another into a buffer. A value that does not fit is left out whole, and says so.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    /// Writes to the front of `buffer`.
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Writer { buffer, len: 0 }
    }

    /// Bytes written.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that still fit.
    pub const fn room(&self) -> usize {
        self.buffer.len() - self.len
    }

    /// What was written.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn written(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.len).unwrap_or(&mut [])
    }

    /// Takes back everything after the first `len` bytes.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
        }
    }

    /// The next `len` bytes, to fill in. `None` if they do not fit.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn reserve(&mut self, len: usize) -> Option<&mut [u8]> {
        let s = self.buffer.get_mut(self.len..self.len + len)?;
        self.len += len;
        Some(s)
    }

    /// `bytes`. `false` if they do not fit.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn bytes(&mut self, bytes: &[u8]) -> bool {
        match self.reserve(bytes.len()) {
            Some(s) => {
                copy(s, bytes);
                true
            }
            None => false,
        }
    }

    /// One byte.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn u8(&mut self, v: u8) -> bool {
        let Some(place) = self.buffer.get_mut(self.len) else { return false };
        *place = v;
        self.len += 1;
        true
    }

    /// Replaces byte `at` of what was written.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn set(&mut self, at: usize, v: u8) {
        if let Some(place) = self.written().get_mut(at) {
            *place = v;
        }
    }

    /// A varint.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn varint(&mut self, mut v: u32) -> bool {
        let start = self.len;
        while v >= 128 && self.u8(v as u8 | 128) {
            v >>= 7;
        }
        let ok = v < 128 && self.u8(v as u8);
        if !ok {
            self.len = start;
        }
        ok
    }

    /// The low `7 * len` bits of `v` in `len` bytes (`1..=4`).
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn truncated(&mut self, v: u32, len: u8) -> bool {
        let len = len.max(1).min(4);
        if self.room() < len as usize {
            return false;
        }
        let mut v = v;
        for _ in 1..len {
            self.u8(v as u8 | 128);
            v >>= 7;
        }
        self.u8(v as u8 & 127)
    }

    /// Makes room for `count` bytes at `at`, as far as they fit, moving down what follows.
    pub(crate) fn insert(&mut self, at: usize, count: usize) {
        let (from, to) = (self.len, self.len + count);
        if let Some(bytes) = self.buffer.get_mut(at..to)
            && count > 0
        {
            bytes.copy_within(..from - at, count);
            self.len = to;
        }
    }

    /// Writes a varint over what stands at `at`.
    pub(crate) fn set_varint(&mut self, at: usize, v: u32) {
        let len = self.len;
        self.len = at;
        self.varint(v);
        self.len = len;
    }

    /// Removes `count` bytes at `at`, moving up what follows.
    pub fn remove(&mut self, at: usize, count: usize) {
        if at + count <= self.len {
            move_down(self.buffer.get_mut(at..self.len).unwrap_or(&mut []), count);
            self.len -= count;
        }
    }
}

/// Fills `to` from the front of `from`, as far as both reach.
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    if cfg!(target_pointer_width = "64") {
        let len = to.len().min(from.len());
        if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
            to.copy_from_slice(from);
        }
        return;
    }
    for (t, f) in to.iter_mut().zip(from) {
        *t = *f;
    }
}

/// Moves all bytes but the first `by` to the front.
pub(crate) fn move_down(bytes: &mut [u8], by: usize) {
    if cfg!(target_pointer_width = "64") && by <= bytes.len() {
        bytes.copy_within(by.., 0);
        return;
    }
    // On small machines a loop: the library's function alone is larger than the whole codec.
    let mut i = 0;
    while let Some(&b) = bytes.get(i + by) {
        if let Some(place) = bytes.get_mut(i) {
            *place = b;
        }
        i += 1;
    }
}

/// The length in bytes of `v` as a varint.
pub(crate) const fn varint_len(v: u32) -> usize {
    match v {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        0x20_0000..=0xfff_ffff => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_and_longer_forms_are_refused() {
        for v in [0, 1, 127, 128, 16383, 16384, 1 << 21, 1 << 28, u32::MAX] {
            let mut b = [0; 5];
            let mut w = Writer::new(&mut b);
            assert!(w.varint(v));
            let n = w.len();
            assert_eq!(n, varint_len(v));
            let mut r = Reader::new(&b[..n]);
            assert_eq!(r.varint(), Ok(v));
            assert!(r.is_empty());
            assert_eq!(Reader::new(&b[..n - 1]).varint(), Err(Malformed));
        }
        assert_eq!(Reader::new(&[0x80, 0]).varint(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x10]).varint(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff; 9]).varint(), Err(Malformed));
    }

    #[test]
    fn truncated_numbers_keep_their_length() {
        for len in 1..=4u8 {
            for v in [0u32, 5, 1 << 20, u32::MAX] {
                let mut b = [0; 4];
                let mut w = Writer::new(&mut b);
                assert!(w.truncated(v, len));
                assert_eq!(w.len(), len as usize);
                let mask = (1u64 << (7 * len as u32)) as u32 - 1;
                assert_eq!(Reader::new(&b).truncated(), Ok((v & mask, len)));
            }
        }
        assert_eq!(Reader::new(&[128; 4]).truncated(), Err(Malformed));
    }

    #[test]
    fn a_writer_never_writes_half_a_value() {
        let mut b = [0; 3];
        let mut w = Writer::new(&mut b);
        assert!(w.u8(1) && !w.bytes(&[1, 2, 3]) && !w.varint(1 << 21));
        assert_eq!((w.len(), w.room()), (1, 2));
        assert!(w.bytes(&[2, 3]));
        w.remove(0, 1);
        assert_eq!(w.written(), &[2, 3]);
    }
}
