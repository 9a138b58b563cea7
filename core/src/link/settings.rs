//! What a link keeps of its configuration: limited to what the storage can do, times in microseconds.

use crate::config::{CHANNELS_MAX, ChannelConfig, Config, Medium, Mode};
use crate::time::micros_u32;

/// The shortest `Config::datagram_max`: a first hello is padded to so many bytes.
pub(super) const DATAGRAM_MIN: u32 = 96;

/// The longest: what UDP over IPv6 carries.
const DATAGRAM_MAX: u32 = 65_527;

/// [`Config`] as the link uses it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) medium: Medium,
    pub(super) datagram_max: u32,
    pub(super) message_max: u32,
    pub(super) receive_window: u32,
    pub(super) receive_buffer: u32,
    pub(super) send_buffer: u32,
    pub(super) ack_delay: u32,
    pub(super) keep_alive: Option<u32>,
    pub(super) give_up: Option<u32>,
    pub(super) link_id_len: u8,
    pub(super) repetition: bool,
    pub(super) channels: [ChannelConfig; CHANNELS_MAX],
}

/// What the storage can do.
pub(super) struct Limits {
    pub(super) message_max: u32,
    pub(super) window: u32,
    pub(super) buffer: u32,
}

impl Settings {
    pub(super) const BLANK: Self = Settings {
        medium: Medium::Datagram { check: false },
        datagram_max: 0,
        message_max: 0,
        receive_window: 0,
        receive_buffer: 0,
        send_buffer: 0,
        ack_delay: 0,
        keep_alive: None,
        give_up: None,
        link_id_len: 0,
        repetition: false,
        channels: [ChannelConfig::new(Mode::Ordered); CHANNELS_MAX],
    };

    pub(super) fn new(config: &Config, limits: &Limits) -> Self {
        Settings {
            medium: config.medium,
            datagram_max: (config.datagram_max as u32).max(DATAGRAM_MIN).min(DATAGRAM_MAX),
            message_max: config.message_max.min(limits.message_max),
            receive_window: config.receive_window.min(limits.window).max(1),
            receive_buffer: config.receive_buffer.min(limits.buffer),
            send_buffer: config.send_buffer,
            ack_delay: micros_u32(config.ack_delay),
            keep_alive: config.keep_alive.map(|d| micros_u32(d).max(1000)),
            give_up: config.give_up.map(micros_u32),
            link_id_len: config.link_id_len,
            repetition: config.repetition,
            channels: config.channels,
        }
    }

    /// The configuration of channel `c`, the default for those that do not exist.
    pub(super) fn channel(&self, c: usize) -> ChannelConfig {
        self.channels.get(c).copied().unwrap_or_default()
    }
}
