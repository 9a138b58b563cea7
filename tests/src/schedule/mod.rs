//! Random schedules: a world's setup, its traffic and its faults as one value, generated from a seed, and shrunk by proptest
//! when it fails.
//!
//! Every schedule has the same three acts. In the first, applications send while paths lose, repeat, reorder, damage and go
//! down, and nodes stall, reboot and step their clocks. In the second, all paths are clean, and everything owed has to come
//! within a bound that is computed from the schedule. In the third, nothing may happen any more.
//!
//! A seed means the same schedule for ever, so that one which failed stays a test. Seeds from [`WIDE`] on are drawn by a second
//! generator, which knows what the first did not: keep-alives, giving up, numbers that wrap, many channels, small datagrams, and
//! cookies.
//!
//! ```text
//! ACKLINE_SCHEDULES=10000   how many seeds to run
//! ACKLINE_FIRST=300         the first of them
//! ACKLINE_SEED=4711         this one only
//! ACKLINE_TRACE=2000        how many of the last events a violation shows
//! ```

mod generate;
mod play;

pub use generate::{WIDE, schedules, wide_schedules};
pub use play::{Failing, Subject, check, failing, play, run_seeds, schedule_of, stage};

use crate::endpoint::{MILLISECOND, Micros, SECOND};
use crate::net::{Loss, PathConfig, Serial};

/// What carries the datagrams of a schedule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// Datagrams, with a rate in kbit/s (0: none) and a one-way delay.
    Datagrams {
        /// Rate in kbit/s, 0 for no limit.
        rate: u32,
        /// One-way delay.
        delay: u32,
    },
    /// A serial line of so many bit/s.
    Serial {
        /// Bits per second on the line.
        baud: u32,
    },
}

/// The faults of one path, in parts per thousand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Weather {
    /// Lost packets.
    pub loss: u16,
    /// Whether losses come in bursts.
    pub is_bursty: bool,
    /// Repeated packets.
    pub duplicate: u16,
    /// Packets held back.
    pub reorder: u16,
    /// For how long at most, in milliseconds.
    pub reorder_by: u16,
    /// Packets with flipped bits; on a serial line also bytes inserted and deleted.
    pub corrupt: u16,
    /// Packets cut short.
    pub truncate: u16,
    /// Largest jitter in microseconds.
    pub jitter: u16,
}

/// What happens at one moment. Times are in milliseconds, nodes are 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// When.
    pub at: u16,
    /// To whom; for a path, the sender.
    pub node: u8,
    /// What.
    pub fault: Fault,
}

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The weather on the path changes.
    Weather(Weather),
    /// Nothing passes for so many milliseconds.
    Outage(u16),
    /// Datagrams above `mtu` vanish for so many milliseconds.
    Mtu {
        /// The largest that passes.
        mtu: u16,
        /// Milliseconds.
        lasting: u16,
    },
    /// One packet is lost.
    LoseNth(u8),
    /// The power is off for so many milliseconds, and memory is lost.
    Reboot(u16),
    /// The node sleeps for so many milliseconds, deaf, and keeps its memory.
    Sleep(u16),
    /// The node does nothing for so many milliseconds.
    Stall(u16),
    /// The clock jumps by so many milliseconds.
    StepClock(i16),
    /// The application takes nothing for so many milliseconds.
    PauseReader(u16),
}

impl Fault {
    /// Milliseconds until it is over.
    fn lasting(self) -> u16 {
        match self {
            Fault::Outage(t)
            | Fault::Reboot(t)
            | Fault::Sleep(t)
            | Fault::Stall(t)
            | Fault::PauseReader(t) => t,
            Fault::Mtu { lasting, .. } => lasting,
            Fault::Weather(_) | Fault::LoseNth(_) | Fault::StepClock(_) => 0,
        }
    }
}

/// Messages that one application offers. Times are in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The sender, 0 or 1.
    pub node: u8,
    /// The channel.
    pub channel: u8,
    /// When the first is offered.
    pub start: u16,
    /// Time between two.
    pub period: u16,
    /// How many.
    pub count: u16,
    /// Shortest, in bytes.
    pub len_min: u16,
    /// Longest, in bytes.
    pub len_max: u16,
    /// Milliseconds from acceptance to the deadline, if there is one.
    pub deadline: Option<u16>,
}

/// How one node is set up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodePlan {
    /// Whether it opens the association.
    pub connects: bool,
    /// Whether its endpoint has the small storage.
    pub is_small: bool,
    /// Milliseconds between two readings of its application; 0 reads at once.
    pub reads_every: u16,
    /// Milliseconds that its application works on each message of an explicitly settled channel.
    pub settles_after: u16,
    /// Milliseconds of silence after which it says that it is there.
    pub keep_alive: Option<u16>,
    /// Milliseconds of silence after which it gives the peer up. Its application then opens another link.
    pub give_up: Option<u16>,
    /// The longest datagram it sends and takes, in bytes.
    pub datagram_max: Option<u16>,
    /// The numbers of its first messages and of its first packet.
    pub first_numbers: Option<(u32, u32)>,
    /// Whether, waiting on a datagram medium without a peer, it asks whoever says hello to repeat a cookie.
    pub asks_for_cookie: bool,
}

/// A world, its traffic and its faults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Seed of everything random in the world.
    pub seed: u64,
    /// What carries the datagrams.
    pub carrier: Carrier,
    /// Whether endpoints repeat messages in spare room.
    pub repeats: bool,
    /// The nodes.
    pub nodes: [NodePlan; 2],
    /// The weather at the beginning.
    pub weather: [Weather; 2],
    /// What is sent.
    pub flows: Vec<Flow>,
    /// What goes wrong.
    pub steps: Vec<Step>,
    /// Which node closes the link in the end, if any.
    pub closes: Option<u8>,
}

impl Schedule {
    /// When the paths heal: everything that goes wrong is over.
    pub fn heals_at(&self) -> Micros {
        let over = |s: &Step| Micros::from(s.at) + Micros::from(s.fault.lasting());
        self.steps.iter().map(over).max().unwrap_or(0).max(500) * MILLISECOND
    }

    /// Whether a clock steps back. Then runs cannot be compared: a clock that is read more often has shown a later time.
    pub fn steps_back(&self) -> bool {
        self.steps.iter().any(|s| matches!(s.fault, Fault::StepClock(by) if by < 0))
    }

    /// The path on which `node` sends, in this weather.
    pub fn path(&self, weather: Weather) -> PathConfig {
        let share = |permille: u16| f64::from(permille) / 1_000.0;
        let mut path = match self.carrier {
            Carrier::Datagrams { rate, delay } => PathConfig {
                rate: u64::from(rate) * 1_000,
                delay: Micros::from(delay),
                queue: 64 << 10,
                ..PathConfig::default()
            },
            Carrier::Serial { baud } => PathConfig::serial(u64::from(baud)),
        };
        let loss = share(weather.loss);
        path.loss = if weather.is_bursty {
            // Mean bursts of 5 packets, at the same mean loss.
            Loss::BurstsOfPackets {
                enter: loss * 0.2 / (1.0 - loss).max(0.1),
                leave: 0.2,
                good: 0.0,
                bad: 1.0,
            }
        } else {
            Loss::Independent(loss)
        };
        if path.serial.is_some() {
            let per_byte = share(weather.corrupt) / 200.0;
            path.serial = Some(Serial {
                flip: per_byte,
                insert: per_byte,
                delete: per_byte,
                damage_frame: share(weather.truncate),
                noise: share(weather.reorder),
            });
            return path;
        }
        path.duplicate = share(weather.duplicate);
        path.reorder = share(weather.reorder);
        path.reorder_by = Micros::from(weather.reorder_by) * MILLISECOND;
        path.corrupt = share(weather.corrupt);
        path.truncate = share(weather.truncate);
        path.jitter = Micros::from(weather.jitter);
        path
    }

    /// The time that a datagram takes one way when nothing goes wrong.
    pub fn crossing(&self) -> Micros {
        match self.carrier {
            Carrier::Datagrams { delay, .. } => Micros::from(delay),
            Carrier::Serial { baud } => 300 * 10 * SECOND / u64::from(baud),
        }
    }

    /// How long everything owed may take after healing.
    ///
    /// Twice the longest wait between two probes of the protocol (a handshake, then data), the time on the wire of
    /// everything ever offered, four times (retransmissions, acknowledgements, both directions on a slow line), the time that slow readers
    /// need for it, what clocks stepped back, 100 round trips, and 1 s.
    pub fn bound(&self, probe_wait_max: Micros) -> Micros {
        let count: u64 = self.flows.iter().map(|f| u64::from(f.count)).sum();
        let bytes: u64 =
            self.flows.iter().map(|f| u64::from(f.count) * (u64::from(f.len_max.max(12)) + 60)).sum();
        let (rate, delay) = match self.carrier {
            Carrier::Datagrams { rate, delay } => (u64::from(rate) * 1_000, Micros::from(delay)),
            Carrier::Serial { baud } => (u64::from(baud) * 8 / 10, 0),
        };
        let wire = (bytes * 8 * SECOND).checked_div(rate).unwrap_or(0);
        let reads: u64 = self.nodes.iter().map(|n| u64::from(n.reads_every + n.settles_after)).sum();
        let stepped: u64 = self
            .steps
            .iter()
            .map(|s| match s.fault {
                Fault::StepClock(by) if by < 0 => u64::from(by.unsigned_abs()),
                _ => 0,
            })
            .sum();
        let sending =
            self.flows.iter().map(|f| u64::from(f.start) + u64::from(f.period) * u64::from(f.count));
        let rest = (sending.max().unwrap_or(0) * MILLISECOND).saturating_sub(self.heals_at());
        2 * probe_wait_max
            + 4 * wire
            + (count + 4) * reads * MILLISECOND
            + stepped * MILLISECOND
            + 200 * delay
            + rest
            + SECOND
    }
}
