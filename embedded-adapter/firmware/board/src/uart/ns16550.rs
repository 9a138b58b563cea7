//! NS16550A, as in riscv-virt.

use crate::mmio::UART;

/// The PLIC's source.
pub(crate) const LINES: [u16; 1] = [10];

const DATA: usize = 0;
const INTERRUPT_ENABLE: usize = 1;
const FIFO_CONTROL: usize = 2;
const LINE_CONTROL: usize = 3;
const LINE_STATUS: usize = 5;

const RECEIVED: u8 = 1 << 0;
const TRANSMITTED: u8 = 1 << 1;

const DATA_READY: u8 = 1 << 0;
const HOLDING_EMPTY: u8 = 1 << 5;
const TRANSMITTER_EMPTY: u8 = 1 << 6;

pub(super) const HAS_WRITE_INTERRUPT: bool = true;

pub(super) fn init() {
    UART.write_byte(LINE_CONTROL, 0b11); // 8 bits
    UART.write_byte(FIFO_CONTROL, 0b111); // on, both emptied, receive interrupt at one byte
    UART.write_byte(INTERRUPT_ENABLE, RECEIVED);
}

pub(super) fn can_read() -> bool {
    UART.read_byte(LINE_STATUS) & DATA_READY != 0
}

pub(super) fn read() -> u8 {
    UART.read_byte(DATA)
}

pub(super) fn acknowledge() {}

pub(super) fn can_write() -> bool {
    UART.read_byte(LINE_STATUS) & HOLDING_EMPTY != 0
}

pub(super) fn write(byte: u8) {
    UART.write_byte(DATA, byte);
}

pub(super) fn is_idle() -> bool {
    UART.read_byte(LINE_STATUS) & TRANSMITTER_EMPTY != 0
}

fn enable(bits: u8, on: bool) {
    let enabled = UART.read_byte(INTERRUPT_ENABLE);
    UART.write_byte(INTERRUPT_ENABLE, if on { enabled | bits } else { enabled & !bits });
}

pub(super) fn enable_read_interrupt(on: bool) {
    enable(RECEIVED, on);
}

pub(super) fn enable_write_interrupt(on: bool) {
    enable(TRANSMITTED, on);
}
