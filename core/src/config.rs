//! What a link is told before it starts.

use core::time::Duration;

/// The number of channels a link can have (protocol.md, section 10).
pub const CHANNELS_MAX: usize = 16;

/// A channel number, `0..CHANNELS_MAX`. Each channel numbers its messages on its own, so none blocks another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Channel(pub u8);

/// What a channel promises about order and repetition.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Mode {
    /// Every message once, in the order of sending. A lost message holds back the later ones of its channel.
    #[default]
    Ordered = 0,
    /// Every message once, as it arrives.
    Unordered = 1,
    /// Only the newest value matters: a newer message replaces an older one that is not yet acknowledged, and the
    /// receiver never sees an older value after a newer one.
    Latest = 2,
    /// Sent once, never retransmitted; the sender is told whether it was settled or lost.
    BestEffort = 3,
}

/// Who settles a message at its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Settle {
    /// Taking a message with `recv` settles it.
    #[default]
    OnTake,
    /// The application calls `settle` when it has processed the message. Until then its sender keeps it, and sends it
    /// again if this receiver restarts.
    Explicit,
}

/// The configuration of one channel. `mode` and `priority` are for sending, `settle` is for receiving.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ChannelConfig {
    /// Order and repetition of what this side sends. The peer learns it in the handshake.
    pub mode: Mode,
    /// `0` (most urgent) to `3`. A class is served only when no more urgent class has anything to send; within a
    /// class, channels take turns.
    pub priority: u8,
    /// How messages *received* on this channel are settled.
    pub settle: Settle,
}

impl ChannelConfig {
    /// A channel of `mode`, most urgent priority, settled when taken.
    pub const fn new(mode: Mode) -> Self {
        ChannelConfig { mode, priority: 0, settle: Settle::OnTake }
    }

    /// With priority class `priority` (0 most urgent, larger values than 3 count as 3).
    pub const fn priority(mut self, priority: u8) -> Self {
        self.priority = if priority > 3 { 3 } else { priority };
        self
    }

    /// Received messages are settled by an explicit call.
    pub const fn settle_explicitly(mut self) -> Self {
        self.settle = Settle::Explicit;
        self
    }
}

/// What carries the datagrams of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Medium {
    /// Datagrams that may be reordered and damaged: UDP. Packets carry a 4-byte check unless both sides ask to leave it
    /// out (`check: false`), which is right only where the layer below has a stronger one.
    Datagram {
        /// Whether packets carry the check.
        check: bool,
    },
    /// Frames of [`framing`](crate::framing) on a byte stream: checked there, and never reordered.
    Framed {
        /// Bit rate of the line in bit/s, `0` if it does not matter (a pipe). Ten bits are counted per byte.
        bits_per_second: u32,
    },
}

/// The configuration of a link. Start from [`Config::udp`] or [`Config::serial`] and change what you need.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Config {
    /// What carries the datagrams.
    pub medium: Medium,
    /// Largest datagram to emit and to accept, in bytes above the medium, `96..=65527`. A message that does not fit is
    /// fragmented. The smaller value of both sides is used.
    pub datagram_max: u16,
    /// Length in bytes (`0..=8`) of the id that the peer puts on every packet to this side. `0` only where nothing else
    /// shares the medium.
    pub link_id_len: u8,
    /// The channels in use. All of `CHANNELS_MAX` are configured; how many exist is up to the storage.
    pub channels: [ChannelConfig; CHANNELS_MAX],
    /// Largest message accepted from the peer, and accepted by `send`, in bytes.
    pub message_max: u32,
    /// Unsettled messages that the peer may have outstanding on one channel, limited by the storage.
    pub receive_window: u32,
    /// Unsettled payload bytes that the peer may have outstanding on this link, limited by the storage.
    pub receive_buffer: u32,
    /// Payload bytes that one channel's outbox holds before `send` answers `Full`, limited by the storage.
    pub send_buffer: u32,
    /// Longest time an acknowledgement is held back so that it can ride with a reply. Chosen: 1 ms, the resolution of
    /// most timers; RFC 9000 uses 25 ms, which would dominate the latency of a retransmission on a local link.
    pub ack_delay: Duration,
    /// Round-trip time assumed before the first sample: the first hello is repeated after three times as long. Chosen:
    /// 100 ms, as some QUIC clients do; RFC 9002, 6.2.2 recommends 333 ms, which lets a rebooted device wait for a second
    /// when its first hello is lost.
    pub initial_rtt: Duration,
    /// Send something at least this often, so that the peer and any NAT on the way know that this side lives. `None`:
    /// an idle link is silent.
    pub keep_alive: Option<Duration>,
    /// Give up (every message `Failed(Unreachable)`, link closed) when something was due and nothing was heard from the
    /// peer for so long. `None`: never, a peer that comes back is served.
    pub give_up: Option<Duration>,
    /// Repeat young unacknowledged messages in the spare room of later packets when loss was seen.
    pub repetition: bool,
    /// The peer's clock-resolution and scheduling slack that the probe timeout allows for. Chosen: 1 ms (RFC 9002, 6.1.2,
    /// kGranularity).
    pub granularity: Duration,
}

impl Config {
    /// For UDP: 1,200-byte datagrams (fits every IPv6 path with room for tunnels, RFC 9000, 14), 3-byte link ids, check
    /// on.
    pub const fn udp() -> Self {
        Config {
            medium: Medium::Datagram { check: true },
            datagram_max: 1200,
            link_id_len: 3,
            channels: [ChannelConfig::new(Mode::Ordered); CHANNELS_MAX],
            message_max: 16 << 20,
            receive_window: 32_768,
            receive_buffer: 32 << 20,
            send_buffer: 32 << 20,
            ack_delay: Duration::from_millis(1),
            initial_rtt: Duration::from_millis(100),
            keep_alive: None,
            give_up: None,
            repetition: true,
            granularity: Duration::from_millis(1),
        }
    }

    /// For a point-to-point serial line of `bits_per_second` (0 if unknown): 256-byte frames, no link id.
    pub const fn serial(bits_per_second: u32) -> Self {
        let mut c = Config::udp();
        c.medium = Medium::Framed { bits_per_second };
        c.datagram_max = 256;
        c.link_id_len = 0;
        c.initial_rtt = Duration::from_millis(50);
        c
    }

    /// Configures channel `n`. Numbers from `CHANNELS_MAX` on are ignored.
    pub const fn channel(mut self, n: u8, channel: ChannelConfig) -> Self {
        if (n as usize) < CHANNELS_MAX {
            self.channels[n as usize] = channel;
        }
        self
    }
}
