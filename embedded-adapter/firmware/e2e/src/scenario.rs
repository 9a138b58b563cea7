//! One test: messages both ways through a bad link, while both ends restart.

use std::io::{BufRead, BufReader};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use ackline_std::impair::{Profile, StreamProfile};
use ackline_std::proxy::{ProxyStats, StreamProxy, UdpProxy};
use ackline_std::stream::ByteStream;

use crate::Failure;
use crate::desktop;
use crate::emulator::Emulator;
use crate::log;
use crate::report::Report;

/// Where the emulator's network reaches the relay, and where the relay reaches the desktop.
const RELAY_PORT: u16 = 7777;
const DESKTOP_PORT: u16 = 7778;
/// Longest time without progress.
const PATIENCE: Duration = Duration::from_secs(120);

struct Scenario {
    emulator: Emulator,
    directory: PathBuf,
    is_serial: bool,
    is_clean: bool,
    messages: u32,
    udp: Option<UdpProxy>,
}

/// Messages both ways through a bad link, two resets of the board, one SIGKILL of the desktop.
pub fn run(board: &str, image: &str, elf: &str, options: &[&str]) -> Result<(), Failure> {
    let is_clean = options.contains(&"--clean");
    let messages = match options.iter().position(|&option| option == "--messages") {
        Some(at) => options.get(at + 1).ok_or("--messages needs a number")?.parse()?,
        None => 10_000,
    };
    let mut scenario = Scenario::start(board, image, elf, is_clean, messages)?;
    let start = Instant::now();
    let total = scenario.play().inspect_err(|_| print_log(elf, &scenario.emulator))?;
    log::check(&log::lines(Path::new(elf), &scenario.emulator.log())?)?;
    println!(
        "{board} {image}: {} commands and {} readings of 32 to 200 bytes in {:.1} s, two board resets, one desktop killed, all told by both: ok",
        total.settled,
        total.readings,
        start.elapsed().as_secs_f32()
    );
    Ok(())
}

/// How often the cost of stalls is measured. What the node does wrong it does wrong each time; what the machine does while it
/// has no time for the emulator looks the same, but not three times in a row.
const STALL_TRIES: u32 = 3;

/// The node stands still now and then, on a good link.
pub fn stall(board: &str, image: &str, elf: &str) -> Result<(), Failure> {
    for tries in 1..STALL_TRIES {
        match stall_once(board, image, elf) {
            Ok(()) => return Ok(()),
            Err(failure) => eprintln!("try {tries}: {failure}"),
        }
    }
    stall_once(board, image, elf)
}

fn stall_once(board: &str, image: &str, elf: &str) -> Result<(), Failure> {
    let mut scenario = Scenario::start(board, image, elf, true, 2000)?;
    let mut desktop = scenario.start_desktop(1, 2000, 2000, &["stalls"])?;
    scenario.wait(&mut desktop, "everything to be accounted for", |r| r.done == 1)?;
    if !desktop.process.wait()?.success() {
        return Err(format!("{board} {image}: stalls").into());
    }
    println!("{board} {image}: stalls: ok");
    Ok(())
}

/// What the node says, for a person, without a relay.
pub fn show(board: &str, image: &str, elf: &str, seconds: &str) -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("ackline-e2e-{board}-{image}"));
    let emulator = Emulator::start(board, elf, &directory)?;
    let line = match image.starts_with("serial") {
        // Waits until the emulator has made the socket, and frees it again: the desktop comes next.
        true => emulator.uart().map(|_| format!("unix:{}", directory.join("uart").display()))?,
        false => format!("udp:{RELAY_PORT}"),
    };
    desktop::show(&line, seconds.parse()?)?;
    print_log(elf, &emulator);
    Ok(())
}

fn print_log(elf: &str, emulator: &Emulator) {
    println!("The board's log:");
    match log::lines(Path::new(elf), &emulator.log()) {
        Ok(lines) => lines.iter().for_each(|line| println!("  {line}")),
        Err(failure) => println!("  {failure}"),
    }
}

fn udp_relay(is_clean: bool) -> Result<UdpProxy, Failure> {
    let profile = match is_clean {
        true => Profile::default(),
        false => Profile { loss: 0.05, ..Profile::default() },
    };
    let address = |port: u16| ([127, 0, 0, 1], port).into();
    Ok(UdpProxy::start(address(RELAY_PORT), address(DESKTOP_PORT), profile.clone(), profile, 1)?)
}

impl Scenario {
    fn start(board: &str, image: &str, elf: &str, is_clean: bool, messages: u32) -> Result<Self, Failure> {
        let directory = std::env::temp_dir().join(format!("ackline-e2e-{board}-{image}"));
        std::fs::create_dir_all(&directory)?;
        let is_serial = image.starts_with("serial");
        let udp = match is_serial {
            true => None,
            false => Some(udp_relay(is_clean)?),
        };
        let emulator = Emulator::start(board, elf, &directory)?;
        Ok(Scenario { emulator, directory, is_serial, is_clean, messages, udp })
    }

    fn play(&mut self) -> Result<Report, Failure> {
        let (quarter, half) = (self.messages / 4, self.messages / 2);
        let mut desktop = self.start_desktop(1, self.messages, self.messages, &[])?;
        self.wait(&mut desktop, "a quarter of the messages", |r| r.settled.min(r.readings) >= quarter)?;
        self.emulator.reset()?;
        self.wait(&mut desktop, "the first reset to be noticed", |r| r.restarts == 1 && r.boots == 2)?;
        self.wait(&mut desktop, "half of the messages", |r| r.settled.min(r.readings) >= half)?;
        let first = desktop.kill()?;
        println!("first desktop when killed: {first:?}");
        println!("relay: {:?}", desktop.relay_stats(self));
        drop(desktop);

        let left = |done: u32| self.messages.saturating_sub(done);
        let mut desktop = self.start_desktop(2, left(first.settled), left(first.readings), &[])?;
        self.wait(&mut desktop, "the node to report the desktop's restart", |r| r.node_restarts == 1)?;
        let now = desktop.latest;
        let some_more = |r: &Report| r.settled.min(r.readings) >= now.settled.min(now.readings) + quarter / 2;
        self.wait(&mut desktop, "some more messages", some_more)?;
        self.emulator.reset()?;
        self.wait(&mut desktop, "the second reset to be noticed", |r| r.restarts == 1 && r.boots == 2)?;
        self.wait(&mut desktop, "everything to be accounted for", |r| r.done == 1)?;
        println!("second desktop at its end: {:?}", desktop.latest);
        println!("relay: {:?}", desktop.relay_stats(self));
        let mut total = desktop.latest;
        total.settled += first.settled;
        total.readings += first.readings;
        Ok(total)
    }

    /// Waits until `is_reached`. Fails when something is wrong, or when nothing moves.
    fn wait(
        &mut self,
        desktop: &mut Desktop,
        what: &str,
        is_reached: impl Fn(&Report) -> bool,
    ) -> Result<(), Failure> {
        let mut moved = Instant::now();
        while !is_reached(&desktop.latest) {
            self.emulator.check()?;
            let before = desktop.latest;
            desktop.update()?;
            let now = desktop.latest;
            if now.wrong > 0 || now.not_settled > 0 {
                return Err(format!("a promise was broken while waiting for {what}: {now:?}").into());
            }
            if (now.settled, now.readings, now.restarts) != (before.settled, before.readings, before.restarts)
            {
                moved = Instant::now();
            }
            if moved.elapsed() > PATIENCE {
                return Err(format!("nothing moved while waiting for {what}: {now:?}").into());
            }
        }
        Ok(())
    }

    fn start_desktop(
        &self,
        run: u32,
        commands: u32,
        readings: u32,
        more: &[&str],
    ) -> Result<Desktop, Failure> {
        let (line, relay) = match self.is_serial {
            true => {
                let relay = SerialRelay::listen(&self.directory.join(format!("line-{run}")))?;
                (format!("unix:{}", relay.path.display()), Some(relay))
            }
            false => (format!("udp:{DESKTOP_PORT}"), None),
        };
        let mut process = Command::new(std::env::current_exe()?)
            .args(["desktop", &line, &run.to_string(), &commands.to_string(), &readings.to_string()])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("no output")?;
        let (sender, reports) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(report) = line.parse::<Report>() {
                    let _ = sender.send(report);
                }
            }
        });
        let relay = match relay {
            Some(relay) => Some(relay.connect(self.emulator.uart()?, self.is_clean)?),
            None => None,
        };
        Ok(Desktop { process, reports, latest: Report::default(), relay })
    }
}

/// A running desktop; killed when dropped.
struct Desktop {
    process: Child,
    reports: Receiver<Report>,
    latest: Report,
    relay: Option<ConnectedRelay>,
}

impl Desktop {
    /// Waits a little for news.
    fn update(&mut self) -> Result<(), Failure> {
        match self.reports.recv_timeout(Duration::from_millis(200)) {
            Ok(report) => self.latest = report,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err("the desktop ended before its time".into()),
        }
        Ok(())
    }

    /// SIGKILL, and what it had told before.
    fn kill(&mut self) -> Result<Report, Failure> {
        self.process.kill()?;
        self.process.wait()?;
        while let Ok(report) = self.reports.recv() {
            self.latest = report;
        }
        Ok(self.latest)
    }

    fn relay_stats(&self, scenario: &Scenario) -> Option<ProxyStats> {
        match &self.relay {
            Some(relay) => Some(relay.proxy.stats()),
            None => scenario.udp.as_ref().map(UdpProxy::stats),
        }
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where a desktop will connect.
struct SerialRelay {
    listener: UnixListener,
    path: PathBuf,
}

/// Between a desktop and the board's UART.
struct ConnectedRelay {
    proxy: StreamProxy,
    ends: [UnixStream; 2],
}

impl SerialRelay {
    fn listen(path: &Path) -> Result<Self, Failure> {
        let _ = std::fs::remove_file(path);
        Ok(SerialRelay { listener: UnixListener::bind(path)?, path: path.to_path_buf() })
    }

    fn connect(self, uart: UnixStream, is_clean: bool) -> Result<ConnectedRelay, Failure> {
        let (desktop, _) = self.listener.accept()?;
        let profile = match is_clean {
            true => StreamProfile::default(),
            false => StreamProfile {
                drop_frame: 0.02,
                damage_frame: 0.02,
                noise: 0.02,
                ..StreamProfile::default()
            },
        };
        let ends = [desktop.try_clone()?, uart.try_clone()?];
        let proxy = StreamProxy::start(
            ByteStream::unix(desktop)?,
            ByteStream::unix(uart)?,
            profile.clone(),
            profile,
            1,
        )?;
        Ok(ConnectedRelay { proxy, ends })
    }
}

impl Drop for ConnectedRelay {
    fn drop(&mut self) {
        for end in &self.ends {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}
