//! The desktop: sends commands, takes readings, and checks what the node promises.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ackline_std::stream::{self, ByteStream};
use ackline_std::{Channel, Config, Connection, Endpoint, Event, Events, RecvError, SendError, Stats};
use telemetry::{Action, Command, MESSAGE_MAX, Reading, Tally, filling};

use crate::Failure;
use crate::report::Report;

const CHANNEL: Channel = Channel(0);
/// How often the state is told.
const REPORT_EVERY: Duration = Duration::from_millis(50);
/// How long the node may take to say hello.
const PATIENCE: Duration = Duration::from_secs(120);
/// Commands outstanding at one time: more than the node can hold, so that its flow control shows.
const OUTSTANDING_MAX: u32 = 16;
/// Commands sent beyond the number of readings received.
const AHEAD_MAX: u32 = 50;
/// Readings that the node is asked for at one time.
const REQUEST: u32 = 1_000_000;
/// What the node configures, too: frames on a line of which the rate does not matter, as the emulator has none.
const SERIAL_DATAGRAM_MAX: u16 = 512;

/// Stalls of the node that are counted, each as long as a flash erase (85 ms, nRF52832 product specification), with
/// interrupts masked every other time.
const STALLS: u32 = 8;
const STALL_MILLIS: u32 = 85;
/// Readings between two of them, and those after which one is over.
const STALL_EVERY: u32 = 50;
const STALL_OVER: u32 = 20;
/// A longer silence is not the node's doing: the machine had no time for the emulator. Such a stall is not counted.
const SILENCE_MAX: Duration = Duration::from_millis(99);

/// Runs one life of the desktop on `line`: `commands` to send, `readings` to wait for. Ends when all is through. `stalls`:
/// the node is to stand still now and then, and that must cost little.
pub fn run(line: &str, run: &str, commands: &str, readings: &str, stalls: bool) -> Result<(), Failure> {
    let mut desktop = Desktop {
        stalls: stalls.then(Stalls::default),
        run: run.parse()?,
        commands: commands.parse()?,
        readings: readings.parse()?,
        ..Desktop::default()
    };
    on_line(line, |connection| desktop.drive(connection))
}

/// Shows what the node on `line` sends, a line of text a reading, for so many seconds, and sends it a command after each.
pub fn show(line: &str, seconds: u64) -> Result<(), Failure> {
    let end = Instant::now() + Duration::from_secs(seconds);
    on_line(line, |connection| {
        let mut sent = 0;
        while Instant::now() < end {
            let message = match connection.recv_timeout(Duration::from_millis(100)) {
                Ok(message) => message,
                Err(RecvError::TimedOut) => continue,
                Err(error) => return Err(error.into()),
            };
            let Reading { boot, number, uptime, tally, samples } = postcard::from_bytes(&message.payload)?;
            println!(
                "boot {boot:08x}: reading {number} after {:.3} s, {} bytes of samples, {} commands received",
                uptime as f64 / 1e6,
                samples.len(),
                tally.commands,
            );
            let mut data = [0; _];
            let command =
                Command { run: 1, number: sent, action: Action::Note, data: filling(sent, &mut data) };
            connection.send(CHANNEL, postcard::to_slice(&command, &mut [0; MESSAGE_MAX])?)?;
            sent += 1;
        }
        Ok(())
    })
}

/// Opens `line` to a node, and does `work` on it.
fn on_line(line: &str, work: impl FnOnce(&Connection) -> Result<(), Failure>) -> Result<(), Failure> {
    match line.split_once(':') {
        Some(("udp", port)) => {
            let mut config = Config::udp();
            config.message_max = MESSAGE_MAX as u32;
            let endpoint = Endpoint::bind(("127.0.0.1", port.parse()?), &config)?;
            let connection = endpoint.accept_timeout(PATIENCE).ok_or("no node said hello")?;
            work(&connection)
        }
        Some(("unix", path)) => {
            let mut config = Config::serial(0);
            config.datagram_max = SERIAL_DATAGRAM_MAX;
            config.message_max = MESSAGE_MAX as u32;
            let connection = stream::connect(ByteStream::unix(UnixStream::connect(path)?)?, &config)?;
            work(&connection)
        }
        _ => Err(format!("not a line: {line}").into()),
    }
}

#[derive(Default)]
struct Desktop {
    run: u32,
    commands: u32,
    readings: u32,
    sent: u32,
    report: Report,
    /// Boot and number of the latest reading.
    latest: Option<(u32, u32)>,
    /// What the node is to be told next.
    request: Option<Action>,
    is_asked_to_stop: bool,
    stalls: Option<Stalls>,
}

/// What the node's stalls cost.
#[derive(Default)]
struct Stalls {
    asked: u32,
    /// When the latest reading came, and the longest time without one since the present one was asked for.
    latest_at: Option<Instant>,
    silence: Duration,
    /// The counters when the present one was asked for.
    before: Cost,
    /// The number of the first reading after it.
    end: Option<u32>,
    counted: u32,
    total: Cost,
}

/// Counters of both sides' links.
#[derive(Default, Clone, Copy)]
struct Cost {
    probes: u32,
    spurious: u32,
    node_probes: u32,
    node_spurious: u32,
}

impl Cost {
    fn of(link: &Stats, node: &Tally) -> Self {
        Cost {
            probes: link.probes,
            spurious: link.packets_spurious,
            node_probes: node.probes,
            node_spurious: node.spurious,
        }
    }

    fn add_since(&mut self, before: &Cost, now: &Cost) {
        self.probes += now.probes - before.probes;
        self.spurious += now.spurious - before.spurious;
        self.node_probes += now.node_probes - before.node_probes;
        self.node_spurious += now.node_spurious - before.node_spurious;
    }
}

impl Stalls {
    /// Takes the node's tally in reading `number`, the `count`-th. Answers what to ask the node for.
    fn on_reading(&mut self, link: &Stats, tally: &Tally, number: u32, count: u32) -> Option<Action> {
        let now = Cost::of(link, tally);
        let latest_at = self.latest_at.replace(Instant::now());
        self.silence = self.silence.max(latest_at.map_or(Duration::ZERO, |at| at.elapsed()));
        if self.asked > 0 && tally.stalls == self.asked {
            let from = *self.end.get_or_insert(number);
            if number == from + STALL_OVER && self.silence <= SILENCE_MAX && self.counted < STALLS {
                self.counted += 1;
                self.total.add_since(&self.before, &now);
            }
        }
        if self.counted == STALLS || count < STALL_EVERY * (self.asked + 1) {
            return None;
        }
        self.before = now;
        self.end = None;
        self.silence = Duration::ZERO;
        self.asked += 1;
        Some(Action::Stall { millis: STALL_MILLIS, is_masked: self.asked.is_multiple_of(2) })
    }

    /// A stall may cost one probe, of either side, and nothing that arrived may be taken for lost. (What the node's
    /// socket or UART had no room for was lost indeed.)
    fn judge(&self) -> Result<(), Failure> {
        let Cost { probes, spurious, node_probes, node_spurious } = self.total;
        if self.counted < STALLS {
            return Err("the machine is too busy to tell what a stall costs".into());
        }
        eprintln!(
            "{STALLS} stalls of {STALL_MILLIS} ms: {probes} probes of the desktop, {node_probes} of the node; \
             {spurious} and {node_spurious} packets falsely taken for lost"
        );
        match probes + node_probes <= STALLS && spurious + node_spurious == 0 {
            true => Ok(()),
            false => Err("stalls cost more than a probe each".into()),
        }
    }
}

impl Desktop {
    fn drive(&mut self, connection: &Connection) -> Result<(), Failure> {
        let events = connection.events();
        let mut reported = Instant::now();
        loop {
            match connection.recv_timeout(Duration::from_millis(2)) {
                Ok(message) => self.on_reading(&message.payload, &connection.stats())?,
                Err(RecvError::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
            self.take_events(&events);
            self.send_commands(connection)?;
            if reported.elapsed() >= REPORT_EVERY || self.report.done == 1 {
                reported = Instant::now();
                self.tell(connection);
                if self.report.done == 1 {
                    return self.stalls.as_ref().map_or(Ok(()), Stalls::judge);
                }
            }
        }
    }

    fn tell(&mut self, connection: &Connection) {
        let stats = connection.stats();
        self.report.lost = stats.packets_lost;
        self.report.spurious = stats.packets_spurious;
        self.report.probes = stats.probes;
        println!("{}", self.report);
    }

    fn on_reading(&mut self, payload: &[u8], link: &Stats) -> Result<(), Failure> {
        let reading: Reading = postcard::from_bytes(payload)?;
        let mut samples = [0; _];
        let is_intact = reading.samples == filling(reading.number, &mut samples);
        let is_next = match self.latest.replace((reading.boot, reading.number)) {
            Some((boot, number)) if boot == reading.boot => reading.number == number.wrapping_add(1),
            _ => {
                self.report.boots += 1;
                self.request = Some(Action::Send(REQUEST));
                true
            }
        };
        self.report.readings += 1;
        if !is_next || !is_intact {
            self.report.wrong += 1;
            eprintln!("wrong reading: {reading:?}");
        }
        if reading.tally.out_of_order > 0 || reading.tally.not_settled > 0 {
            return Err(
                format!("the node counts wrong commands or unsettled readings: {:?}", reading.tally).into()
            );
        }
        self.report.node_restarts = reading.tally.restarts;
        if let Some(stalls) = &mut self.stalls {
            let asked = stalls.on_reading(link, &reading.tally, reading.number, self.report.readings);
            self.request = asked.or(self.request);
        }
        let has_all = self.report.readings >= self.readings && self.report.settled >= self.commands;
        if has_all && !self.is_asked_to_stop {
            self.request = Some(Action::Send(0));
            self.is_asked_to_stop = true;
        }
        // At rest, a reading leaves a second after the one before it, when all earlier ones have been settled.
        if self.is_asked_to_stop && self.request.is_none() && reading.tally.settled == reading.number {
            self.report.done = 1;
        }
        Ok(())
    }

    fn take_events(&mut self, events: &Events) {
        while let Some(event) = events.try_next() {
            match event {
                Event::Settled(_) => self.report.settled += 1,
                Event::Expired(_) | Event::Failed(..) => self.report.not_settled += 1,
                Event::PeerRestarted => self.report.restarts += 1,
                Event::Closed(reason) => eprintln!("closed: {reason:?}"),
                _ => {}
            }
        }
    }

    fn send_commands(&mut self, connection: &Connection) -> Result<(), Failure> {
        // Commands keep pace with the readings, so that both flow at every restart.
        let pace = self.report.readings + AHEAD_MAX;
        while self.request.is_some()
            || self.sent < self.commands.min(pace) && self.sent - self.report.settled < OUTSTANDING_MAX
        {
            let mut data = [0; _];
            let data = filling(self.sent, &mut data);
            let action = self.request.unwrap_or(Action::Note);
            let command = Command { run: self.run, number: self.sent, action, data };
            let mut buffer = [0; MESSAGE_MAX];
            match connection.try_send(CHANNEL, postcard::to_slice(&command, &mut buffer)?) {
                Ok(_) => {
                    self.sent += 1;
                    self.request = None;
                }
                Err(SendError::Full) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
