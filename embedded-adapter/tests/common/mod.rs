//! An executor in virtual time, which drops futures whenever it likes, and lines made of memory.
#![allow(dead_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use embassy_time::{Duration, MockDriver};
use embedded_io_async::{ErrorType, Read, Write};

/// The mock clock is one for the whole process: tests take turns.
pub fn clock() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    MockDriver::get().reset();
    turn
}

/// A seeded generator (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Counts how often a task was woken.
#[derive(Default)]
pub struct Counter(pub AtomicU32);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes a future again whenever it was dropped, and drops it at random: at every await, sooner or later.
pub struct Restarting<'a> {
    make: Box<dyn FnMut() -> Pin<Box<dyn Future<Output = ()> + 'a>> + 'a>,
    running: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    pub dropped: u32,
    pub is_done: bool,
}

impl<'a> Restarting<'a> {
    /// `make` must give a future that goes on where the one before it was dropped.
    pub fn new<F: Future<Output = ()> + 'a>(mut make: impl FnMut() -> F + 'a) -> Self {
        Restarting { make: Box::new(move || Box::pin(make())), running: None, dropped: 0, is_done: false }
    }

    /// Polls once. `chance` in 256 that the future is dropped afterwards if it is pending.
    pub fn poll(&mut self, random: &mut Random, chance: u64) {
        if self.is_done {
            return;
        }
        let mut running = self.running.take().unwrap_or_else(|| (self.make)());
        let mut cx = Context::from_waker(Waker::noop());
        match running.as_mut().poll(&mut cx) {
            Poll::Ready(()) => self.is_done = true,
            Poll::Pending if random.below(256) < chance => self.dropped += 1,
            Poll::Pending => self.running = Some(running),
        }
    }
}

/// Polls all of `tasks` in random order, a virtual 100 µs apart, until `is_done`, or 4,000,000 times.
pub fn run(
    tasks: &mut [Restarting<'_>],
    random: &mut Random,
    chance: u64,
    is_done: impl Fn() -> bool,
) -> bool {
    for _ in 0..4_000_000 {
        if is_done() {
            return true;
        }
        let at = random.below(tasks.len() as u64) as usize;
        tasks[at].poll(random, chance);
        MockDriver::get().advance(Duration::from_micros(100 / tasks.len() as u64));
    }
    false
}

/// Polls `future` to its end, with nobody else around.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        MockDriver::get().advance(Duration::from_micros(100));
    }
    panic!("not ready after 100 virtual seconds");
}

/// One direction of a serial line: a few bytes of FIFO.
#[derive(Clone, Default)]
pub struct Wire {
    fifo: Rc<RefCell<VecDeque<u8>>>,
    waker: Rc<RefCell<Option<Waker>>>,
    /// Bytes that ever entered.
    pub entered: Rc<Cell<u64>>,
    pub left: Rc<Cell<u64>>,
}

/// Bytes that a wire holds. Small, so that writers wait in the middle of frames.
const FIFO_LEN: usize = 7;

impl Wire {
    fn notify(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl ErrorType for Wire {
    type Error = Infallible;
}

impl Read for Wire {
    /// As a buffered UART: takes bytes only in the poll that completes.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            let mut fifo = self.fifo.borrow_mut();
            if fifo.is_empty() {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let len = fifo.len().min(buffer.len());
            for (slot, byte) in buffer.iter_mut().zip(fifo.drain(..len)) {
                *slot = byte;
            }
            self.left.set(self.left.get() + len as u64);
            drop(fifo);
            self.notify();
            Poll::Ready(Ok(len))
        })
        .await
    }
}

impl Write for Wire {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        poll_fn(|cx| {
            let mut fifo = self.fifo.borrow_mut();
            let len = bytes.len().min(FIFO_LEN - fifo.len());
            if len == 0 {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            fifo.extend(&bytes[..len]);
            self.entered.set(self.entered.get() + len as u64);
            drop(fifo);
            self.notify();
            Poll::Ready(Ok(len))
        })
        .await
    }

    /// The last byte has left when the other end has it.
    async fn flush(&mut self) -> Result<(), Infallible> {
        poll_fn(|cx| match self.fifo.borrow().is_empty() {
            true => Poll::Ready(Ok(())),
            false => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}
