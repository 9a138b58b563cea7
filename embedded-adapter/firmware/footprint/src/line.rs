//! A link, framing, and a line made of the world's bytes.

use ackline::framing::{Deframer, FrameCheck, FrameEncoder};
use ackline_embedded::Drive;

use crate::{now, receive, transmit, wish};

/// Everything that a program with a link on a line keeps: all zeros.
pub struct Line<L, const N: usize> {
    /// The link, to be started.
    pub link: L,
    deframer: Deframer<N>,
    buffer: [u8; N],
}

impl<L: Drive, const N: usize> Line<L, N> {
    /// With a link that is not started.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Line { link: L::UNSTARTED, deframer: Deframer::new(FrameCheck::Crc32), buffer: [0; N] }
    }

    /// Opens the link, and carries frames for ever. `application` may send what is in the buffer that it is given.
    #[inline(always)]
    pub fn run(&mut self, mut application: impl FnMut(&mut L, &[u8])) -> ! {
        let Line { link, deframer, buffer } = self;
        link.connect(now());
        loop {
            while let Some(byte) = receive() {
                if let (_, Some(datagram)) = deframer.push(&[byte]) {
                    link.handle_datagram(now(), datagram);
                }
            }
            application(link, buffer);
            if link.poll_timeout().is_some_and(|deadline| deadline <= now()) {
                link.handle_timeout(now());
            }
            while let Some(len) = link.poll_transmit(now(), buffer) {
                let datagram = buffer.get(..len).unwrap_or(&[]);
                let mut encoder = FrameEncoder::new(FrameCheck::Crc32, datagram);
                while let Some(byte) = encoder.next_byte(datagram) {
                    transmit(byte);
                }
            }
        }
    }
}

/// Takes messages and events, and sends 64 bytes when that is wished.
#[inline(always)]
pub fn application(link: &mut impl Drive, buffer: &[u8]) {
    while let Some(delivery) = link.recv(now()) {
        delivery.payload.iter().copied().for_each(transmit);
    }
    while link.poll_event().is_some() {}
    if wish() == 1 {
        let _ = link.send(now(), ackline::Channel(0), buffer.get(..64).unwrap_or(&[]));
    }
}
