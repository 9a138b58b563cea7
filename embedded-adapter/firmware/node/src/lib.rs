//! The telemetry node's application, without a network: readings out, commands in.
#![no_std]
#![forbid(unsafe_code)]

use core::cell::Cell;
use core::time::Duration;

use ackline::storage::Inline;
use ackline::{Channel, Config, Event};
use ackline_embedded::typed::{decode, encode};
use telemetry::{Action, Command, MESSAGE_MAX, Reading, Tally, filling};

/// Readings and commands have the only channel.
pub const CHANNEL: Channel = Channel(0);

/// One channel, four messages of 200 bytes each way and room for as many out of order, eight packets in flight. The
/// micro:bit has 16 KiB of RAM: three messages of 200 bytes.
#[cfg(not(feature = "microbit"))]
pub type Storage = Inline<1, 4, 2048, 8>;
/// The same for the micro:bit.
#[cfg(feature = "microbit")]
pub type Storage = Inline<1, 4, 1024, 8>;

/// Bit rate of the serial line. What the emulated UARTs carry in real time, not more.
pub const BITS_PER_SECOND: u32 =
    if cfg!(any(feature = "lm3s6965evb", feature = "riscv-virt")) { 460_800 } else { 115_200 };

/// The longest datagram in bytes: four small readings, or two large ones, in one packet.
pub const DATAGRAM_MAX: usize = 512;

/// Without a request, a reading every second.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Where the emulator's user-mode network has the node, and the desktop.
pub const ADDRESS: [u8; 4] = [10, 0, 2, 15];
/// The desktop.
pub const DESKTOP: [u8; 4] = [10, 0, 2, 2];
/// The UDP port of both.
pub const PORT: u16 = 7777;
/// The Ethernet address that QEMU expects of its first guest.
pub const HARDWARE_ADDRESS: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

/// How the node configures a UDP link.
pub fn udp() -> Config {
    let mut config = Config::udp();
    config.datagram_max = DATAGRAM_MAX as u16;
    config.message_max = MESSAGE_MAX as u32;
    config
}

/// How the node configures its serial line.
pub fn serial() -> Config {
    let mut config = Config::serial(BITS_PER_SECOND);
    config.datagram_max = DATAGRAM_MAX as u16;
    config.message_max = MESSAGE_MAX as u32;
    config
}

/// What the node knows. Cells, because tasks of one executor share it.
#[derive(Default)]
pub struct Node {
    boot: u32,
    number: Cell<u32>,
    requested: Cell<u32>,
    tally: Cell<Tally>,
    last_command: Cell<Option<(u32, u32)>>,
}

impl Node {
    /// A node that counts from zero.
    pub fn new(seed: u64) -> Self {
        Node { boot: seed as u32, ..Node::default() }
    }

    /// Encodes the next reading to the start of `buffer`. Until [`on_sent`](Self::on_sent), it stays the next.
    pub fn reading<'b>(&self, buffer: &'b mut [u8; MESSAGE_MAX]) -> &'b [u8] {
        let number = self.number.get();
        let mut samples = [0; _];
        let samples = filling(number, &mut samples);
        let uptime = board::now_micros();
        let reading = Reading { boot: self.boot, number, uptime, tally: self.tally.get(), samples };
        encode(&reading, buffer).expect("the longest reading fits")
    }

    /// The link has taken the reading.
    pub fn on_sent(&self) {
        self.number.set(self.number.get() + 1);
        self.requested.set(self.requested.get().saturating_sub(1));
    }

    /// Whether readings are asked for at once.
    pub fn is_urgent(&self) -> bool {
        self.requested.get() > 0
    }

    /// A message has arrived.
    pub fn on_command(&self, payload: &[u8]) {
        let Ok(command) = decode::<Command>(payload) else {
            defmt::warn!("not a command: {=[u8]}", payload);
            return;
        };
        let mut data = [0; _];
        let is_intact = command.data == filling(command.number, &mut data);
        let is_next = match self.last_command.replace(Some((command.run, command.number))) {
            Some((run, number)) if run == command.run => command.number == number.wrapping_add(1),
            _ => true,
        };
        let mut tally = self.tally.get();
        tally.commands += 1;
        tally.out_of_order += u32::from(!is_next || !is_intact);
        self.tally.set(tally);
        match command.action {
            Action::Note => {}
            Action::Send(count) => self.requested.set(count),
            Action::Stall(millis) => stall(millis),
        }
    }

    /// Something has happened to the link or to a reading.
    pub fn on_event(&self, event: Event) {
        let mut tally = self.tally.get();
        match event {
            Event::Settled(_) => tally.settled += 1,
            Event::Expired(_) | Event::Failed(..) => tally.not_settled += 1,
            Event::PeerRestarted => {
                defmt::info!("the desktop has restarted");
                tally.restarts += 1;
            }
            event => defmt::info!("{}", event),
        }
        self.tally.set(tally);
    }
}

/// As a flash erase does it: the program stands still.
fn stall(millis: u32) {
    let end = board::now_micros() + u64::from(millis) * 1000;
    while board::now_micros() < end {}
}
