//! Counting what a receiver takes, and timing exchanges.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;

/// Before the counting starts: slow start, caches.
const WARM_UP: Duration = Duration::from_millis(300);
/// Exchanges per round.
pub const EXCHANGES: usize = 5_000;
/// Bytes of a request and of a reply.
pub const EXCHANGE_LEN: usize = 64;

/// Shared by the two ends of a measurement.
#[derive(Clone, Default)]
pub struct Meter {
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
}

impl Meter {
    /// True until the measurement is over.
    pub fn is_running(&self) -> bool {
        !self.stop.load(Relaxed)
    }

    /// The receiver has taken so many more.
    pub fn count(&self, messages: u64) {
        self.received.fetch_add(messages, Relaxed);
    }

    /// How many it has taken.
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Waits, counts for `seconds`, stops. Messages per second.
    pub fn measure(&self, seconds: f64) -> anyhow::Result<f64> {
        thread::sleep(WARM_UP);
        let (before, started) = (self.received(), Instant::now());
        thread::sleep(Duration::from_secs_f64(seconds));
        let rate = (self.received() - before) as f64 / started.elapsed().as_secs_f64();
        self.stop.store(true, Relaxed);
        ensure!(rate > 0.0, "nothing arrived");
        Ok(rate)
    }
}

/// Measures two blocking ends, each on a thread.
pub fn on_threads(
    seconds: f64,
    send: impl FnOnce(Meter) + Send + 'static,
    receive: impl FnOnce(Meter) + Send + 'static,
) -> anyhow::Result<f64> {
    let meter = Meter::default();
    let (for_receiver, for_sender) = (meter.clone(), meter.clone());
    let threads = [thread::spawn(move || receive(for_receiver)), thread::spawn(move || send(for_sender))];
    let rate = meter.measure(seconds);
    for thread in threads {
        ensure!(thread.join().is_ok(), "an end panicked");
    }
    rate
}

/// A runtime with a thread per end.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

/// Measures what `start` starts on a runtime. It returns once both ends run as tasks.
pub fn on_tasks<F: Future<Output = anyhow::Result<()>>>(
    seconds: f64,
    start: impl FnOnce(Meter) -> F,
) -> anyhow::Result<f64> {
    let runtime = runtime()?;
    let meter = Meter::default();
    runtime.block_on(start(meter.clone()))?;
    let rate = meter.measure(seconds);
    runtime.shutdown_timeout(Duration::from_millis(500));
    rate
}

/// Times [`EXCHANGES`] exchanges, after a tenth as many that do not count.
#[derive(Default)]
pub struct Stopwatch {
    begun: usize,
    started: Option<Instant>,
    micros: Vec<f64>,
}

impl Stopwatch {
    /// An exchange begins. False if there were enough.
    pub fn begin(&mut self) -> bool {
        self.begun += 1;
        self.started = Some(Instant::now());
        self.begun <= EXCHANGES + EXCHANGES / 10
    }

    /// It is over.
    pub fn end(&mut self) {
        if let Some(started) = self.started.take()
            && self.begun > EXCHANGES / 10
        {
            self.micros.push(started.elapsed().as_secs_f64() * 1e6);
        }
    }

    /// Microseconds of each, ascending.
    pub fn sorted(mut self) -> Vec<f64> {
        self.micros.sort_by(f64::total_cmp);
        self.micros
    }
}
