//! Serial lines over embedded-io 0.7, without an executor.

use ackline::Instant;
use ackline::framing::{Deframer, FrameCheck, FrameEncoder, FrameStats};
use embedded_io::{Read, ReadReady, Write};

use crate::Drive;

/// Bytes read or written at one time. Chosen: four FIFOs of a common UART.
const CHUNK_LEN: usize = 64;
/// Chunks that one step reads. Chosen: the program gets its turn after 1 KiB, 90 ms at 115,200 bit/s.
const CHUNKS_MAX: usize = 16;

/// A link, and the frames of its serial line. `N` is the length of its two buffers: that of the link's longest datagram or
/// more. With [`FrameCheck::Crc32`] it is all zeros before the link is started, so that as a `static` it takes no flash.
pub struct Driver<L, const N: usize> {
    link: L,
    deframer: Deframer<N>,
    check: FrameCheck,
    transmit: [u8; N],
}

/// Why a step stopped. Call it again when the line is in order: the link loses nothing by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt-1", derive(defmt::Format))]
pub enum Error<R, W> {
    /// The reader failed.
    Read(R),
    /// The writer failed.
    Write(W),
}

impl<L: Drive, const N: usize> Driver<L, N> {
    /// A link that is not started, over a line whose frames both ends check with `check`.
    pub const fn new(check: FrameCheck) -> Self {
        Driver { link: L::UNSTARTED, deframer: Deframer::new(check), check, transmit: [0; N] }
    }

    /// The link, to be started. Afterwards, [`step`](Self::step) lends it to the application.
    pub fn link(&mut self) -> &mut L {
        &mut self.link
    }

    /// Takes what has arrived from `reader`, lets the `application` receive, send, and poll events, and sends to `writer` what
    /// is due. Returns when to call again at the latest; `None` if only bytes from the line or the application can give
    /// it work.
    ///
    /// Writing blocks until the bytes have left, which takes the frame's time on the line.
    ///
    /// # Errors
    ///
    /// [`Error`], with that of the line. A frame that was cut short is lost to damage, and the link sends its content
    /// again.
    pub fn step<R: Read + ReadReady, W: Write>(
        &mut self,
        now: impl Fn() -> Instant,
        reader: &mut R,
        writer: &mut W,
        application: impl FnOnce(&mut L),
    ) -> Result<Option<Instant>, Error<R::Error, W::Error>> {
        for _ in 0..CHUNKS_MAX {
            if !reader.read_ready().map_err(Error::Read)? {
                break;
            }
            self.receive(&now, reader).map_err(Error::Read)?;
        }
        if self.link.poll_timeout().is_some_and(|deadline| deadline <= now()) {
            self.link.handle_timeout(now());
        }
        application(&mut self.link);
        // Read the clock for every frame: the one before it took its time to leave, and timers start now.
        while let Some(len) = self.link.poll_transmit(now(), &mut self.transmit) {
            self.send(len, writer).map_err(Error::Write)?;
        }
        Ok(self.link.poll_timeout())
    }

    /// What the line brought so far.
    pub fn stats(&self) -> FrameStats {
        self.deframer.stats()
    }

    fn receive<R: Read>(&mut self, now: &impl Fn() -> Instant, reader: &mut R) -> Result<(), R::Error> {
        let mut chunk = [0; CHUNK_LEN];
        let len = reader.read(&mut chunk)?;
        let mut bytes = &chunk[..len];
        while !bytes.is_empty() {
            let (consumed, datagram) = self.deframer.push(bytes);
            bytes = &bytes[consumed..];
            if let Some(datagram) = datagram {
                self.link.handle_datagram(now(), datagram);
            }
        }
        Ok(())
    }

    fn send<W: Write>(&mut self, len: usize, writer: &mut W) -> Result<(), W::Error> {
        let datagram = &self.transmit[..len];
        // There is no telling how long the line was silent, and one more byte is cheap.
        let mut encoder = FrameEncoder::after_silence(self.check, datagram);
        let mut chunk = [0; CHUNK_LEN];
        loop {
            let len = encoder.fill(datagram, &mut chunk);
            if len == 0 {
                return writer.flush();
            }
            writer.write_all(&chunk[..len])?;
        }
    }
}
