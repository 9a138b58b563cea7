use core::time::Duration;

/// Loss that comes in bursts: the two-state model of Gilbert and Elliott, stepped once for every datagram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Burst {
    /// Chance, per datagram in the good state, to enter the bad one.
    pub enter: f64,
    /// Chance, per datagram in the bad state, to leave it. `1.0 / leave` is the mean length of a burst.
    pub leave: f64,
    /// Chance of loss in the bad state.
    pub loss: f64,
}

/// What happens to datagrams. The default does nothing to them. Chances are `0.0..=1.0`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Profile {
    /// Chance that a datagram is lost, each on its own.
    pub loss: f64,
    /// Loss in bursts, on top of `loss`.
    pub burst: Option<Burst>,
    /// Chance that a datagram arrives twice. The repeat takes its own way (own jitter, own reordering).
    pub duplicate: f64,
    /// Chance that a datagram is held back by `reorder_by`, so that later ones overtake it.
    pub reorder: f64,
    /// How long a datagram is held back when it is reordered.
    pub reorder_by: Duration,
    /// One-way delay.
    pub delay: Duration,
    /// Further delay, drawn evenly from zero to this. Jitter alone keeps the order, as a queue does.
    pub jitter: Duration,
    /// Rate limit in bits per second of datagram bytes; `0` for none.
    pub bits_per_second: u64,
    /// Bytes that may wait for the rate limit; what comes on top is lost. `0` for 64 KiB.
    pub queue_len: usize,
    /// Chance that a datagram is damaged: one to three of its bits are flipped.
    pub corrupt: f64,
}

impl Profile {
    /// Half the round trip on each way, nothing else.
    pub fn delay(delay: Duration) -> Self {
        Profile { delay, ..Profile::default() }
    }

    /// What the demonstration runs through: 20 % loss, 5 % repeated, 10 % reordered, 1 % damaged, 5 ms one way.
    pub fn demo() -> Self {
        Profile {
            loss: 0.20,
            duplicate: 0.05,
            reorder: 0.10,
            reorder_by: Duration::from_millis(3),
            delay: Duration::from_millis(5),
            corrupt: 0.01,
            ..Profile::default()
        }
    }
}

/// What happens to a byte stream. The default does nothing to it. Chances are `0.0..=1.0`.
///
/// A *frame* here is what lies between two zero bytes, as COBS framing has it: zero bytes delimit, and the engine knows
/// nothing else about the bytes.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct StreamProfile {
    /// Chance, per byte, that one of its bits is flipped.
    pub flip: f64,
    /// Chance, per byte, that a random byte is inserted before it.
    pub insert: f64,
    /// Chance, per byte, that it is deleted.
    pub delete: f64,
    /// Chance, per frame, that the whole frame with its closing zero disappears.
    pub drop_frame: f64,
    /// Chance, per frame, that one of its bytes is replaced (a frame damaged once, however long it is).
    pub damage_frame: f64,
    /// Chance, per frame, that noise follows it: one to sixteen random bytes.
    pub noise: f64,
    /// One-way delay.
    pub delay: Duration,
    /// Rate limit in bits per second, ten bits to the byte as on an asynchronous line; `0` for none. Bytes wait, they
    /// are never lost to the limit.
    pub bits_per_second: u64,
}
