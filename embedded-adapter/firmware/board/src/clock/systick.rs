//! The clock of the Cortex-M boards: SysTick at 1 kHz, read with the resolution of its counter.
//!
//! Alarms fire on the millisecond; [`now_micros`] is exact to a microsecond, so that round-trip times are.

use core::cell::{Cell, RefCell};
use core::task::Waker;

use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};
use cortex_m_rt::exception;
use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

/// The frequency that QEMU feeds to SysTick. On lm3s6965evb that of the reset value of RCC.
const CORE_HZ: u32 = if cfg!(feature = "lm3s6965evb") {
    12_500_000
} else if cfg!(feature = "mps2-an385") {
    25_000_000
} else {
    16_000_000
};

/// Counter cycles in a millisecond.
const CYCLES: u32 = CORE_HZ / 1000;

struct Clock {
    millis: Mutex<Cell<u64>>,
    /// The tick at which the queue wants to be looked at.
    alarm: Mutex<Cell<u64>>,
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock {
    millis: Mutex::new(Cell::new(0)),
    alarm: Mutex::new(Cell::new(u64::MAX)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

impl Clock {
    fn read(&self, cs: CriticalSection<'_>) -> u64 {
        let mut counter = SYST::get_current();
        let mut millis = self.millis.borrow(cs).get();
        if SCB::is_pendst_pending() {
            // The counter has wrapped and its interrupt has not run: this reading is of the new millisecond.
            counter = SYST::get_current();
            millis += 1;
        }
        let elapsed = (CYCLES - 1).saturating_sub(counter);
        millis * 1000 + u64::from(elapsed * 1000 / CYCLES)
    }
}

impl Driver for Clock {
    fn now(&self) -> u64 {
        critical_section::with(|cs| self.read(cs))
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|cs| {
            let mut queue = self.queue.borrow(cs).borrow_mut();
            if queue.schedule_wake(at, waker) {
                let next = queue.next_expiration(self.read(cs));
                self.alarm.borrow(cs).set(next);
            }
        })
    }
}

#[exception]
fn SysTick() {
    critical_section::with(|cs| {
        let millis = CLOCK.millis.borrow(cs).get() + 1;
        CLOCK.millis.borrow(cs).set(millis);
        if millis * 1000 >= CLOCK.alarm.borrow(cs).get() {
            let next = CLOCK.queue.borrow(cs).borrow_mut().next_expiration(millis * 1000);
            CLOCK.alarm.borrow(cs).set(next);
        }
    })
}

/// Microseconds since [`start`].
pub fn now_micros() -> u64 {
    embassy_time_driver::now()
}

/// Stands still for `millis` with interrupts masked, as an erase of the flash that the program runs from makes it. The clock
/// goes on, as that of a chip with a free-running counter does: the milliseconds are counted here.
pub fn stall(millis: u32) {
    critical_section::with(|cs| {
        let (mut latest, mut passed) = (SYST::get_current(), 0);
        while passed < millis {
            // It counts down.
            let now = SYST::get_current();
            passed += u32::from(now > latest);
            latest = now;
        }
        // The last one is pending, and its interrupt will count it.
        let unseen = u64::from(passed.saturating_sub(1));
        CLOCK.millis.borrow(cs).set(CLOCK.millis.borrow(cs).get() + unseen);
    });
}

/// Every millisecond ends a sleep anyway.
pub(crate) fn tick_soon() {}

pub(crate) fn start() {
    let mut syst = cortex_m::Peripherals::take().expect("the clock starts once").SYST;
    syst.set_clock_source(SystClkSource::Core);
    syst.set_reload(CYCLES - 1);
    syst.clear_current();
    syst.enable_counter();
    syst.enable_interrupt();
}
