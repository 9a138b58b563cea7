//! The receiver's process is killed and started again while messages are under way.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ackline_std::{Channel, ChannelConfig, Config, Connection, Mode};

const PATIENCE: Duration = Duration::from_secs(60);

/// The channel of lines, and the encoding of one, as `ackline listen` has them.
const LINES: Channel = Channel(2);

fn line(number: u64, text: &[u8]) -> Vec<u8> {
    postcard::to_stdvec(&(number, 3_u32, text)).unwrap()
}

fn config() -> Config {
    Config::udp().channel(LINES.0, ChannelConfig::new(Mode::Ordered).priority(1))
}

/// Addresses of which nobody but one test asks for ports: the system must not give them away between two listeners.
const OWN: [&str; 2] = ["127.0.8.1:0", "127.0.8.2:0"];

struct Listen {
    process: Child,
    address: SocketAddr,
}

impl Listen {
    fn start(address: SocketAddr) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ackline"))
            .args(["listen", &address.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(process.stderr.as_mut().unwrap()).read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}"));
        Listen { address: address.parse().unwrap(), process }
    }

    /// SIGKILL, and what it had written.
    fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let mut text = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

fn send(connection: &Connection, numbers: std::ops::Range<u64>) {
    for n in numbers {
        connection.send(LINES, &line(n, n.to_string().as_bytes())).unwrap();
    }
}

#[test]
fn idle_sender_notices_the_restart_with_its_next_message() {
    let listen = Listen::start(OWN[0].parse().unwrap());
    let address = listen.address;
    let connection = ackline_std::connect(address, &config()).unwrap();
    send(&connection, 0..10);
    assert_eq!(connection.drain(PATIENCE).settled, 10);
    let before = listen.kill();
    assert_eq!(before, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());

    let listen = Listen::start(address);
    send(&connection, 10..20);
    let outcomes = connection.drain(PATIENCE);
    assert_eq!(outcomes.settled, 20, "{outcomes:?} {:#?}", connection.stats());
    assert_eq!(connection.stats().peer_restarts, 1);
    let after = listen.kill();
    assert_eq!(after, (10..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// Few enough lines that a pipe holds them: they are read when the process has ended.
const COUNT: u64 = 8_000;

#[test]
fn messages_in_flight_when_the_receiver_is_killed_settle_after_its_restart() {
    let listen = Listen::start(OWN[1].parse().unwrap());
    let address = listen.address;
    let connection = ackline_std::connect(address, &config()).unwrap();
    let sender = connection.clone();
    let (killed, was_killed) = std::sync::mpsc::channel();
    let sending = std::thread::spawn(move || {
        send(&sender, 0..COUNT / 2);
        was_killed.recv().unwrap();
        send(&sender, COUNT / 2..COUNT);
    });
    while connection.outcomes().settled < 1000 {
        std::thread::yield_now();
    }
    let before = listen.kill();
    killed.send(()).unwrap();
    let listen = Listen::start(address);
    sending.join().unwrap();
    let outcomes = connection.drain(PATIENCE);
    assert_eq!(outcomes.settled, COUNT, "{outcomes:?} {:#?}", connection.stats());
    assert_eq!(connection.stats().peer_restarts, 1);
    let after = listen.kill();
    // Every line was written by one of them, in order; those written and not settled, by both.
    assert_eq!(before, (0..before.len()).map(|n| n.to_string()).collect::<Vec<_>>());
    let first: usize = after[0].parse().unwrap();
    assert!(first <= before.len());
    assert_eq!(after, (first..COUNT as usize).map(|n| n.to_string()).collect::<Vec<_>>());
}
