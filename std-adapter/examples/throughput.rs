//! Messages per second over loopback UDP, sent by one thread and taken by another, and the time of a request with its
//! reply beside that of a raw UDP ping-pong in the same run.
//!
//! `cargo run --release --example throughput [payload bytes] [seconds]`

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use ackline_std::{Channel, ChannelConfig, Config, Endpoint, Mode};

const ROUNDS: usize = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let len: usize = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let seconds: f64 = arguments.next().map_or(Ok(2.0), |text| text.parse())?;
    stream(len, seconds)?;
    let raw = raw_ping_pong()?;
    let ours = ping_pong()?;
    println!("raw UDP ping-pong   p50 {:?}, p99 {:?}", raw[ROUNDS / 2], raw[ROUNDS * 99 / 100]);
    println!("request and reply   p50 {:?}, p99 {:?}", ours[ROUNDS / 2], ours[ROUNDS * 99 / 100]);
    Ok(())
}

fn stream(len: usize, seconds: f64) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::udp().channel(0, ChannelConfig::new(Mode::Unordered));
    let server = Endpoint::bind("127.0.0.1:0", &config)?;
    let client = ackline_std::connect(server.local_addr(), &config)?;
    client.wait_connected(Duration::from_secs(5))?;
    let accepted = server.accept()?;
    let receiver = std::thread::spawn(move || {
        let mut payload = Vec::new();
        while accepted.recv_into(&mut payload).is_ok() {}
        accepted.stats()
    });
    let payload = vec![0x55; len];
    let started = Instant::now();
    let mut count = 0_u64;
    while !count.is_multiple_of(64) || started.elapsed().as_secs_f64() < seconds {
        client.send(Channel(0), &payload)?;
        count += 1;
    }
    let outcomes = client.drain(Duration::from_secs(10));
    let rate = outcomes.settled as f64 / started.elapsed().as_secs_f64();
    println!("{len} bytes: {rate:.0} messages/s settled, {:.2} Gbit/s", rate * len as f64 * 8e-9);
    let stats = client.stats();
    client.close(Duration::from_secs(1));
    let theirs = receiver.join().map_err(|_| "the receiver failed")?;
    println!(
        "  {} datagrams out, {} in, {} lost, {} retransmitted, {} repeated, {} probes, window {}, srtt {} µs",
        stats.datagrams_sent,
        stats.datagrams_received,
        stats.packets_lost,
        stats.retransmitted,
        stats.repeated,
        stats.probes,
        stats.congestion_window,
        stats.srtt_micros,
    );
    println!("  receiver: {} duplicates, {} without room", theirs.duplicates, theirs.dropped_no_room);
    Ok(())
}

fn raw_ping_pong() -> std::io::Result<Vec<Duration>> {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    a.connect(b.local_addr()?)?;
    b.connect(a.local_addr()?)?;
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok(len @ 1..) = b.recv(&mut buffer) {
            let _ = b.send(&buffer[..len]);
        }
    });
    let mut times = Vec::with_capacity(ROUNDS);
    let mut buffer = [0; 64];
    for _ in 0..ROUNDS {
        let started = Instant::now();
        a.send(&[0x55; 32])?;
        a.recv(&mut buffer)?;
        times.push(started.elapsed());
    }
    a.send(&[])?;
    let _ = echo.join();
    times.sort_unstable();
    Ok(times)
}

fn ping_pong() -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let server = Endpoint::bind("127.0.0.1:0", &Config::udp())?;
    let client = ackline_std::connect(server.local_addr(), &Config::udp())?;
    client.wait_connected(Duration::from_secs(5))?;
    let accepted = server.accept()?;
    let echo = std::thread::spawn(move || {
        let mut payload = Vec::new();
        while let Ok(received) = accepted.recv_into(&mut payload) {
            let _ = accepted.send(received.id.channel, &payload);
        }
    });
    let mut times = Vec::with_capacity(ROUNDS);
    let mut payload = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        client.send(Channel(0), &[0x55; 32])?;
        client.recv_into(&mut payload)?;
        times.push(started.elapsed());
    }
    let stats = client.stats();
    println!("  {} datagrams out, {} in for {ROUNDS} rounds", stats.datagrams_sent, stats.datagrams_received);
    client.close(Duration::from_secs(1));
    let _ = echo.join();
    times.sort_unstable();
    Ok(times)
}
