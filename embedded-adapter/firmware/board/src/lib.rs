//! Four boards that QEMU emulates, behind one face: [`start`] an async program, [`uart`], [`ethernet`], [`entropy`].
//!
//! | feature | core | UART | Ethernet | RAM |
//! |---|---|---|---|---|
//! | `lm3s6965evb` | Cortex-M3, 12.5 MHz | PL011 | Stellaris | 64 KiB |
//! | `mps2-an385` | Cortex-M3, 25 MHz | CMSDK | LAN9118 | 4 MiB |
//! | `microbit` | Cortex-M0, 16 MHz | nRF51 | - | 16 KiB |
//! | `riscv-virt` | RV32IMC | NS16550 | - | 16 MiB |
//!
//! This crate stands where the HAL of a real chip would stand, and nothing of it is needed on one. It is also the only
//! place of the project with `unsafe`, because a board is where software meets addresses: [`mmio`](crate) (volatile
//! access to the register blocks of the table above), the interrupt controller, the executor's poll and its pender.
#![no_std]

mod executor;
mod interrupt;
mod mmio;

#[cfg_attr(feature = "riscv-virt", path = "clock/clint.rs")]
#[cfg_attr(not(feature = "riscv-virt"), path = "clock/systick.rs")]
mod clock;

pub mod entropy;
#[cfg(all(
    any(feature = "lm3s6965evb", feature = "mps2-an385"),
    any(feature = "smoltcp", feature = "embassy-net")
))]
pub mod ethernet;
#[cfg(not(feature = "riscv-virt"))]
pub mod stack;
pub mod uart;

pub use clock::{now_micros, stall};
/// Marks an image's `fn main() -> !`.
#[cfg(not(feature = "riscv-virt"))]
pub use cortex_m_rt::entry;
pub use executor::{idle_until_interrupt, start};
/// Marks an image's `fn main() -> !`.
#[cfg(feature = "riscv-virt")]
pub use riscv_rt::entry;

use defmt_semihosting as _;

/// Starts the clock, for images without an executor ([`start`] does it itself).
pub fn start_clock() {
    clock::start();
}

/// Prints a line to the emulator's standard error: for measurements, which are not logs.
pub fn print(line: core::fmt::Arguments<'_>) {
    semihosting::eprintln!("{line}");
}

/// Ends the emulation. Status 0 means that all went well.
pub fn exit(status: i32) -> ! {
    semihosting::process::exit(status)
}

/// A panic ends the emulation with status 101, so that a test sees it at once.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    defmt::error!("{}", defmt::Display2Format(info));
    exit(101)
}

defmt::timestamp!("{=u64:us}", now_micros());
