//! Volatile access to device registers.
//!
//! A [`Block`] can only be made in this file, so that this table is the list of all memory that this crate touches by
//! address. Offsets are checked against the block's length; where they are constants, the check is gone after
//! optimisation.

use core::ptr::{read_volatile, write_volatile};

/// A device's registers: `len` bytes from address `base`.
pub(crate) struct Block {
    base: usize,
    len: usize,
}

#[cfg(feature = "lm3s6965evb")]
mod map {
    use super::Block;
    pub(crate) const UART: Block = Block { base: 0x4000_C000, len: 0x1000 };
    #[cfg(any(feature = "smoltcp", feature = "embassy-net"))]
    pub(crate) const ETHERNET: Block = Block { base: 0x4004_8000, len: 0x1000 };
}

#[cfg(feature = "mps2-an385")]
mod map {
    use super::Block;
    pub(crate) const UART: Block = Block { base: 0x4000_4000, len: 0x1000 };
    #[cfg(any(feature = "smoltcp", feature = "embassy-net"))]
    pub(crate) const ETHERNET: Block = Block { base: 0x4020_0000, len: 0x100 };
}

#[cfg(feature = "microbit")]
mod map {
    use super::Block;
    pub(crate) const UART: Block = Block { base: 0x4000_2000, len: 0x1000 };
    pub(crate) const RANDOM: Block = Block { base: 0x4000_D000, len: 0x1000 };
}

#[cfg(feature = "riscv-virt")]
mod map {
    use super::Block;
    pub(crate) const UART: Block = Block { base: 0x1000_0000, len: 0x100 };
    pub(crate) const CLINT: Block = Block { base: 0x0200_0000, len: 0x1_0000 };
    pub(crate) const PLIC: Block = Block { base: 0x0C00_0000, len: 0x60_0000 };
    pub(crate) const GOLDFISH_RTC: Block = Block { base: 0x0010_1000, len: 0x1000 };
}

pub(crate) use map::*;

impl Block {
    /// The 32-bit register at `offset`.
    #[inline(always)]
    pub(crate) fn read(&self, offset: usize) -> u32 {
        assert!(offset < self.len && offset.is_multiple_of(4));
        // SAFETY: aligned, and within a device's registers by the table above; no Rust object lives there.
        unsafe { read_volatile((self.base + offset) as *const u32) }
    }

    /// Writes the 32-bit register at `offset`.
    #[inline(always)]
    pub(crate) fn write(&self, offset: usize, value: u32) {
        assert!(offset < self.len && offset.is_multiple_of(4));
        // SAFETY: as in `read`; none of these devices writes to memory on its own (no DMA).
        unsafe { write_volatile((self.base + offset) as *mut u32, value) }
    }

    /// The 8-bit register at `offset`.
    #[cfg(feature = "riscv-virt")]
    #[inline(always)]
    pub(crate) fn read_byte(&self, offset: usize) -> u8 {
        assert!(offset < self.len);
        // SAFETY: within a device's registers by the table above; no Rust object lives there.
        unsafe { read_volatile((self.base + offset) as *const u8) }
    }

    /// Writes the 8-bit register at `offset`.
    #[cfg(feature = "riscv-virt")]
    #[inline(always)]
    pub(crate) fn write_byte(&self, offset: usize, value: u8) {
        assert!(offset < self.len);
        // SAFETY: as in `read_byte`.
        unsafe { write_volatile((self.base + offset) as *mut u8, value) }
    }
}
