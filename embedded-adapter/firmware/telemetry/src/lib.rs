//! What the telemetry node and the desktop say to each other: one message type each way, on channel 0.
//!
//! Both number what they send, so that each can tell when a message came twice or not at all.
#![no_std]
#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

/// From the node to the desktop.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading<'a> {
    /// Which boot of the node this comes from.
    pub boot: u32,
    /// Counts this boot's readings, from 0.
    pub number: u32,
    /// Microseconds since the node's boot.
    pub uptime: u64,
    /// What the node has seen so far.
    pub tally: Tally,
    /// The measured data: here, bytes that follow from `number`.
    #[serde(borrow)]
    pub samples: &'a [u8],
}

/// What the node has seen since its boot.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Commands received.
    pub commands: u32,
    /// Commands that were not the successor of the one before, in one run of the desktop, or were damaged.
    pub out_of_order: u32,
    /// Readings that the desktop's application has accepted.
    pub settled: u32,
    /// Readings that ended in another way.
    pub not_settled: u32,
    /// Restarts of the desktop.
    pub restarts: u32,
    /// How often the node stood still.
    pub stalls: u32,
    /// Probe timeouts of the node's link.
    pub probes: u32,
    /// Packets that the node's link declared lost though they had arrived.
    pub spurious: u32,
    /// Run and number of the latest command.
    pub latest: Option<(u32, u32)>,
}

impl Tally {
    /// Counts a command.
    pub fn on_command(&mut self, command: &Command<'_>) {
        let mut data = [0; _];
        let is_intact = command.data == filling(command.number, &mut data);
        let is_next = match self.latest.replace((command.run, command.number)) {
            Some((run, number)) if run == command.run => command.number == number.wrapping_add(1),
            _ => true,
        };
        self.commands += 1;
        self.out_of_order += u32::from(!is_next || !is_intact);
        self.stalls += u32::from(matches!(command.action, Action::Stall { .. }));
    }
}

/// From the desktop to the node.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Command<'a> {
    /// Which run of the desktop's program this comes from.
    pub run: u32,
    /// Counts this run's commands.
    pub number: u32,
    /// What to do.
    pub action: Action,
    /// The command's data: here, bytes that follow from `number`.
    #[serde(borrow)]
    pub data: &'a [u8],
}

/// What a command asks for.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing but to be received.
    Note,
    /// Send so many further readings as fast as the link takes them.
    Send(u32),
    /// Do nothing at all for a while: a flash erase.
    Stall {
        /// For how long.
        millis: u32,
        /// With interrupts masked: what arrives stays in the UART's or the network controller's own buffer.
        is_masked: bool,
    },
}

/// The longest encoded message in bytes, and `Config::message_max` of both sides.
pub const MESSAGE_MAX: usize = 256;

/// The longest filling, in bytes: messages are of 200 bytes or less.
pub const FILLING_MAX: usize = 160;

/// The data of message `number`: 10 to 160 bytes, the length and the bytes both following from the number.
pub fn filling(number: u32, buffer: &mut [u8; FILLING_MAX]) -> &[u8] {
    let len = 10 + number.wrapping_mul(37) % (FILLING_MAX as u32 - 9);
    let filling = &mut buffer[..len as usize];
    for (i, byte) in filling.iter_mut().enumerate() {
        // Every value occurs, zero often: framing has to cope.
        *byte = (number as usize).wrapping_mul(i) as u8;
    }
    filling
}
