//! A world that the optimiser knows nothing about: bytes, time and wishes come out of [`black_box`], and bytes go into it.
//! It costs next to nothing, and nothing behind it can be optimised away.
#![no_std]
#![forbid(unsafe_code)]

use core::hint::black_box;

use ackline::Instant;
// For its critical section.
use cortex_m as _;

/// A received byte, if there is one.
#[inline(never)]
pub fn receive() -> Option<u8> {
    let received = black_box(0x100_u32);
    (received < 0x100).then_some(received as u8)
}

/// Sends a byte.
#[inline(never)]
pub fn transmit(byte: u8) {
    black_box(byte);
}

/// The time.
#[inline(never)]
pub fn now() -> Instant {
    Instant::from_micros(black_box(0))
}

/// For what cannot be.
pub fn halt() -> ! {
    loop {
        wish();
    }
}

/// What the application wants to do next.
#[inline(never)]
pub fn wish() -> u32 {
    black_box(0)
}

pub mod line;

#[cfg(any(feature = "smoltcp-udp", feature = "smoltcp-tcp"))]
pub mod device;
#[cfg(feature = "smoltcp-udp")]
pub mod udp;
