//! Masking, unmasking and dispatching interrupts.

#[cfg(not(feature = "riscv-virt"))]
pub(crate) use arm::*;
#[cfg(feature = "riscv-virt")]
pub(crate) use riscv_virt::*;

#[cfg(not(feature = "riscv-virt"))]
mod arm {
    use cortex_m::peripheral::NVIC;
    use cortex_m_rt::exception;

    #[derive(Clone, Copy)]
    struct Line(u16);

    // SAFETY: the number of a line never changes, and QEMU's controllers have every line that this crate uses.
    unsafe impl cortex_m::interrupt::InterruptNumber for Line {
        fn number(self) -> u16 {
            self.0
        }
    }

    pub(crate) fn unmask(line: u16) {
        // SAFETY: no critical section is built on masking single lines.
        unsafe { NVIC::unmask(Line(line)) }
    }

    pub(crate) fn enable_all() {
        // SAFETY: called outside of critical sections; interrupts are on from reset.
        unsafe { cortex_m::interrupt::enable() }
    }

    /// Sleeps until an interrupt is pending unless `has_work`; the interrupt's handler runs before this returns.
    pub(crate) fn sleep_unless(has_work: impl FnOnce() -> bool) {
        cortex_m::interrupt::disable();
        if !has_work() {
            cortex_m::asm::wfi();
        }
        enable_all();
    }

    #[exception]
    unsafe fn DefaultHandler(line: i16) {
        let line = line as u16;
        if crate::uart::LINES.contains(&line) {
            crate::uart::on_interrupt();
        }
        #[cfg(all(
            any(feature = "lm3s6965evb", feature = "mps2-an385"),
            any(feature = "smoltcp", feature = "embassy-net")
        ))]
        if line == crate::ethernet::LINE {
            crate::ethernet::on_interrupt();
        }
    }

    #[exception]
    unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
        crate::exit(102)
    }
}

#[cfg(feature = "riscv-virt")]
mod riscv_virt {
    use crate::mmio::PLIC;

    /// Source `n`'s priority is at `4 n`; 0 means never.
    const PRIORITY: usize = 0;
    /// Enable bits, priority threshold and claim register of hart 0 in machine mode.
    const ENABLE: usize = 0x2000;
    const THRESHOLD: usize = 0x20_0000;
    const CLAIM: usize = 0x20_0004;

    pub(crate) fn unmask(source: u16) {
        let source = usize::from(source);
        PLIC.write(PRIORITY + 4 * source, 1);
        PLIC.write(ENABLE + source / 32 * 4, PLIC.read(ENABLE + source / 32 * 4) | 1 << (source % 32));
        PLIC.write(THRESHOLD, 0);
        // SAFETY: the handler below exists.
        unsafe { riscv::register::mie::set_mext() }
    }

    pub(crate) fn enable_timer() {
        // SAFETY: the clock's handler exists.
        unsafe { riscv::register::mie::set_mtimer() }
    }

    pub(crate) fn enable_all() {
        // SAFETY: called outside of critical sections.
        unsafe { riscv::interrupt::enable() }
    }

    /// Sleeps until an interrupt is pending unless `has_work`; the interrupt's handler runs before this returns.
    pub(crate) fn sleep_unless(has_work: impl FnOnce() -> bool) {
        riscv::interrupt::disable();
        if !has_work() {
            riscv::asm::wfi();
        }
        enable_all();
    }

    #[riscv_rt::core_interrupt(riscv::interrupt::Interrupt::MachineExternal)]
    fn machine_external() {
        let source = PLIC.read(CLAIM);
        if crate::uart::LINES.contains(&(source as u16)) {
            crate::uart::on_interrupt();
        }
        PLIC.write(CLAIM, source);
    }
}
