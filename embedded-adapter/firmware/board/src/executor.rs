//! An executor that sleeps by WFI.
//!
//! embassy's own thread-mode executor of Cortex-M sleeps by WFE, which QEMU executes as a no-op: the emulator then burns a
//! host core, and every idle spin counts as executed instructions. WFI halts, and it wakes on a pending interrupt even
//! while interrupts are masked, which closes the gap between looking for work and falling asleep.

use core::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use static_cell::StaticCell;

use crate::interrupt;

static WOKEN: AtomicBool = AtomicBool::new(false);

/// Called by embassy-executor when a task becomes ready, from any context.
#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    WOKEN.store(true, Ordering::Release);
}

/// Starts the clock, lets `spawn` create the first tasks, and runs them for ever.
///
/// # Panics
///
/// When called twice.
pub fn start(spawn: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<raw::Executor> = StaticCell::new();
    crate::clock::start();
    let executor = EXECUTOR.init_with(|| raw::Executor::new(core::ptr::null_mut()));
    interrupt::enable_all();
    apart(spawn, executor.spawner());
    loop {
        // SAFETY: polled from here only, never re-entered, and the pender above belongs to this executor.
        unsafe { executor.poll() };
        interrupt::sleep_unless(|| WOKEN.swap_flag());
    }
}

/// In a frame of its own: what the program builds on the stack on its way into statics is gone when the tasks run.
#[inline(never)]
fn apart(spawn: impl FnOnce(Spawner), spawner: Spawner) {
    spawn(spawner);
}

/// Sleeps until the next interrupt, or a millisecond, for images without an executor.
pub fn idle_until_interrupt() {
    crate::clock::tick_soon();
    interrupt::sleep_unless(|| false);
}

trait SwapFlag {
    fn swap_flag(&self) -> bool;
}

impl SwapFlag for AtomicBool {
    /// Reads and clears the flag. Interrupts are masked, so plain loads and stores are enough (Cortex-M0 has no swap).
    fn swap_flag(&self) -> bool {
        let woken = self.load(Ordering::Acquire);
        self.store(false, Ordering::Release);
        woken
    }
}
