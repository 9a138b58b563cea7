//! Messages on a stream of bytes: four bytes of length before each.

/// Bytes of a stream on one side, messages on the other.
#[derive(Default)]
pub struct Prefixed {
    bytes: Vec<u8>,
    taken_len: usize,
}

impl Prefixed {
    /// Takes in bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.taken_len));
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.taken_len..];
        let len = u32::from_le_bytes(*rest.first_chunk()?) as usize;
        let message = rest.get(4..4 + len)?.to_vec();
        self.taken_len += 4 + len;
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_however_the_stream_is_cut() {
        let stream: Vec<u8> =
            [&3_u32.to_le_bytes()[..], b"abc", &0_u32.to_le_bytes(), &1_u32.to_le_bytes(), b"d"].concat();
        for cut in 0..=stream.len() {
            let mut prefixed = Prefixed::default();
            let mut messages = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                prefixed.push(part);
                messages.extend(std::iter::from_fn(|| prefixed.take()));
            }
            assert_eq!(messages, [&b"abc"[..], b"", b"d"], "cut at {cut}");
        }
    }
}
