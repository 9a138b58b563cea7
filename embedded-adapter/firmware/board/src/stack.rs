//! How deep the stack has been: for measurements.

use core::ptr::{addr_of_mut, read_volatile, write_volatile};

const PAINT: u32 = 0xCCCC_CCCC;
/// Bytes below the stack pointer that painting leaves alone, for its own frame.
const MARGIN: usize = 64;

unsafe extern "C" {
    /// The lowest address of the stack, by cortex-m-rt's linker script.
    static mut _stack_end: u32;
}

/// A painted stack.
pub struct Painted {
    pointer: usize,
}

/// Paints the free stack.
pub fn paint() -> Painted {
    let pointer = cortex_m::register::msp::read() as usize;
    let mut at = addr_of_mut!(_stack_end);
    while (at as usize) < pointer - MARGIN {
        // SAFETY: between the statics and the stack pointer, less what this function may use: nobody's memory.
        unsafe {
            write_volatile(at, PAINT);
            at = at.add(1);
        }
    }
    Painted { pointer }
}

impl Painted {
    /// The deepest the stack has been since, in bytes below where it was then; `MARGIN` at least.
    pub fn depth(&self) -> usize {
        let mut at = addr_of_mut!(_stack_end);
        // SAFETY: ends at what the stack holds now, as that is not painted.
        while unsafe { read_volatile(at) } == PAINT {
            // SAFETY: as above.
            at = unsafe { at.add(1) };
        }
        self.pointer - at as usize
    }
}
