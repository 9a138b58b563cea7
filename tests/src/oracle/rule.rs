//! The rules of the promise, and what is reported when one is broken.

use std::fmt;

/// A promise that the oracle checks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Every accepted message has at most one outcome, and no other message has any.
    OneOutcome,
    /// A message is reported settled only after the receiving application accepted it.
    SettledMeansAccepted,
    /// `Expired` comes not before the deadline; a failure has the reason it names.
    HonestReason,
    /// A message is delivered at most once to one incarnation of its receiver.
    AtMostOnce,
    /// An ordered channel delivers in order, skipping only what has an outcome, is past its deadline or was accepted by
    /// an earlier incarnation of the receiver.
    InOrder,
    /// A latest-value channel never delivers an older value after a newer one.
    NeverStale,
    /// A best-effort message is delivered at most once, counting all incarnations of its receiver.
    NeverRepeated,
    /// What is delivered is a message that was accepted, on its channel, byte for byte.
    Intact,
    /// Messages of an earlier incarnation of the sender do not come after those of a later one on the same channel.
    IncarnationsInOrder,
    /// `redelivered` is set if an earlier incarnation of the receiver took the message, and never for a receiver that did
    /// not restart (except for what was accepted before the first handshake: its sender cannot know).
    RedeliveredFlag,
    /// Identifiers of messages are not used twice.
    UniqueIds,
    /// `settle` knows every delivery that it should know.
    KnownDelivery,
    /// A restart of the peer is reported at most once for each that happened.
    RestartsCounted,
    /// After `Closed`, nothing is accepted and nothing is reported but that.
    ClosedIsFinal,
    /// After healing, everything has its outcome within the bound, and every message that must settle has settled.
    Converges,
    /// At rest nothing is sent and no timer is pending, unless a keep-alive is configured.
    Quiet,
    /// The endpoint does not ask for the clock again and again in one instant, nor emit without end.
    NoSpin,
    /// Driving more often than asked for changes nothing.
    DriveIndependent,
}

/// A rule that was broken, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// How.
    pub detail: String,
}

impl Broken {
    /// For `Err(Broken::new(..))`.
    pub fn new(rule: Rule, detail: impl Into<String>) -> Self {
        Broken { rule, detail: detail.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}
