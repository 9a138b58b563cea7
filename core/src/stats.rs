//! Counters of one link.

/// Counters since the link was made, and a few current values. All wrap at `u32::MAX` on small targets' behalf.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// Datagrams emitted.
    pub datagrams_sent: u32,
    /// Datagrams taken in, whether or not they were of use.
    pub datagrams_received: u32,
    /// Bytes of the emitted datagrams.
    pub bytes_sent: u64,
    /// Bytes of the datagrams taken in.
    pub bytes_received: u64,
    /// Messages accepted by `send`.
    pub messages_sent: u32,
    /// Messages handed out by `recv`.
    pub messages_received: u32,
    /// Messages settled by the peer's application.
    pub messages_settled: u32,
    /// Messages whose deadline passed.
    pub messages_expired: u32,
    /// Messages that failed.
    pub messages_failed: u32,
    /// Messages or fragments sent again because their packet was declared lost.
    pub retransmitted: u32,
    /// Messages sent again unasked in spare room, and as probes.
    pub repeated: u32,
    /// Messages or fragments that arrived again and were not delivered again.
    pub duplicates: u32,
    /// Packets declared lost.
    pub packets_lost: u32,
    /// Packets declared lost that arrived after all.
    pub packets_spurious: u32,
    /// Probe timeouts that fired.
    pub probes: u32,
    /// Datagrams dropped because their check failed or they were of another association.
    pub dropped_check: u32,
    /// Datagrams dropped because they were malformed.
    pub dropped_malformed: u32,
    /// Datagrams dropped because they carried another link id or came outside an association.
    pub dropped_unknown: u32,
    /// Packets not acknowledged because there was no room to store what they carried.
    pub dropped_no_room: u32,
    /// Restarts of the peer noticed.
    pub peer_restarts: u32,
    /// Smoothed round-trip time in microseconds, 0 before the first sample.
    pub srtt_micros: u32,
    /// Smallest round-trip time seen in microseconds, 0 before the first sample.
    pub min_rtt_micros: u32,
    /// Bytes in flight.
    pub in_flight: u32,
    /// Congestion window in bytes.
    pub congestion_window: u32,
    /// Pacing rate in bytes per second, 0 if unpaced.
    pub pacing_rate: u32,
}

impl Stats {
    pub(crate) const ZERO: Stats = Stats {
        datagrams_sent: 0,
        datagrams_received: 0,
        bytes_sent: 0,
        bytes_received: 0,
        messages_sent: 0,
        messages_received: 0,
        messages_settled: 0,
        messages_expired: 0,
        messages_failed: 0,
        retransmitted: 0,
        repeated: 0,
        duplicates: 0,
        packets_lost: 0,
        packets_spurious: 0,
        probes: 0,
        dropped_check: 0,
        dropped_malformed: 0,
        dropped_unknown: 0,
        dropped_no_room: 0,
        peer_restarts: 0,
        srtt_micros: 0,
        min_rtt_micros: 0,
        in_flight: 0,
        congestion_window: 0,
        pacing_rate: 0,
    };
}
