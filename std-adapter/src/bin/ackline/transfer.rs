//! What the commands say to each other: typed messages in postcard's encoding, on four channels.
//!
//! A transfer is named by a random number, so that one receiver serves many senders, and one sender's restart begins
//! another transfer. Every message can be handled twice: a receiver that was killed after it handled a message and
//! before it settled it gets it again.

use ackline_std::{Channel, ChannelConfig, Config, Mode};
use serde::{Deserialize, Serialize};

use crate::hash::Hash;

/// Beginnings and ends of files, and answers: in order.
pub const CONTROL: Channel = Channel(0);
/// Pieces of files: in any order, whenever nothing more urgent is there.
pub const DATA: Channel = Channel(1);
/// Lines, in order.
pub const LINES: Channel = Channel(2);
/// Questions for their answer.
pub const PING: Channel = Channel(3);

/// Bytes of a file in one message. Chosen: with all headers it fits one datagram of 1,200 bytes.
pub const PIECE_LEN: usize = 1100;

/// A message to the receiver.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request<'a> {
    /// Counts the messages of one sender, over all channels.
    pub number: u64,
    #[serde(borrow)]
    pub body: Body<'a>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Body<'a> {
    /// A file follows.
    File { file: FileId, name: &'a str, len: u64, hash: Hash },
    /// Bytes of it.
    Piece { file: FileId, offset: u64, bytes: &'a [u8] },
    /// All of it was settled: check it and give it its name.
    Finish { file: FileId },
    /// A line of text, or of whatever it was.
    Line(#[serde(borrow)] &'a [u8]),
    /// To be answered with the same bytes.
    Ping(#[serde(borrow)] &'a [u8]),
    /// Nothing; measures how long a small message takes beside a transfer.
    Pulse,
}

/// One file of one transfer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FileId {
    pub transfer: u64,
    pub index: u32,
}

/// A message to the sender.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Answer<'a> {
    /// The file is in its place and its hash is right.
    Done { file: FileId },
    /// The receiver cannot go on, for this reason. It takes nothing more.
    Refused(&'a str),
    /// To a ping.
    Pong(#[serde(borrow)] &'a [u8]),
}

/// The configuration that both sides use. Everything a receiver must write down is settled when that is done.
pub fn config(message_max: Option<u32>) -> Config {
    let mut config = Config::udp()
        .channel(CONTROL.0, ChannelConfig::new(Mode::Ordered).settle_explicitly())
        .channel(DATA.0, ChannelConfig::new(Mode::Unordered).priority(2).settle_explicitly())
        .channel(LINES.0, ChannelConfig::new(Mode::Ordered).priority(1).settle_explicitly())
        .channel(PING.0, ChannelConfig::new(Mode::Unordered).settle_explicitly());
    if let Some(max) = message_max {
        config.message_max = max;
    }
    config
}
