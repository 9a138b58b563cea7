use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::ProxyStats;
use crate::clock::Clock;
use crate::impair::{ImpairStats, StreamImpairer, StreamProfile};
use crate::stream::{ByteStream, is_temporary};

/// Relays bytes between two streams and does a [`StreamProfile`] to each direction.
///
/// Each direction ends when its reader does; what is under way is still delivered. Two threads a direction; they end
/// with their streams, so shut those down to stop it. [`join`](Self::join) waits for that.
#[derive(Debug)]
pub struct StreamProxy {
    forward: Arc<Direction>,
    back: Arc<Direction>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Direction {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    impairer: StreamImpairer,
    ended: bool,
}

/// The largest piece read at once. Chosen: small, so that a rate limit spaces bytes as a line does.
const PIECE_MAX: usize = 256;

impl StreamProxy {
    /// Relays between `first` and `second`; `forward` is done to what the first sends, `back` to what the second sends.
    ///
    /// # Errors
    ///
    /// The system refuses another thread.
    pub fn start(
        first: ByteStream,
        second: ByteStream,
        forward: StreamProfile,
        back: StreamProfile,
        seed: u64,
    ) -> io::Result<Self> {
        let clock = Clock::new();
        let mut threads = Vec::new();
        let forward = Direction::new(forward, seed);
        let back = Direction::new(back, seed.wrapping_add(1));
        let ways = [(first.reader, second.writer, &forward), (second.reader, first.writer, &back)];
        for (reader, writer, direction) in ways {
            let taking = direction.clone();
            threads.push(std::thread::Builder::new().spawn(move || taking.take(reader, clock))?);
            let giving = direction.clone();
            threads.push(std::thread::Builder::new().spawn(move || giving.give(writer, clock))?);
        }
        Ok(StreamProxy { forward, back, threads })
    }

    /// Counters.
    pub fn stats(&self) -> ProxyStats {
        ProxyStats { forward: self.forward.stats(), back: self.back.stats(), clients: 1 }
    }

    /// Waits until both directions have ended.
    pub fn join(mut self) -> ProxyStats {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.stats()
    }
}

impl Direction {
    fn new(profile: StreamProfile, seed: u64) -> Arc<Self> {
        let state = State { impairer: StreamImpairer::new(profile, seed), ended: false };
        Arc::new(Direction { state: Mutex::new(state), changed: Condvar::new() })
    }

    fn stats(&self) -> ImpairStats {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).impairer.stats()
    }

    fn take(&self, mut reader: Box<dyn Read + Send>, clock: Clock) {
        let mut piece = [0; PIECE_MAX];
        loop {
            let read = reader.read(&mut piece);
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match read {
                Ok(0) => state.ended = true,
                Ok(len) => state.impairer.push(clock.now(), &piece[..len]),
                Err(e) if is_temporary(&e) => {}
                Err(_) => state.ended = true,
            }
            self.changed.notify_one();
            if state.ended {
                return;
            }
        }
    }

    fn give(&self, mut writer: Box<dyn Write + Send>, clock: Clock) {
        let mut piece = Vec::new();
        loop {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            while !state.impairer.poll(clock.now(), &mut piece) {
                state = match state.impairer.poll_timeout() {
                    Some(due) => {
                        let wait = clock.until(due);
                        self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                    }
                    None if state.ended => return,
                    None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                };
            }
            drop(state);
            if writer.write_all(&piece).and_then(|()| writer.flush()).is_err() {
                return;
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_cross_both_ways_and_the_end_of_a_stream_ends_its_direction() {
        let (mut left, left_far) = UnixStream::pair().unwrap();
        let (mut right, right_far) = UnixStream::pair().unwrap();
        let profile = StreamProfile { drop_frame: 0.5, ..StreamProfile::default() };
        let proxy = StreamProxy::start(
            ByteStream::unix(left_far).unwrap(),
            ByteStream::unix(right_far).unwrap(),
            profile,
            StreamProfile::default(),
            3,
        )
        .unwrap();
        let sent = [1, 2, 3, 0].repeat(100);
        left.write_all(&sent).unwrap();
        right.write_all(&sent).unwrap();
        let mut back = vec![0; sent.len()];
        left.read_exact(&mut back).unwrap();
        assert_eq!(back, sent);
        left.shutdown(Shutdown::Both).unwrap();
        right.shutdown(Shutdown::Write).unwrap();
        // The relay's threads have ended, but this test holds a clone of neither far end: both directions are done.
        let stats = proxy.join();
        let mut forward = Vec::new();
        right.read_to_end(&mut forward).unwrap();
        assert_eq!(forward.len() as u64, stats.forward.bytes_given);
        assert_eq!(stats.forward.taken, 100);
        assert_eq!(forward.len() as u64, 400 - 4 * stats.forward.lost);
        assert!((30..=70).contains(&stats.forward.lost), "{stats:?}");
    }
}
