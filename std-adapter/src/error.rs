//! Why a call on a connection did not do what was asked. One type per operation, each variant with its remedy.

use std::fmt;

use ackline::event::CloseReason;

/// Why a message was not accepted. Nothing was queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The outbox is full (only from `try_` calls). Try again after an outcome, or use the call that waits.
    Full,
    /// The message is longer than this side, or the peer, takes. Split it or raise `Config::message_max`.
    TooLarge {
        /// The largest message in bytes.
        max: u32,
    },
    /// There is no such channel. Use a number below `CHANNELS_MAX`.
    NoSuchChannel,
    /// The connection has ended, for this reason if it is known. Make a new one.
    Closed(Option<CloseReason>),
    /// The value could not be encoded (typed messages only): its `Serialize` refused.
    Encoding,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full => f.write_str("the outbox is full"),
            SendError::TooLarge { max } => write!(f, "the message is too large: at most {max} bytes"),
            SendError::NoSuchChannel => f.write_str("no such channel"),
            SendError::Closed(reason) => closed(f, *reason),
            SendError::Encoding => f.write_str("the value could not be encoded"),
        }
    }
}

impl std::error::Error for SendError {}

impl From<ackline::SendError> for SendError {
    fn from(e: ackline::SendError) -> Self {
        match e {
            ackline::SendError::Full => SendError::Full,
            ackline::SendError::TooLarge { max } => SendError::TooLarge { max },
            ackline::SendError::NoSuchChannel => SendError::NoSuchChannel,
            _ => SendError::Closed(None),
        }
    }
}

/// Why no message was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RecvError {
    /// Nothing is there (only from `try_` calls).
    Empty,
    /// Nothing came in time (only from `_timeout` calls).
    TimedOut,
    /// The connection has ended, for this reason if it is known, and everything it delivered was taken.
    Closed(Option<CloseReason>),
    /// The message is not a value of the asked type (typed messages only). It was taken, and settled if its channel
    /// settles on take.
    Decoding,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Empty => f.write_str("no message is waiting"),
            RecvError::TimedOut => f.write_str("no message came in time"),
            RecvError::Closed(reason) => closed(f, *reason),
            RecvError::Decoding => f.write_str("the message is not of the expected type"),
        }
    }
}

impl std::error::Error for RecvError {}

/// Why a connection was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// No answer came in time. Nobody listens there, or the path loses everything.
    TimedOut,
    /// The peer refused or the connection was closed, for this reason if it is known.
    Closed(Option<CloseReason>),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::TimedOut => f.write_str("no answer: nobody listens there, or nothing gets through"),
            ConnectError::Closed(reason) => closed(f, *reason),
        }
    }
}

impl std::error::Error for ConnectError {}

fn closed(f: &mut fmt::Formatter<'_>, reason: Option<CloseReason>) -> fmt::Result {
    match reason {
        Some(CloseReason::Drained) => f.write_str("the connection was closed by this side"),
        Some(CloseReason::Aborted) => f.write_str("the connection was aborted by this side"),
        Some(CloseReason::Peer) => f.write_str("the peer closed the connection"),
        Some(CloseReason::Unreachable) => f.write_str("the peer has not answered for too long"),
        Some(CloseReason::Version { peer }) => {
            write!(f, "the peer speaks version {peer} of the protocol, this side does not")
        }
        _ => f.write_str("the connection is closed"),
    }
}
