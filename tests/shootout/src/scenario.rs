//! Links and the sizes of the workloads on them, read from `scenarios/*.toml`.
//!
//! A scenario is a text file so that a link can be added without touching the program; `scenarios/README.md` says what
//! the fields mean.

use std::path::Path as FilePath;

use ackline_tests::endpoint::Micros;
use ackline_tests::net::{Loss, PathConfig, Serial};
use anyhow::{Context, ensure};
use serde::Deserialize;

/// One link and what is asked of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Short name, unique; the row and file names use it.
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Both directions of the link.
    pub link: LinkSpec,
    /// W1.
    pub bulk: Bulk,
    /// W2.
    pub paced: Paced,
    /// W3.
    pub ping: Ping,
}

/// W1: messages as fast as the protocol takes them.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// Bytes per message.
    pub message: usize,
    /// Messages.
    pub count: usize,
    /// Virtual time after which the run ends, whatever was delivered.
    pub limit_s: u64,
}

/// W2: one message per period.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paced {
    /// Bytes per message.
    pub message: usize,
    /// From one message to the next.
    pub period_us: Micros,
    /// Messages.
    pub count: usize,
}

/// W3: a request, its reply, the next request.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    /// Bytes per request and per reply.
    pub message: usize,
    /// Exchanges.
    pub count: usize,
}

/// One direction of the link; the other one is the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// Bit/s.
    pub rate: u64,
    /// One way.
    pub delay_us: Micros,
    /// Slow extra delay between 0 and this.
    #[serde(default)]
    pub wander_us: Micros,
    /// Share of the packets that are late.
    #[serde(default)]
    pub reorder: f64,
    /// By up to this.
    #[serde(default)]
    pub reorder_by_us: Micros,
    /// Share of the packets that are lost, each on its own.
    #[serde(default)]
    pub loss: f64,
    /// Loss in bursts instead.
    pub bursts: Option<Bursts>,
    /// Share of the packets that arrive twice.
    #[serde(default)]
    pub duplicate: f64,
    /// Share of the packets that arrive with one to three flipped bits.
    #[serde(default)]
    pub corrupt: f64,
    /// Share of the frames of a serial line that are damaged. Makes the link a byte stream with COBS frames and CRC-32.
    pub serial_damage: Option<f64>,
    /// Bytes that the drop-tail queue holds.
    pub queue: u64,
    /// Largest datagram that passes whole.
    pub mtu: usize,
    /// Bytes of the layers below per datagram: 28 for UDP over IPv4.
    pub overhead: u64,
}

/// Loss in bursts: everything in a burst is lost, nothing outside.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bursts {
    /// Mean share of loss.
    pub share: f64,
    /// Mean length in packets, whenever they are sent...
    pub mean_packets: Option<f64>,
    /// ...or in time, whether or not anything is sent.
    pub mean_us: Option<Micros>,
}

impl LinkSpec {
    /// The direction as the simulator knows it.
    pub fn path(&self) -> PathConfig {
        PathConfig {
            rate: self.rate,
            delay: self.delay_us,
            wander: self.wander_us,
            queue: self.queue,
            overhead: self.overhead,
            mtu: self.mtu,
            loss: self.loss_process(),
            duplicate: self.duplicate,
            reorder: self.reorder,
            reorder_by: self.reorder_by_us,
            corrupt: self.corrupt,
            serial: self.serial_damage.map(|damage_frame| Serial { damage_frame, ..Serial::default() }),
            ..PathConfig::default()
        }
    }

    fn loss_process(&self) -> Loss {
        match self.bursts {
            None if self.loss == 0.0 => Loss::None,
            None => Loss::Independent(self.loss),
            Some(Bursts { share, mean_packets: Some(packets), .. }) => {
                let leave = 1.0 / packets;
                Loss::BurstsOfPackets { enter: leave * share / (1.0 - share), leave, good: 0.0, bad: 1.0 }
            }
            Some(Bursts { share, mean_us, .. }) => {
                let bad_mean = mean_us.unwrap_or_default();
                let good_mean = (bad_mean as f64 * (1.0 - share) / share) as Micros;
                Loss::BurstsInTime { good_mean, bad_mean, bad: 1.0 }
            }
        }
    }

    /// The share of the packets that does not arrive usable, even for a protocol that checks nothing.
    pub fn mean_loss(&self) -> f64 {
        let lost = self.bursts.map_or(self.loss, |bursts| bursts.share);
        1.0 - (1.0 - lost) * (1.0 - self.serial_damage.unwrap_or(0.0))
    }

    /// Round trip without queues, in the worst mood of the link.
    pub fn rtt(&self) -> Micros {
        2 * self.delay_us + self.wander_us
    }

    /// Bandwidth times round trip, in bytes.
    pub fn bdp(&self) -> usize {
        (self.rate as u128 * u128::from(self.rtt()) / 8_000_000) as usize
    }

    /// Bytes on the wire of a datagram of `len` bytes, if its content is ordinary.
    pub fn wire_len(&self, len: usize) -> usize {
        match self.serial_damage {
            // CRC-32, one COBS byte for the frame and one for every 254 bytes, and the delimiter.
            Some(_) => len + 4 + (len + 4).div_ceil(254) + 1,
            None => len + self.overhead as usize,
        }
    }

    /// The bound on the goodput of anything that acknowledges and retransmits, in bit/s of payload: full packets, no
    /// header of its own, one retransmission per loss.
    pub fn goodput_bound(&self) -> f64 {
        self.rate as f64 * (1.0 - self.mean_loss()) * self.mtu as f64 / self.wire_len(self.mtu) as f64
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(self.rate > 0, "rate must be above 0");
        ensure!(self.mtu >= 96, "no protocol here works with datagrams below 96 bytes");
        ensure!(self.queue as usize >= self.wire_len(self.mtu), "queue must hold a full datagram");
        if let Some(bursts) = self.bursts {
            ensure!(self.loss == 0.0, "either loss or bursts, not both");
            ensure!(
                bursts.mean_packets.is_some() != bursts.mean_us.is_some(),
                "bursts need either mean_packets or mean_us"
            );
            ensure!(bursts.share > 0.0 && bursts.share < 1.0, "bursts.share must be between 0 and 1");
        }
        Ok(())
    }
}

/// Reads every scenario of a folder, by name.
pub fn load(folder: &FilePath) -> anyhow::Result<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|e| e == "toml") {
            let text = std::fs::read_to_string(&file)?;
            let scenario: Scenario =
                toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
            scenario.link.check().with_context(|| format!("in {}", file.display()))?;
            scenarios.push(scenario);
        }
    }
    scenarios.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(scenarios)
}
