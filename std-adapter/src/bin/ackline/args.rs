//! What the command line may say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ackline_std::impair::{Burst, Profile, StreamProfile};
use clap::{Args as ClapArgs, Parser, Subcommand};

/// Where `listen` listens and `send` and `ping` look, if nothing else is said.
const PORT: &str = "127.0.0.1:7007";

/// Messages that arrive: over links that lose, repeat, reorder and damage what they carry.
#[derive(Parser, Debug)]
#[command(name = "ackline", version, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Send files through a bad path to a receiver that is killed and restarted on the way, and check every byte.
    /// This is what runs without a command
    Demo(Demo),
    /// Receive files into a directory, and lines to standard output
    Listen(Listen),
    /// Send files, or the lines of standard input, to `ackline listen`
    Send(Send),
    /// Make a path bad: relay datagrams or bytes, and lose, repeat, reorder, delay and damage some
    #[command(subcommand)]
    Proxy(Proxy),
    /// Measure round trips to `ackline listen`
    Ping(Ping),
    /// The receiving process of the demonstration
    #[command(hide = true)]
    DemoReceiver(DemoReceiver),
}

impl Default for Command {
    fn default() -> Self {
        Command::Demo(Demo::default())
    }
}

#[derive(ClapArgs, Debug)]
pub struct Demo {
    /// Files to send; without any, the files of this project
    pub files: Vec<PathBuf>,
    /// Chance that a datagram is lost, each way
    #[arg(long, default_value = "20%", value_parser = chance)]
    pub loss: f64,
    /// Chance that a datagram arrives twice
    #[arg(long, default_value = "5%", value_parser = chance)]
    pub duplicate: f64,
    /// Chance that a datagram is overtaken by later ones
    #[arg(long, default_value = "10%", value_parser = chance)]
    pub reorder: f64,
    /// Chance that bits of a datagram are flipped
    #[arg(long, default_value = "1%", value_parser = chance)]
    pub corrupt: f64,
    /// One-way delay
    #[arg(long, default_value = "5ms", value_parser = humantime::parse_duration)]
    pub delay: Duration,
    /// How often the receiver is killed
    #[arg(long, default_value_t = 1)]
    pub kills: u32,
    /// Seed of the bad path
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Give up after this long
    #[arg(long, default_value = "120s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

impl Default for Demo {
    fn default() -> Self {
        Demo {
            files: Vec::new(),
            loss: 0.20,
            duplicate: 0.05,
            reorder: 0.10,
            corrupt: 0.01,
            delay: Duration::from_millis(5),
            kills: 1,
            seed: 1,
            timeout: Duration::from_secs(120),
            json: false,
        }
    }
}

#[derive(ClapArgs, Debug)]
pub struct Listen {
    /// Address to listen on
    #[arg(default_value = PORT)]
    pub address: SocketAddr,
    /// Where received files go
    #[arg(long, default_value = ".")]
    pub dir: PathBuf,
    /// End when the first connection has ended; the exit status tells whether all its messages were taken
    #[arg(long)]
    pub once: bool,
    /// Largest message to accept, in bytes
    #[arg(long)]
    pub message_max: Option<u32>,
}

#[derive(ClapArgs, Debug)]
pub struct Send {
    /// Address of `ackline listen`
    pub address: String,
    /// Files to send; `-` sends each line of standard input as a message
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Give up when no peer answers for so long
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Largest message to send, in bytes
    #[arg(long)]
    pub message_max: Option<u32>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Ping {
    /// Address of `ackline listen`
    #[arg(default_value = PORT)]
    pub address: String,
    /// Round trips to measure
    #[arg(long, short, default_value_t = 100)]
    pub count: u32,
    /// Time between them
    #[arg(long, short, default_value = "10ms", value_parser = humantime::parse_duration)]
    pub interval: Duration,
    /// Payload bytes
    #[arg(long, short, default_value_t = 32)]
    pub size: u32,
    /// Give up when no answer comes for so long
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
pub enum Proxy {
    /// Relay UDP datagrams of any number of clients to one address
    Udp(ProxyUdp),
    /// Relay bytes between two streams
    Stream(ProxyStream),
}

#[derive(ClapArgs, Debug)]
pub struct ProxyUdp {
    /// Address that clients send to
    pub listen: SocketAddr,
    /// Address to relay to
    pub upstream: SocketAddr,
    #[command(flatten)]
    pub impair: Impair,
    #[command(flatten)]
    pub run: ProxyRun,
}

/// What every relay may be told.
#[derive(ClapArgs, Debug)]
pub struct ProxyRun {
    /// Seed of all choices
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// End after this long; otherwise runs until it is interrupted
    #[arg(long = "for", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Print figures every second, as a line of JSON each
    #[arg(long)]
    pub json: bool,
}

/// What is done to datagrams, each way.
#[derive(ClapArgs, Debug)]
pub struct Impair {
    /// Chance that a datagram is lost ("20%" or "0.2")
    #[arg(long, default_value = "0", value_parser = chance)]
    pub loss: f64,
    /// Chance, per datagram, that a burst of loss begins
    #[arg(long, default_value = "0", value_parser = chance)]
    pub burst: f64,
    /// Mean length of a burst of loss, in datagrams
    #[arg(long, default_value_t = 5.0)]
    pub burst_len: f64,
    /// Chance of loss within a burst
    #[arg(long, default_value = "100%", value_parser = chance)]
    pub burst_loss: f64,
    /// Chance that a datagram arrives twice
    #[arg(long, default_value = "0", value_parser = chance)]
    pub duplicate: f64,
    /// Chance that a datagram is held back, so that later ones overtake it
    #[arg(long, default_value = "0", value_parser = chance)]
    pub reorder: f64,
    /// How long it is held back
    #[arg(long, default_value = "3ms", value_parser = humantime::parse_duration)]
    pub reorder_by: Duration,
    /// One-way delay
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub delay: Duration,
    /// Further delay, between nothing and this
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub jitter: Duration,
    /// Rate limit in bits per second, 0 for none
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Bytes that wait before the rate limit
    #[arg(long, default_value_t = 65_536)]
    pub queue: usize,
    /// Chance that bits of a datagram are flipped
    #[arg(long, default_value = "0", value_parser = chance)]
    pub corrupt: f64,
}

impl Impair {
    pub fn profile(&self) -> Profile {
        let leave = 1.0 / self.burst_len.max(1.0);
        let burst = Burst { enter: self.burst, leave, loss: self.burst_loss };
        Profile {
            loss: self.loss,
            burst: (self.burst > 0.0).then_some(burst),
            duplicate: self.duplicate,
            reorder: self.reorder,
            reorder_by: self.reorder_by,
            delay: self.delay,
            jitter: self.jitter,
            bits_per_second: self.rate,
            queue_len: self.queue,
            corrupt: self.corrupt,
        }
    }
}

#[derive(ClapArgs, Debug)]
pub struct ProxyStream {
    /// First stream: tcp:HOST:PORT, tcp-listen:HOST:PORT, unix:PATH, unix-listen:PATH, pty:LINK (a new pseudo
    /// terminal, reachable by the name LINK), or the path of a terminal or serial device
    pub first: String,
    /// Second stream, written like the first
    pub second: String,
    /// Chance, per byte, that a bit of it is flipped
    #[arg(long, default_value = "0", value_parser = chance)]
    pub flip: f64,
    /// Chance, per byte, that a byte is inserted before it
    #[arg(long, default_value = "0", value_parser = chance)]
    pub insert: f64,
    /// Chance, per byte, that it is deleted
    #[arg(long, default_value = "0", value_parser = chance)]
    pub delete: f64,
    /// Chance that what lies between two zero bytes disappears
    #[arg(long, default_value = "0", value_parser = chance)]
    pub drop_frame: f64,
    /// Chance that what lies between two zero bytes gets one wrong byte
    #[arg(long, default_value = "0", value_parser = chance)]
    pub damage_frame: f64,
    /// Chance of noise after a zero byte
    #[arg(long, default_value = "0", value_parser = chance)]
    pub noise: f64,
    /// One-way delay
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub delay: Duration,
    /// Rate limit in bits per second, ten to the byte, 0 for none
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    #[command(flatten)]
    pub run: ProxyRun,
}

impl ProxyStream {
    pub fn profile(&self) -> StreamProfile {
        StreamProfile {
            flip: self.flip,
            insert: self.insert,
            delete: self.delete,
            drop_frame: self.drop_frame,
            damage_frame: self.damage_frame,
            noise: self.noise,
            delay: self.delay,
            bits_per_second: self.rate,
        }
    }
}

#[derive(ClapArgs, Debug)]
pub struct DemoReceiver {
    /// Address to listen on
    pub address: SocketAddr,
    /// Where files, progress and the record of accepted messages go
    #[arg(long)]
    pub dir: PathBuf,
}

/// "20%" or "0.2".
fn chance(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(percent) => (percent, 0.01),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..=1.0).contains(&(value * scale)) => Ok(value * scale),
        Ok(_) => Err("a chance lies between 0 and 1, or 0% and 100%".into()),
        Err(_) => Err("not a number: write \"20%\" or \"0.2\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn defaults_of_the_demo_are_those_of_its_options() {
        let parsed = Args::parse_from(["ackline", "demo"]);
        assert_eq!(format!("{:?}", parsed.command), format!("{:?}", Some(Command::default())));
    }

    #[test]
    fn chances_are_read_as_percent_or_fraction_and_refused_out_of_range() {
        assert_eq!(chance("20%"), Ok(0.2));
        assert_eq!(chance("0.2"), Ok(0.2));
        assert!(chance("101%").is_err());
        assert!(chance("-0.1").is_err());
        assert!(chance("much").is_err());
    }
}
