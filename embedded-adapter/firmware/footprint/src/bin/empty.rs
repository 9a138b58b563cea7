//! The empty program: bytes in, bytes out.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use footprint::{now, receive, transmit, wish};
use panic_halt as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    loop {
        if let Some(byte) = receive() {
            transmit(byte);
        }
        if wish() == now().as_micros() as u32 {
            transmit(0);
        }
    }
}
