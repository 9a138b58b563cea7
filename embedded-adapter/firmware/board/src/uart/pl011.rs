//! PL011 (Arm DDI 0183), as in lm3s6965evb.

use crate::mmio::UART;

pub(crate) const LINES: [u16; 1] = [5];

const DATA: usize = 0x00;
const FLAGS: usize = 0x18;
const LINE_CONTROL: usize = 0x2C;
const CONTROL: usize = 0x30;
const INTERRUPT_MASK: usize = 0x38;
const INTERRUPT_CLEAR: usize = 0x44;

const FLAG_BUSY: u32 = 1 << 3;
const FLAG_RECEIVE_EMPTY: u32 = 1 << 4;
const FLAG_TRANSMIT_FULL: u32 = 1 << 5;
/// FIFO at its mark, and bytes left in it for 32 bit times.
const RECEIVED: u32 = 1 << 4 | 1 << 6;
const TRANSMITTED: u32 = 1 << 5;

pub(super) const HAS_WRITE_INTERRUPT: bool = true;

pub(super) fn init() {
    UART.write(LINE_CONTROL, 0b11 << 5 | 1 << 4); // 8 bits, FIFOs
    UART.write(CONTROL, 1 << 9 | 1 << 8 | 1); // receive, transmit, enable
    UART.write(INTERRUPT_MASK, RECEIVED);
}

pub(super) fn can_read() -> bool {
    UART.read(FLAGS) & FLAG_RECEIVE_EMPTY == 0
}

pub(super) fn read() -> u8 {
    UART.read(DATA) as u8
}

pub(super) fn acknowledge() {
    UART.write(INTERRUPT_CLEAR, RECEIVED);
}

pub(super) fn can_write() -> bool {
    UART.read(FLAGS) & FLAG_TRANSMIT_FULL == 0
}

pub(super) fn write(byte: u8) {
    UART.write(DATA, byte.into());
}

pub(super) fn is_idle() -> bool {
    UART.read(FLAGS) & FLAG_BUSY == 0
}

fn mask(bits: u32, on: bool) {
    let mask = UART.read(INTERRUPT_MASK);
    UART.write(INTERRUPT_MASK, if on { mask | bits } else { mask & !bits });
}

pub(super) fn enable_read_interrupt(on: bool) {
    mask(RECEIVED, on);
}

pub(super) fn enable_write_interrupt(on: bool) {
    mask(TRANSMITTED, on);
}
