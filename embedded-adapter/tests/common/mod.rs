//! An executor in virtual time, which drops futures whenever it likes, and lines made of memory.
#![allow(dead_code)]

#[cfg(feature = "embassy-net-09")]
pub mod cable;
pub mod exchange;

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

/// When a future is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drops {
    Never,
    /// So many times in 256, at any turn of its task.
    Chance(u64),
    /// Once: when it has been pending after so many polls before, and after this one.
    After(u32),
    /// Once: the same, but when it is woken after that, before it is polled. What it waited for has come.
    Woken(u32),
}

type Future_<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A task: a future that is polled when it was woken, dropped as asked, and made again then.
pub struct Task<'a> {
    name: &'static str,
    make: Box<dyn FnMut() -> Future_<'a> + 'a>,
    running: Option<Future_<'a>>,
    woken: Arc<Counter>,
    drops: Drops,
    /// Polls after which it was pending.
    pub pending_count: u32,
    pub dropped_count: u32,
    pub is_done: bool,
}

impl<'a> Task<'a> {
    /// `make` must give a future that goes on where the one before it was dropped.
    pub fn new<F: Future<Output = ()> + 'a>(name: &'static str, mut make: impl FnMut() -> F + 'a) -> Self {
        Task {
            name,
            make: Box::new(move || Box::pin(make())),
            running: None,
            woken: Arc::default(),
            drops: Drops::Never,
            pending_count: 0,
            dropped_count: 0,
            is_done: false,
        }
    }

    /// Dropped like this.
    pub fn dropping(self, drops: Drops) -> Self {
        Task { drops, ..self }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Polls once if it is new or was woken.
    pub fn poll(&mut self, random: &mut Random) {
        let was_woken = self.woken.0.swap(0, Ordering::Relaxed) > 0;
        let is_dropped = match self.drops {
            Drops::Chance(chance) => random.below(256) < chance,
            Drops::Woken(n) => was_woken && self.pending_count == n + 1 && self.dropped_count == 0,
            Drops::Never | Drops::After(_) => false,
        };
        if is_dropped && self.running.take().is_some() {
            self.dropped_count += 1;
        }
        if self.is_done || self.running.is_some() && !was_woken {
            return;
        }
        let mut running = self.running.take().unwrap_or_else(|| (self.make)());
        let waker = Waker::from(self.woken.clone());
        if running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.is_done = true;
            return;
        }
        match self.drops == Drops::After(self.pending_count) {
            true => self.dropped_count += 1,
            false => self.running = Some(running),
        }
        self.pending_count += 1;
    }
}

/// Gives `tasks` their turns in random order, a virtual 100 µs a round, until `is_done`, or 2,000,000 times.
pub fn run(tasks: &mut [Task<'_>], random: &mut Random, is_done: impl Fn() -> bool) -> bool {
    for _ in 0..2_000_000 {
        if is_done() {
            return true;
        }
        let at = random.below(tasks.len() as u64) as usize;
        tasks[at].poll(random);
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
    reader: Rc<RefCell<Option<Waker>>>,
    writer: Rc<RefCell<Option<Waker>>>,
    /// Bytes that ever entered.
    pub entered: Rc<Cell<u64>>,
    pub left: Rc<Cell<u64>>,
}

/// Bytes that a wire holds. Small, so that writers wait in the middle of frames.
const FIFO_LEN: usize = 7;

fn notify(waiting: &RefCell<Option<Waker>>) {
    if let Some(waker) = waiting.borrow_mut().take() {
        waker.wake();
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
                *self.reader.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let len = fifo.len().min(buffer.len());
            for (slot, byte) in buffer.iter_mut().zip(fifo.drain(..len)) {
                *slot = byte;
            }
            self.left.set(self.left.get() + len as u64);
            drop(fifo);
            notify(&self.writer);
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
                *self.writer.borrow_mut() = Some(cx.waker().clone());
                return Poll::Pending;
            }
            fifo.extend(&bytes[..len]);
            self.entered.set(self.entered.get() + len as u64);
            drop(fifo);
            notify(&self.reader);
            Poll::Ready(Ok(len))
        })
        .await
    }

    /// The last byte has left when the other end has it.
    async fn flush(&mut self) -> Result<(), Infallible> {
        poll_fn(|cx| match self.fifo.borrow().is_empty() {
            true => Poll::Ready(Ok(())),
            false => {
                *self.writer.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}
