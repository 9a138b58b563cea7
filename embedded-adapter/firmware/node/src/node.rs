//! The application: readings out, commands in. It knows nothing of networks.

use core::cell::Cell;

use ackline::{Event, Stats};
use ackline_embedded::typed::decode;
use telemetry::{Action, Command, FILLING_MAX, Reading, Tally, filling};

/// What the node knows. Cells, because its tasks share it.
pub struct Node {
    boot: u32,
    number: Cell<u32>,
    requested: Cell<u32>,
    tally: Cell<Tally>,
}

impl Node {
    /// A node that counts from zero. `seed` differs at every boot.
    pub fn new(seed: u64) -> Self {
        defmt::info!("boot {=u32:08x}", seed as u32);
        Node { boot: seed as u32, number: Cell::new(0), requested: Cell::new(0), tally: Cell::default() }
    }

    /// The next reading, and the counters of the link for the tests. Until [`on_sent`](Self::on_sent), it stays the next.
    pub fn reading<'b>(&self, link: Stats, samples: &'b mut [u8; FILLING_MAX]) -> Reading<'b> {
        let number = self.number.get();
        let tally = Tally { probes: link.probes, spurious: link.packets_spurious, ..self.tally.get() };
        let samples = filling(number, samples);
        Reading { boot: self.boot, number, uptime: board::now_micros(), tally, samples }
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
        self.count(|tally| tally.on_command(&command));
        match command.action {
            Action::Note => {}
            Action::Send(count) => self.requested.set(count),
            Action::Stall { millis, is_masked: true } => board::stall(millis),
            Action::Stall { millis, is_masked: false } => {
                let end = board::now_micros() + u64::from(millis) * 1000;
                while board::now_micros() < end {}
            }
        }
    }

    /// Something has happened to the link or to a reading.
    pub fn on_event(&self, event: Event) {
        match event {
            Event::Settled(_) => self.count(|tally| tally.settled += 1),
            Event::Expired(_) | Event::Failed(..) => self.count(|tally| tally.not_settled += 1),
            Event::PeerRestarted => self.count(|tally| tally.restarts += 1),
            _ => {}
        }
    }

    fn count(&self, count: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        count(&mut tally);
        self.tally.set(tally);
    }
}
