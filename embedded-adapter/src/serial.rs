//! Serial lines over embedded-io-async 0.7.

use core::fmt;
use core::future::poll_fn;

use ackline::framing::{DeframerIn, FrameCheck, FrameEncoder, FrameStats};
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use embassy_sync::blocking_mutex::raw::{NoopRawMutex, RawMutex};
use embedded_io_async::{Read, Write};

use crate::{Drive, Port};

/// Bytes read or written at one time. Chosen: four FIFOs of a common UART.
const CHUNK_LEN: usize = 64;

/// Carries one link over one serial line.
///
/// It writes one frame at a time and asks the link for the next one only when the last byte of that has left
/// (`flush`), so nothing the link has counted as sent waits behind something else.
pub struct Runner<'a, L, R, W, M = NoopRawMutex> {
    port: Port<'a, L, M>,
    reader: R,
    deframer: DeframerIn<&'a mut [u8]>,
    writer: W,
    outgoing: Outgoing<'a>,
}

/// Why a runner stopped. Call it again when the line is in order: it goes on where it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt-1", derive(defmt::Format))]
pub enum Error<R, W> {
    /// The reader failed.
    Read(R),
    /// The writer failed.
    Write(W),
    /// The reader has ended, or the writer takes no more bytes.
    LineClosed,
}

impl<R: fmt::Debug, W: fmt::Debug> fmt::Display for Error<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read(error) => write!(f, "cannot read from the line: {error:?}"),
            Error::Write(error) => write!(f, "cannot write to the line: {error:?}"),
            Error::LineClosed => f.write_str("the line is closed"),
        }
    }
}

impl<R: fmt::Debug, W: fmt::Debug> core::error::Error for Error<R, W> {}

impl<'a, L: Drive, R: Read, W: Write, M: RawMutex> Runner<'a, L, R, W, M> {
    /// Over the line of `reader` and `writer`, whose frames both ends check with `check`.
    pub fn new(mut port: Port<'a, L, M>, reader: R, writer: W, check: FrameCheck) -> Self {
        let (received, transmit) = port.take_buffers();
        let outgoing = Outgoing::new(check, transmit);
        Runner { port, reader, deframer: DeframerIn::over(received, check), writer, outgoing }
    }

    /// Carries frames until the link is closed. May be dropped and called again.
    ///
    /// # Errors
    ///
    /// [`Error`], with that of the line.
    pub async fn run(&mut self) -> Result<(), Error<R::Error, W::Error>> {
        let receiving = receive(&self.port, &mut self.reader, &mut self.deframer);
        let sending = self.outgoing.send(&self.port, &mut self.writer);
        match select(receiving, sending).await {
            Either::First(error) => Err(error),
            Either::Second(result) => result,
        }
    }

    /// What the line brought so far.
    pub fn stats(&self) -> FrameStats {
        self.deframer.stats()
    }
}

/// Passes what arrives to the link, for ever.
async fn receive<L: Drive, R: Read, M: RawMutex, E>(
    port: &Port<'_, L, M>,
    reader: &mut R,
    deframer: &mut DeframerIn<&mut [u8]>,
) -> Error<R::Error, E> {
    let mut chunk = [0; CHUNK_LEN];
    loop {
        let len = match reader.read(&mut chunk).await {
            Ok(0) => return Error::LineClosed,
            Ok(len) => len,
            Err(error) => return Error::Read(error),
        };
        let mut bytes = &chunk[..len];
        while !bytes.is_empty() {
            let (consumed, datagram) = deframer.push(bytes);
            bytes = &bytes[consumed..];
            if let Some(datagram) = datagram {
                port.handle_datagram(datagram);
            }
        }
        // A line that is never silent must not keep the sending side from its turn.
        yield_now().await;
    }
}

/// A frame on its way out. All of it is state of the runner, so that a runner that is dropped and called again
/// goes on with the very next byte.
struct Outgoing<'a> {
    check: FrameCheck,
    datagram: &'a mut [u8],
    datagram_len: usize,
    encoder: Option<FrameEncoder>,
    chunk: [u8; CHUNK_LEN],
    /// What of `chunk` is still to be written.
    start: usize,
    end: usize,
    /// Something was written and not flushed.
    is_leaving: bool,
}

impl<'a> Outgoing<'a> {
    fn new(check: FrameCheck, datagram: &'a mut [u8]) -> Self {
        Outgoing {
            check,
            datagram,
            datagram_len: 0,
            encoder: None,
            chunk: [0; CHUNK_LEN],
            start: 0,
            end: 0,
            is_leaving: false,
        }
    }

    async fn send<L: Drive, W: Write, M: RawMutex, E>(
        &mut self,
        port: &Port<'_, L, M>,
        writer: &mut W,
    ) -> Result<(), Error<E, W::Error>> {
        loop {
            while self.refill() {
                match writer.write(&self.chunk[self.start..self.end]).await {
                    Ok(0) => return Err(Error::LineClosed),
                    Ok(len) => self.start += len,
                    Err(error) => return Err(Error::Write(error)),
                }
                self.is_leaving = true;
            }
            if self.is_leaving {
                writer.flush().await.map_err(Error::Write)?;
                self.is_leaving = false;
            }
            let mut was_silent = false;
            let next = poll_fn(|cx| {
                let next = port.poll_transmit(cx, self.datagram);
                was_silent |= next.is_pending();
                next
            });
            let Some(len) = next.await else { return Ok(()) };
            self.start_frame(len, was_silent);
        }
    }

    fn start_frame(&mut self, len: usize, was_silent: bool) {
        self.datagram_len = len;
        let datagram = &self.datagram[..len];
        self.encoder = Some(match was_silent {
            true => FrameEncoder::after_silence(self.check, datagram),
            false => FrameEncoder::new(self.check, datagram),
        });
    }

    /// Makes sure that there is something to write: `false` when the frame is out.
    fn refill(&mut self) -> bool {
        if self.start < self.end {
            return true;
        }
        self.start = 0;
        self.end = match &mut self.encoder {
            Some(encoder) => encoder.fill(&self.datagram[..self.datagram_len], &mut self.chunk),
            None => 0,
        };
        if self.end == 0 {
            self.encoder = None;
        }
        self.end > 0
    }
}
