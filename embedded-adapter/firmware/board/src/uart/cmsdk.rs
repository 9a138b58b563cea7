//! CMSDK APB UART (Arm DDI 0479), as in mps2-an385: one byte of buffer each way.

use crate::mmio::UART;

/// Receive and transmit have a line each.
pub(crate) const LINES: [u16; 2] = [0, 1];

const DATA: usize = 0x00;
const STATE: usize = 0x04;
const CONTROL: usize = 0x08;
const INTERRUPT: usize = 0x0C;
const BAUD_DIVIDER: usize = 0x10;

const TRANSMIT: u32 = 1 << 0;
const RECEIVE: u32 = 1 << 1;
const TRANSMIT_INTERRUPT: u32 = 1 << 2;
const RECEIVE_INTERRUPT: u32 = 1 << 3;

pub(super) const HAS_WRITE_INTERRUPT: bool = true;

pub(super) fn init() {
    UART.write(BAUD_DIVIDER, 16); // the smallest that turns it on
    UART.write(CONTROL, TRANSMIT | RECEIVE | RECEIVE_INTERRUPT);
}

pub(super) fn can_read() -> bool {
    UART.read(STATE) & RECEIVE != 0
}

pub(super) fn read() -> u8 {
    UART.read(DATA) as u8
}

pub(super) fn acknowledge() {
    UART.write(INTERRUPT, RECEIVE);
}

pub(super) fn can_write() -> bool {
    UART.read(STATE) & TRANSMIT == 0
}

pub(super) fn write(byte: u8) {
    UART.write(DATA, byte.into());
}

pub(super) fn is_idle() -> bool {
    can_write()
}

fn control(bits: u32, on: bool) {
    let control = UART.read(CONTROL);
    UART.write(CONTROL, if on { control | bits } else { control & !bits });
}

pub(super) fn enable_read_interrupt(on: bool) {
    control(RECEIVE_INTERRUPT, on);
}

pub(super) fn enable_write_interrupt(on: bool) {
    control(TRANSMIT_INTERRUPT, on);
    if !on {
        UART.write(INTERRUPT, TRANSMIT);
    }
}
