//! The controller of the LM3S6965 (data sheet, chapter 16).
//!
//! In the FIFO, a frame is preceded by two bytes of length: that of everything including itself and the check sequence
//! when received, that of the data after the Ethernet header when sent.

use crate::mmio::ETHERNET;

pub(crate) const LINE: u16 = 42;

const INTERRUPT_STATUS: usize = 0x00;
const INTERRUPT_MASK: usize = 0x04;
const RECEIVE_CONTROL: usize = 0x08;
const TRANSMIT_CONTROL: usize = 0x0C;
const DATA: usize = 0x10;
const ADDRESS_LOW: usize = 0x14;
const ADDRESS_HIGH: usize = 0x18;
const RECEIVED_COUNT: usize = 0x34;
const TRANSMIT_REQUEST: usize = 0x38;

const HEADER_LEN: usize = 14;
const LENGTH_LEN: usize = 2;
const CHECK_LEN: usize = 4;

pub(super) fn init(address: [u8; 6]) {
    let [a, b, c, d, e, f] = address;
    ETHERNET.write(ADDRESS_LOW, u32::from_le_bytes([a, b, c, d]));
    ETHERNET.write(ADDRESS_HIGH, u32::from_le_bytes([e, f, 0, 0]));
    ETHERNET.write(TRANSMIT_CONTROL, 1 | 1 << 1 | 1 << 2); // enable, pad, add the check sequence
    ETHERNET.write(RECEIVE_CONTROL, 1 | 1 << 4); // enable, empty the FIFO
    ETHERNET.write(INTERRUPT_STATUS, 0x7F);
    enable_interrupt(true);
}

pub(super) fn enable_interrupt(on: bool) {
    if on {
        ETHERNET.write(INTERRUPT_STATUS, 1);
    }
    ETHERNET.write(INTERRUPT_MASK, on.into());
}

pub(super) fn has_frame() -> bool {
    ETHERNET.read(RECEIVED_COUNT) & 0x3F != 0
}

/// Takes one frame. `None` if there is none, or if it was longer than `frame` (it is gone then).
pub(super) fn receive(frame: &mut [u8]) -> Option<usize> {
    if !has_frame() {
        return None;
    }
    let [low, high, first, second] = ETHERNET.read(DATA).to_le_bytes();
    let total = usize::from(u16::from_le_bytes([low, high]));
    let len = total.saturating_sub(LENGTH_LEN + CHECK_LEN);
    for (to, byte) in frame.iter_mut().zip([first, second]) {
        *to = byte;
    }
    // The FIFO gives words: two bytes of the frame came with the length, the rest and its check sequence follow.
    let mut at = 2;
    while at < total - LENGTH_LEN {
        for byte in ETHERNET.read(DATA).to_le_bytes() {
            if at < len && at < frame.len() {
                frame[at] = byte;
            }
            at += 1;
        }
    }
    (len <= frame.len()).then_some(len)
}

/// Sends one frame of at least a header.
pub(super) fn transmit(frame: &[u8]) {
    while ETHERNET.read(TRANSMIT_REQUEST) & 1 != 0 {}
    let byte = |at: usize| frame.get(at).copied().unwrap_or(0);
    let [low, high] = (frame.len().saturating_sub(HEADER_LEN) as u16).to_le_bytes();
    ETHERNET.write(DATA, u32::from_le_bytes([low, high, byte(0), byte(1)]));
    for at in (2..frame.len()).step_by(4) {
        ETHERNET.write(DATA, u32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]));
    }
    ETHERNET.write(TRANSMIT_REQUEST, 1);
}
