//! nRF51 UART (nRF51 Series Reference Manual, chapter 29), as in microbit: six bytes of receive FIFO.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::mmio::UART;

pub(crate) const LINES: [u16; 1] = [2];

const START_RECEIVING: usize = 0x000;
const START_TRANSMITTING: usize = 0x008;
const RECEIVED: usize = 0x108;
const TRANSMITTED: usize = 0x11C;
const INTERRUPT_SET: usize = 0x304;
const INTERRUPT_CLEAR: usize = 0x308;
const ENABLE: usize = 0x500;
const RECEIVE_DATA: usize = 0x518;
const TRANSMIT_DATA: usize = 0x51C;

const RECEIVED_INTERRUPT: u32 = 1 << 2;

/// The chip has one, but QEMU 7.2 does not raise it for a byte that had to wait for the host: seen as a writer that sleeps
/// for ever while event and mask are both set.
pub(super) const HAS_WRITE_INTERRUPT: bool = false;

/// A byte was written and the device has not said yet that it is out. There is no register that tells.
static WRITING: AtomicBool = AtomicBool::new(false);

pub(super) fn init() {
    UART.write(ENABLE, 4);
    UART.write(START_RECEIVING, 1);
    UART.write(START_TRANSMITTING, 1);
    UART.write(INTERRUPT_SET, RECEIVED_INTERRUPT);
}

pub(super) fn can_read() -> bool {
    UART.read(RECEIVED) != 0
}

pub(super) fn read() -> u8 {
    // The event is cleared first: reading the data raises it again if the FIFO holds more.
    UART.write(RECEIVED, 0);
    UART.read(RECEIVE_DATA) as u8
}

pub(super) fn acknowledge() {}

pub(super) fn can_write() -> bool {
    !WRITING.load(Ordering::Relaxed) || UART.read(TRANSMITTED) != 0
}

pub(super) fn write(byte: u8) {
    UART.write(TRANSMITTED, 0);
    WRITING.store(true, Ordering::Relaxed);
    UART.write(TRANSMIT_DATA, byte.into());
}

pub(super) fn is_idle() -> bool {
    can_write()
}

pub(super) fn enable_read_interrupt(on: bool) {
    UART.write(if on { INTERRUPT_SET } else { INTERRUPT_CLEAR }, RECEIVED_INTERRUPT);
}

pub(super) fn enable_write_interrupt(_on: bool) {}
