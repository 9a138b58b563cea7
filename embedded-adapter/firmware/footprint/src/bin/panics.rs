//! A program that can panic: what the check for panics must find.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use footprint::{transmit, wish};
use panic_halt as _;

#[cortex_m_rt::entry]
fn main() -> ! {
    let bytes = [1, 2, 3];
    loop {
        transmit(bytes[wish() as usize]);
    }
}
