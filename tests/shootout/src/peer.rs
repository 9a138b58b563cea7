//! What the arena asks of a protocol ([`Peer`]), and the list of the protocols with their settings ([`all`]).
//!
//! To add one: write `peers/yours.rs` with a type that implements [`Peer`] and a function that makes a [`Pair`], and add
//! a line to [`all`]. Every workload, scenario, table and plot then has it.

use ackline_tests::endpoint::Micros;

use crate::peers::{ackline, cubic, enet, kcp, null, oracle, quic, sctp, tcp};
use crate::scenario::LinkSpec;

/// A datagram for the link.
pub struct Datagram {
    /// What the link carries and charges for.
    pub bytes: Vec<u8>,
    /// What arrives with it free of charge (an oracle's headers).
    pub rider: Vec<u8>,
    /// Comes back in [`Peer::on_loss`].
    pub tag: u64,
}

impl From<Vec<u8>> for Datagram {
    fn from(bytes: Vec<u8>) -> Self {
        Datagram { bytes, rider: Vec::new(), tag: 0 }
    }
}

/// One end of a connection: a state machine without sockets, clocks and threads.
///
/// After each call that can change its state the arena takes datagrams and messages until there are none, and then asks
/// for the next deadline.
pub trait Peer {
    /// Takes a message for delivery. `false`: not now, and nothing of it is kept.
    fn send(&mut self, now: Micros, message: &[u8]) -> bool;
    /// Takes in a datagram.
    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]);
    /// Lets time pass.
    fn handle_timeout(&mut self, now: Micros);
    /// The next datagram to send.
    fn poll_transmit(&mut self, now: Micros) -> Option<Datagram>;
    /// The next message that arrived.
    fn recv(&mut self, now: Micros) -> Option<Vec<u8>>;
    /// When `handle_timeout` is wanted. The past means at once.
    fn poll_timeout(&mut self, now: Micros) -> Option<Micros>;
    /// True once messages can flow.
    fn is_ready(&self) -> bool {
        true
    }
    /// Why the connection has ended, if it has.
    fn failure(&self) -> Option<String> {
        None
    }
    /// True for an oracle: it hears of losses, and datagrams that the link damages count as lost.
    fn is_oracle(&self) -> bool {
        false
    }
    /// The datagram of this tag did not arrive. Called one propagation delay after it should have: the receiver notices
    /// at once, and its word takes the way back.
    fn on_loss(&mut self, _now: Micros, _tag: u64) {}
}

/// Both ends of a connection; the first one sends.
pub type Pair = [Box<dyn Peer>; 2];

/// What a protocol may know when it is set up.
pub struct Setting<'a> {
    /// The link. A real protocol may look at the largest datagram, at the kind of link, and, where it has no other way to
    /// choose a window, at the bandwidth-delay product. It may not look at rate and loss; oracles may.
    pub link: &'a LinkSpec,
    /// The largest datagram to send. Above the link's own if the protocol cannot go so low.
    pub mtu: usize,
    /// For what is random.
    pub seed: u64,
}

/// A protocol with its settings.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its row in the tables.
    pub name: &'static str,
    /// Whether it delivers in the order of sending.
    pub is_ordered: bool,
    /// Whether it emits IP packets, so that the 28 bytes of UDP and IPv4 are not added.
    pub emits_ip: bool,
    /// The smallest datagram size it can be told. On links below, datagrams are cut in pieces.
    pub mtu_min: usize,
    /// Whether it is drawn in the plots.
    pub is_plotted: bool,
    /// What it is and how it is set.
    pub about: &'static str,
    /// Makes both ends.
    pub pair: fn(&Setting) -> Pair,
}

const fn ordered(name: &'static str, pair: fn(&Setting) -> Pair, about: &'static str) -> Kind {
    Kind { name, is_ordered: true, emits_ip: false, mtu_min: 0, is_plotted: false, about, pair }
}

impl Kind {
    const fn unordered(self) -> Self {
        Kind { is_ordered: false, ..self }
    }
    const fn plotted(self) -> Self {
        Kind { is_plotted: true, ..self }
    }
    const fn mtu_min(self, mtu_min: usize) -> Self {
        Kind { mtu_min, ..self }
    }
    const fn ip(self) -> Self {
        Kind { emits_ip: true, ..self }
    }
}

/// Every protocol, in the order of the tables.
pub fn all() -> Vec<Kind> {
    vec![
        ordered(
            "oracle",
            oracle::ordered,
            "the bound of everything that waits for losses: no headers, knows the rate, hears of each loss as soon as light can tell",
        )
        .plotted(),
        ordered("oracle-unordered", oracle::unordered, "the same, delivering as it arrives").unordered().plotted(),
        ordered("ackline", ackline::ordered, "one ordered channel, defaults").plotted(),
        ordered("ackline-unordered", ackline::unordered, "one unordered channel, defaults").unordered().plotted(),
        ordered("ackline-once", ackline::without_repetition, "unordered, `repetition` off").unordered(),
        ordered("quic-cubic", quic::stream_cubic, "quinn-proto, one stream, CUBIC, told the MTU").mtu_min(1200).plotted(),
        ordered("quic-bbr", quic::stream_bbr, "the same with BBR").mtu_min(1200).plotted(),
        ordered("quic-streams-cubic", quic::streams_cubic, "quinn-proto, one stream per message, CUBIC")
            .mtu_min(1200)
            .unordered(),
        ordered("quic-streams-bbr", quic::streams_bbr, "the same with BBR").mtu_min(1200).unordered().plotted(),
        ordered("kcp", kcp::turbo, "nodelay(1, 10 ms, 2, 1), window told from the bandwidth-delay product"),
        ordered("kcp-flush", kcp::turbo_flush, "the same, flushed after every message and datagram").plotted(),
        ordered("enet", enet::one_channel, "rusty_enet, one channel, serviced every millisecond").mtu_min(576).plotted(),
        ordered("enet-channels", enet::many_channels, "messages dealt out over 64 channels").mtu_min(576).unordered(),
        ordered("sctp", sctp::ordered, "sctp-proto, ordered, defaults (RTO at least 1 s)"),
        ordered("sctp-unordered", sctp::unordered, "the same, unordered").unordered(),
        ordered("sctp-rto50", sctp::fast, "unordered, RTO at least 50 ms").unordered().plotted(),
        ordered("smoltcp-cubic", tcp::cubic, "smoltcp TCP, CUBIC, no Nagle; it has no SACK recovery").ip().plotted(),
        ordered("smoltcp-reno", tcp::reno, "the same with Reno").ip(),
        ordered(
            "cubic-model",
            cubic::pair,
            "model of a Linux TCP flow: CUBIC with HyStart, SACK, RACK, tail probes, RTO at least 200 ms; see peers/cubic.rs",
        ),
        ordered(NULL, null::pair, "nothing: a message is a datagram, sent at the rate of the link").unordered(),
    ]
}

/// Those that deliver: all but `null`.
pub fn delivering() -> Vec<Kind> {
    all().into_iter().filter(|kind| kind.name != NULL).collect()
}

/// The name of the one that does nothing.
pub const NULL: &str = "null";

/// The protocol of this name.
pub fn named(name: &str) -> anyhow::Result<Kind> {
    all().into_iter().find(|k| k.name == name).ok_or_else(|| anyhow::anyhow!("there is no peer {name}"))
}
