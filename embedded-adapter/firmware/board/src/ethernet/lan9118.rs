//! SMSC LAN9118 (data sheet, chapter 5), as in mps2-an385.

use crate::mmio::ETHERNET;

pub(crate) const LINE: u16 = 13;

const RECEIVE_DATA: usize = 0x00;
const TRANSMIT_DATA: usize = 0x20;
const RECEIVE_STATUS: usize = 0x40;
const INTERRUPT_CONFIG: usize = 0x54;
const INTERRUPT_STATUS: usize = 0x58;
const INTERRUPT_ENABLE: usize = 0x5C;
const BYTE_ORDER_TEST: usize = 0x64;
const FIFO_INTERRUPT: usize = 0x68;
const RECEIVE_CONFIG: usize = 0x6C;
const TRANSMIT_CONFIG: usize = 0x70;
const HARDWARE_CONFIG: usize = 0x74;
const RECEIVE_FIFO: usize = 0x7C;
const MAC_COMMAND: usize = 0xA4;
const MAC_DATA: usize = 0xA8;

const MAC_CONTROL: u32 = 1;
const MAC_ADDRESS_HIGH: u32 = 2;
const MAC_ADDRESS_LOW: u32 = 3;
const MAC_BUSY: u32 = 1 << 31;

/// At least one frame waits.
const RECEIVED: u32 = 1 << 3;
const CHECK_LEN: usize = 4;

fn write_mac(register: u32, value: u32) {
    ETHERNET.write(MAC_DATA, value);
    ETHERNET.write(MAC_COMMAND, MAC_BUSY | register);
    while ETHERNET.read(MAC_COMMAND) & MAC_BUSY != 0 {}
}

pub(super) fn init(address: [u8; 6]) {
    assert_eq!(ETHERNET.read(BYTE_ORDER_TEST), 0x8765_4321);
    ETHERNET.write(HARDWARE_CONFIG, 1); // reset
    while ETHERNET.read(HARDWARE_CONFIG) & 1 != 0 {}
    ETHERNET.write(HARDWARE_CONFIG, 1 << 20 | 5 << 16); // send whole frames; 5 KiB of FIFO for sending
    let [a, b, c, d, e, f] = address;
    write_mac(MAC_ADDRESS_LOW, u32::from_le_bytes([a, b, c, d]));
    write_mac(MAC_ADDRESS_HIGH, u32::from_le_bytes([e, f, 0, 0]));
    write_mac(MAC_CONTROL, 1 << 20 | 1 << 3 | 1 << 2); // full duplex, transmit, receive
    ETHERNET.write(RECEIVE_CONFIG, 0);
    ETHERNET.write(TRANSMIT_CONFIG, 1 << 1);
    ETHERNET.write(FIFO_INTERRUPT, 0); // from the first frame on
    ETHERNET.write(INTERRUPT_STATUS, u32::MAX);
    ETHERNET.write(INTERRUPT_CONFIG, 1 << 8 | 1 << 4 | 1); // on, active high, push-pull
    enable_interrupt(true);
}

pub(super) fn enable_interrupt(on: bool) {
    if on {
        ETHERNET.write(INTERRUPT_STATUS, RECEIVED);
    }
    ETHERNET.write(INTERRUPT_ENABLE, if on { RECEIVED } else { 0 });
}

pub(super) fn has_frame() -> bool {
    ETHERNET.read(RECEIVE_FIFO) >> 16 & 0xFF != 0
}

/// Takes one frame. `None` if there is none, or if it was damaged or longer than `frame` (it is gone then).
pub(super) fn receive(frame: &mut [u8]) -> Option<usize> {
    if !has_frame() {
        return None;
    }
    let status = ETHERNET.read(RECEIVE_STATUS);
    let is_damaged = status & 1 << 15 != 0;
    let total = (status >> 16 & 0x3FFF) as usize;
    let len = total.saturating_sub(CHECK_LEN);
    for at in (0..total).step_by(4) {
        let word = ETHERNET.read(RECEIVE_DATA).to_le_bytes();
        for (to, byte) in frame.iter_mut().take(len).skip(at).zip(word) {
            *to = byte;
        }
    }
    (!is_damaged && len <= frame.len()).then_some(len)
}

/// Sends one frame.
pub(super) fn transmit(frame: &[u8]) {
    let len = frame.len() as u32;
    ETHERNET.write(TRANSMIT_DATA, 1 << 13 | 1 << 12 | len); // command A: first and last segment
    ETHERNET.write(TRANSMIT_DATA, len); // command B
    for chunk in frame.chunks(4) {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        ETHERNET.write(TRANSMIT_DATA, u32::from_le_bytes(word));
    }
}
