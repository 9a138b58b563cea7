//! A seed that differs at every boot.

/// 64 bits for [`ackline::Link::new`](https://docs.rs/ackline), different at every boot.
///
/// The micro:bit has a random-number generator and `riscv-virt` a nanosecond calendar. The two others have neither: there
/// the emulator's host tells the time by semihosting: seconds, and nanoseconds since the emulator was started, which tell
/// two resets within one second apart. A product with such a chip keeps a boot counter in flash.
pub fn seed() -> u64 {
    mix(raw())
}

#[cfg(feature = "microbit")]
fn raw() -> u64 {
    use crate::mmio::RANDOM;
    const START: usize = 0x000;
    const VALUE_READY: usize = 0x100;
    const VALUE: usize = 0x508;
    let mut value = 0;
    RANDOM.write(START, 1);
    for _ in 0..8 {
        while RANDOM.read(VALUE_READY) == 0 {}
        RANDOM.write(VALUE_READY, 0);
        value = value << 8 | u64::from(RANDOM.read(VALUE));
    }
    value
}

#[cfg(feature = "riscv-virt")]
fn raw() -> u64 {
    use crate::mmio::GOLDFISH_RTC;
    // Reading the low half latches the high half.
    let low = GOLDFISH_RTC.read(0);
    u64::from(GOLDFISH_RTC.read(4)) << 32 | u64::from(low)
}

#[cfg(any(feature = "lm3s6965evb", feature = "mps2-an385"))]
fn raw() -> u64 {
    use semihosting::sys::arm_compat::{sys_elapsed, sys_time};
    let seconds = sys_time().unwrap_or(0) as u64;
    seconds << 32 ^ sys_elapsed().unwrap_or(0)
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): spreads a few changing bits over all 64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}
