use core::time::Duration;

use ackline::Instant;

use super::delay_line::DelayLine;
use super::{ImpairStats, StreamProfile};

/// One direction of a bad byte stream.
///
/// Give bytes to [`push`](Self::push) as they come, in pieces of any size, then take what has arrived with
/// [`poll`](Self::poll) until it answers `false`, and ask again at [`poll_timeout`](Self::poll_timeout). The output
/// depends on the bytes and the seed, not on how the bytes were cut into pieces (only their times do).
#[derive(Debug)]
pub struct StreamImpairer {
    profile: StreamProfile,
    random: fastrand::Rng,
    line: DelayLine,
    free_at: Instant,
    /// Fate of the frame under way, drawn at its first byte.
    frame: Frame,
    scratch: Vec<u8>,
    stats: ImpairStats,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Frame {
    /// Between frames.
    None,
    Passes,
    Dropped,
    /// One byte is replaced, this many bytes from here.
    DamagedIn(usize),
}

/// A byte of a damaged frame is chosen among the first this many, because its length is not known yet. Chosen: the
/// frame length of a small device.
const DAMAGE_SPAN: usize = 32;

impl StreamImpairer {
    /// A stream that does `profile` to its bytes, by the choices that `seed` makes.
    pub fn new(profile: StreamProfile, seed: u64) -> Self {
        StreamImpairer {
            profile,
            random: fastrand::Rng::with_seed(seed),
            line: DelayLine::default(),
            free_at: Instant::ZERO,
            frame: Frame::None,
            scratch: Vec::new(),
            stats: ImpairStats::default(),
        }
    }

    /// Bytes enter the stream at `now`.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) {
        self.stats.bytes_taken += bytes.len() as u64;
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        for &byte in bytes {
            self.pass_byte(byte, &mut out);
        }
        if !out.is_empty() {
            let leaves = self.pass_rate_limit(now, out.len());
            self.line.push(leaves + self.profile.delay, &out);
        }
        self.scratch = out;
    }

    /// Takes the next piece that has arrived by `now` into `out`, or answers `false`.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let arrived = self.line.pop(now, out);
        if arrived {
            self.stats.bytes_given += out.len() as u64;
        }
        arrived
    }

    /// When the next piece arrives. Only `push` and `poll` change it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.line.next()
    }

    /// True if nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Counters.
    pub fn stats(&self) -> ImpairStats {
        self.stats
    }

    fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.random.f64() < p
    }

    fn pass_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.frame == Frame::None && byte != 0 {
            self.frame = self.draw_frame();
        }
        let ends = byte == 0 && self.frame != Frame::None;
        let mut byte = byte;
        match &mut self.frame {
            Frame::Dropped => {
                if ends {
                    self.end_frame(out);
                }
                return;
            }
            Frame::DamagedIn(0) => {
                self.frame = Frame::Passes;
                byte ^= self.random.u8(1..=255);
                self.stats.damaged += 1;
            }
            Frame::DamagedIn(n) => *n -= 1,
            Frame::Passes | Frame::None => {}
        }
        if self.chance(self.profile.insert) {
            self.stats.damaged += 1;
            out.push(self.random.u8(..));
        }
        if self.chance(self.profile.delete) {
            self.stats.damaged += 1;
        } else {
            if self.chance(self.profile.flip) {
                self.stats.damaged += 1;
                byte ^= 1 << self.random.u8(0..8);
            }
            out.push(byte);
        }
        if ends {
            self.stats.given += 1;
            self.end_frame(out);
        }
    }

    fn draw_frame(&mut self) -> Frame {
        self.stats.taken += 1;
        if self.chance(self.profile.drop_frame) {
            self.stats.lost += 1;
            Frame::Dropped
        } else if self.chance(self.profile.damage_frame) {
            Frame::DamagedIn(self.random.usize(0..DAMAGE_SPAN))
        } else {
            Frame::Passes
        }
    }

    fn end_frame(&mut self, out: &mut Vec<u8>) {
        if let Frame::DamagedIn(_) = self.frame {
            // Shorter than the byte that was chosen: its delimiter is hit instead, which joins it to the next frame.
            if let Some(last) = out.last_mut() {
                *last ^= self.random.u8(1..=255);
                self.stats.damaged += 1;
            }
        }
        self.frame = Frame::None;
        if self.chance(self.profile.noise) {
            self.stats.damaged += 1;
            for _ in 0..self.random.usize(1..=16) {
                out.push(self.random.u8(..));
            }
        }
    }

    fn pass_rate_limit(&mut self, now: Instant, len: usize) -> Instant {
        let rate = self.profile.bits_per_second;
        if rate == 0 {
            return now;
        }
        self.free_at = self.free_at.max(now) + Duration::from_micros(len as u64 * 10_000_000 / rate);
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for n in 0..count {
            bytes.extend((0..40).map(|i| ((n + i) % 255) as u8 + 1));
            bytes.push(0);
        }
        bytes
    }

    fn run(profile: StreamProfile, seed: u64, input: &[u8], piece: usize) -> (Vec<u8>, ImpairStats) {
        let mut stream = StreamImpairer::new(profile, seed);
        let (mut all, mut out) = (Vec::new(), Vec::new());
        for piece in input.chunks(piece) {
            stream.push(Instant::ZERO, piece);
            while stream.poll(Instant::ZERO, &mut out) {
                all.extend_from_slice(&out);
            }
        }
        (all, stream.stats())
    }

    #[test]
    fn default_profile_passes_every_byte() {
        let input = frames(50);
        assert_eq!(run(StreamProfile::default(), 1, &input, 7).0, input);
    }

    #[test]
    fn output_does_not_depend_on_the_pieces() {
        let profile = StreamProfile {
            flip: 0.01,
            insert: 0.01,
            delete: 0.01,
            drop_frame: 0.1,
            damage_frame: 0.1,
            noise: 0.1,
            ..StreamProfile::default()
        };
        let input = frames(300);
        let whole = run(profile.clone(), 9, &input, input.len());
        assert_eq!(whole, run(profile, 9, &input, 1));
        assert_ne!(whole.0, input);
    }

    #[test]
    fn whole_frames_disappear_with_their_delimiter() {
        let input = frames(2000);
        let (out, stats) = run(StreamProfile { drop_frame: 0.25, ..StreamProfile::default() }, 2, &input, 64);
        assert_eq!(stats.taken, 2000);
        assert_eq!(out.len(), (2000 - stats.lost as usize) * 41);
        assert!((stats.lost as f64 / 2000.0 - 0.25).abs() < 0.04, "{stats:?}");
    }

    #[test]
    fn frame_damage_touches_one_byte_of_a_frame() {
        let input = frames(2000);
        let (out, stats) =
            run(StreamProfile { damage_frame: 0.01, ..StreamProfile::default() }, 4, &input, 64);
        let differing = input.iter().zip(&out).filter(|(a, b)| a != b).count() as u64;
        assert_eq!(differing, stats.damaged);
        assert!((10..=35).contains(&differing), "{differing}");
    }

    #[test]
    fn rate_limit_counts_ten_bits_a_byte() {
        let profile = StreamProfile { bits_per_second: 115_200, ..StreamProfile::default() };
        let mut stream = StreamImpairer::new(profile, 1);
        stream.push(Instant::ZERO, &[1; 1152]);
        assert_eq!(stream.poll_timeout(), Some(Instant::from_millis(100)));
    }
}
