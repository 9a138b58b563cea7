//! The clock of riscv-virt: the 10 MHz counter of the core-local interruptor, without a periodic tick.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

use crate::mmio::CLINT;

const MTIMECMP: usize = 0x4000;
const MTIME: usize = 0xBFF8;
/// Cycles of the counter in a microsecond.
const CYCLES: u64 = 10;

struct Clock {
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock { queue: Mutex::new(RefCell::new(Queue::new())) });

fn counter() -> u64 {
    loop {
        let high = CLINT.read(MTIME + 4);
        let low = CLINT.read(MTIME);
        if high == CLINT.read(MTIME + 4) {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

fn set_alarm(at_micros: u64) {
    let at = at_micros.saturating_mul(CYCLES);
    // The high half is put out of reach first, so that no half-written value can fire.
    CLINT.write(MTIMECMP + 4, u32::MAX);
    CLINT.write(MTIMECMP, at as u32);
    CLINT.write(MTIMECMP + 4, (at >> 32) as u32);
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        counter() / CYCLES
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let mut queue = self.queue.borrow(cs).borrow_mut();
            if queue.schedule_wake(at, waker) {
                set_alarm(queue.next_expiration(self.now()));
            }
        })
    }
}

#[riscv_rt::core_interrupt(riscv::interrupt::Interrupt::MachineTimer)]
fn machine_timer() {
    critical_section::with(|cs| {
        let next = CLOCK.queue.borrow(cs).borrow_mut().next_expiration(CLOCK.now());
        set_alarm(next);
    })
}

/// Microseconds since power-on.
pub fn now_micros() -> u64 {
    embassy_time_driver::now()
}

/// Stands still for `millis` with interrupts masked, as an erase of the flash that the program runs from makes it. The clock
/// goes on.
pub fn stall(millis: u32) {
    critical_section::with(|_| {
        let end = counter() + u64::from(millis) * 1000 * CYCLES;
        while counter() < end {}
    });
}

/// Makes the next millisecond end a sleep, for programs whose deadlines the queue does not know.
pub(crate) fn tick_soon() {
    critical_section::with(|cs| {
        let next = CLOCK.queue.borrow(cs).borrow_mut().next_expiration(CLOCK.now());
        set_alarm(next.min(CLOCK.now() + 1000));
    })
}

pub(crate) fn start() {
    set_alarm(u64::MAX);
    crate::interrupt::enable_timer();
}
