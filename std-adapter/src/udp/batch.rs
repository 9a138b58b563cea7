//! Datagrams on their way out: consecutive ones of equal size leave in one system call.

use ackline::Instant;

use crate::boundary::Link;

/// Bytes handed to one system call. An IPv4 datagram carries 65,507; segmentation offload counts as one datagram there.
const BATCH_LEN: usize = 65_000;

/// Room for the datagrams of one system call, all of one length except that the last may be shorter.
pub(super) struct Batch {
    bytes: Box<[u8]>,
    len: usize,
    segment_len: usize,
    /// A datagram that did not fit the pattern: behind `len`, of this length. It opens the next batch.
    carried_len: usize,
}

/// Whether the link has more to emit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
    /// It has nothing left for now.
    Drained,
    /// The batch was full.
    More,
}

impl Batch {
    pub(super) fn new() -> Self {
        Batch {
            // Room for a carried datagram behind a full batch.
            bytes: vec![0; 2 * 65_536].into_boxed_slice(),
            len: 0,
            segment_len: 0,
            carried_len: 0,
        }
    }

    pub(super) fn contents(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(super) fn segment_len(&self) -> usize {
        self.segment_len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills the batch from `link`: at most `segments_max` datagrams of at most `datagram_max` bytes.
    pub(super) fn fill(
        &mut self,
        now: Instant,
        link: &mut Link,
        datagram_max: usize,
        segments_max: usize,
    ) -> Rest {
        self.bytes.copy_within(self.len..self.len + self.carried_len, 0);
        self.len = std::mem::take(&mut self.carried_len);
        self.segment_len = self.len;
        let mut count = usize::from(self.len > 0);
        while count < segments_max.max(1) && (self.len + datagram_max <= BATCH_LEN || count == 0) {
            let room = &mut self.bytes[self.len..self.len + datagram_max];
            let polled = if segments_max > 1 {
                link.poll_transmit_full(now, room)
            } else {
                link.poll_transmit(now, room)
            };
            let Some(len) = polled else { return Rest::Drained };
            count += 1;
            if self.segment_len == 0 {
                self.segment_len = len;
            }
            if len > self.segment_len {
                self.carried_len = len;
                return Rest::More;
            }
            self.len += len;
            if len < self.segment_len {
                return Rest::More;
            }
        }
        Rest::More
    }
}
