//! The board's first UART as [`embedded_io_async::Read`] and [`Write`]: 8N1, interrupt-driven in both directions where
//! the device can.
//!
//! Received bytes wait in a queue of [`RECEIVE_LEN`] bytes. When it is full, bytes stay in the device, whose FIFO then
//! overflows on real hardware; QEMU holds back the host instead. A reader that is dropped while it waits has taken nothing
//! and a writer that is dropped while it waits has written nothing, so both are cancel-safe.

use core::convert::Infallible;
use core::future::poll_fn;
use core::task::Poll;

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_sync::waitqueue::AtomicWaker;
use embedded_io_async::{ErrorType, Read, Write};

#[cfg_attr(feature = "lm3s6965evb", path = "pl011.rs")]
#[cfg_attr(feature = "mps2-an385", path = "cmsdk.rs")]
#[cfg_attr(feature = "microbit", path = "nrf51.rs")]
#[cfg_attr(feature = "riscv-virt", path = "ns16550.rs")]
mod device;

pub(crate) use device::LINES;

/// Capacity of the receive queue in bytes. Chosen: two frames of 256 bytes.
pub const RECEIVE_LEN: usize = 512;

static RECEIVED: Pipe<CriticalSectionRawMutex, RECEIVE_LEN> = Pipe::new();
static WRITER: AtomicWaker = AtomicWaker::new();

/// Moves what has arrived into the queue, and lets a waiting writer go on.
pub(crate) fn on_interrupt() {
    receive();
    if device::HAS_WRITE_INTERRUPT && device::can_write() {
        device::enable_write_interrupt(false);
        WRITER.wake();
    }
}

fn receive() {
    // First, and then everything is read: a byte that comes after the last look would lose its interrupt to an
    // acknowledgement that came later, and the CMSDK's buffer of one byte would stay full for ever.
    device::acknowledge();
    while device::can_read() {
        if RECEIVED.free_capacity() == 0 {
            device::enable_read_interrupt(false);
            return;
        }
        // One byte of free capacity was seen, and only this function fills the queue.
        let _ = RECEIVED.try_write(&[device::read()]);
    }
}

/// The receiving half.
pub struct Receiver(());

/// The sending half.
pub struct Sender(());

/// Starts the UART.
pub fn open() -> (Sender, Receiver) {
    device::init();
    for line in LINES {
        crate::interrupt::unmask(line);
    }
    // A reset may leave bytes in the device (QEMU 7.2's PL011 has none of its own), and no interrupt tells of those.
    resume();
    (Sender(()), Receiver(()))
}

impl ErrorType for Receiver {
    type Error = Infallible;
}

impl ErrorType for Sender {
    type Error = Infallible;
}

/// Empties the device into the queue, which has room now, and listens again.
fn resume() {
    critical_section::with(|_| {
        device::enable_read_interrupt(true);
        receive();
    });
}

impl Read for Receiver {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let len = RECEIVED.read(buffer).await;
        resume();
        Ok(len)
    }
}

impl Write for Sender {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            let len = write_some(bytes);
            if len > 0 || bytes.is_empty() {
                return Poll::Ready(Ok(len));
            }
            if device::HAS_WRITE_INTERRUPT {
                WRITER.register(cx.waker());
                critical_section::with(|_| {
                    device::enable_write_interrupt(true);
                    // It may have become free in between, and told nobody.
                    if device::can_write() {
                        device::enable_write_interrupt(false);
                        cx.waker().wake_by_ref();
                    }
                });
            } else {
                // Others get their turn, and then this asks again.
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), Infallible> {
        while !device::is_idle() {}
        Ok(())
    }
}

/// Writes while the device has room.
fn write_some(bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() && critical_section::with(|_| device::can_write()) {
        critical_section::with(|_| device::write(bytes[written]));
        written += 1;
    }
    written
}

impl embedded_io::Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        loop {
            if let Ok(len) = RECEIVED.try_read(buffer) {
                resume();
                return Ok(len);
            }
            crate::idle_until_interrupt();
        }
    }
}

impl embedded_io::ReadReady for Receiver {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!RECEIVED.is_empty())
    }
}

impl embedded_io::Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        loop {
            let len = write_some(bytes);
            if len > 0 || bytes.is_empty() {
                return Ok(len);
            }
        }
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !device::is_idle() {}
        Ok(())
    }
}
