//! A flood of forged hellos and of random datagrams beside a transfer. `ACKLINE_FLOOD=1000000 cargo test --release -p
//! ackline-std --test flood` sends a million of each; without it, fewer.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ackline::congestion::NewReno;
use ackline::storage::Inline;
use ackline_std::{Channel, Config, Endpoint};

type Stranger = ackline::Link<Inline<1, 4, 512, 8>, NewReno>;

/// How much the process may grow, in bytes: links that wait for their peer (at most 256), buffers, the transfer.
const GROWTH_MAX: usize = 8 << 20;

fn resident_len() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Addresses that the flood comes from.
fn sources(server: SocketAddr) -> Vec<UdpSocket> {
    (0..64u8)
        .map(|n| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 2, 0, n), 0)).unwrap();
            socket.connect(server).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect()
}

/// What came back to these addresses, in bytes.
fn answers_len(sources: &[UdpSocket]) -> usize {
    let mut buffer = [0; 2048];
    let mut sum = 0;
    for source in sources {
        while let Ok(len) = source.recv(&mut buffer) {
            sum += len;
        }
    }
    sum
}

/// The first hello of a link that will never be heard of again.
fn forged_hello(n: u64, buffer: &mut [u8]) -> usize {
    let mut link = Stranger::new(&Config::udp(), NewReno::new(), 0x0f10_0d00_0000_0000 + n);
    link.connect(ackline::Instant::ZERO);
    link.poll_transmit(ackline::Instant::ZERO, buffer).unwrap()
}

#[test]
fn flood_costs_no_memory_amplifies_nothing_and_the_transfer_goes_on() {
    let count: u64 =
        std::env::var("ACKLINE_FLOOD").map_or(20_000, |n| n.parse().expect("ACKLINE_FLOOD is a number"));
    let server = Endpoint::bind("127.0.0.1:0", &Config::udp()).unwrap();
    let client = ackline_std::connect(server.local_addr(), &Config::udp()).unwrap();
    client.send(Channel(0), b"first").unwrap();
    let accepted = server.accept().unwrap();
    assert_eq!(accepted.recv().unwrap().payload, b"first");

    let is_over = Arc::new(AtomicBool::new(false));
    let sender = {
        let is_over = is_over.clone();
        std::thread::spawn(move || {
            let mut n = 0u64;
            while !is_over.load(Ordering::Relaxed) || n < 1000 {
                client.send(Channel(0), &n.to_le_bytes()).unwrap();
                n += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            let outcomes = client.drain(Duration::from_secs(60));
            assert_eq!(outcomes.settled, n + 1, "{outcomes:?}");
            n
        })
    };
    let receiver = std::thread::spawn(move || {
        let mut n = 0u64;
        while let Ok(message) = accepted.recv_timeout(Duration::from_secs(60)) {
            assert_eq!(message.payload, n.to_le_bytes());
            n += 1;
        }
        n
    });

    let sources = sources(server.local_addr());
    let mut buffer = [0; 1200];
    // What the flood needs in any case: the first links, buffers of the kernel's making.
    let (mut sent_len, mut answered_len, mut before) = (0, 0, 0);
    let mut random = fastrand::Rng::with_seed(1);
    for n in 0..count {
        let source = &sources[n as usize % sources.len()];
        let hello_len = forged_hello(n, &mut buffer);
        let _ = source.send(&buffer[..hello_len]);
        let noise_len = random.usize(1..200);
        random.fill(&mut buffer[..noise_len]);
        let _ = source.send(&buffer[..noise_len]);
        sent_len += hello_len + noise_len;
        if n % 64 == 63 {
            answered_len += answers_len(&sources);
            assert!(answered_len <= sent_len, "{answered_len} bytes for {sent_len}");
        }
        if n == count / 10 {
            before = resident_len();
        }
    }
    std::thread::sleep(Duration::from_millis(200));
    answered_len += answers_len(&sources);
    let growth = resident_len().saturating_sub(before);
    is_over.store(true, Ordering::Relaxed);
    let sent = sender.join().unwrap();
    drop(server);
    let received = receiver.join().unwrap();
    println!(
        "{count} hellos and as many random datagrams: {growth} bytes more, {answered_len} bytes for {sent_len}"
    );
    assert!(answered_len <= sent_len, "{answered_len} bytes for {sent_len}");
    assert!(growth <= GROWTH_MAX, "{growth} bytes more");
    assert_eq!(received, sent);
}
