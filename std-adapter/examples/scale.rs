//! What a packet costs where one socket carries few links or very many, most of them silent.
//!
//! `cargo run --release --example scale -- [packets] [links]...`
//!
//! Every packet brings a message of 64 bytes for a link that is drawn at random and is the first for a while there: whatever the
//! endpoint keeps for the link has left the processor's cache. The time is that of the thread that reads the socket, takes
//! the message and sends what settles the one before, system calls included. To count instructions instead:
//!
//! `valgrind --tool=callgrind --toggle-collect='scale::take' target/release/examples/scale 1000 1`

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use ackline_std::{Config, Connection, Endpoint};
use support::{Remote, resident_len};

/// Parts of a measurement: the middle one counts.
const PARTS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let packets = numbers.next().unwrap_or(Ok(20_000))?;
    let mut sizes = numbers.collect::<Result<Vec<_>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![1, 1_000, 100_000];
    }
    let mut config = Config::udp();
    // Ids must be free; with 3 bytes and 100,000 links, one in 84 would be drawn again.
    config.link_id_len = 4;
    for size in sizes {
        let server = Endpoint::bind("127.0.0.1:0", &config)?;
        let before = resident_len();
        let mut links: Vec<_> = (0..size).map(|n| Remote::open(&server, n)).collect();
        let each = (resident_len() - before) / size as usize;
        std::thread::sleep(Duration::from_secs(2));
        let mut random = fastrand::Rng::with_seed(1);
        let mut times = Vec::new();
        let mut payload = Vec::new();
        for _ in 0..PARTS {
            let mut nanos = 0;
            for _ in 0..packets / PARTS as u32 {
                let (remote, connection) = &mut links[random.usize(..size as usize)];
                nanos += remote.send(&[0x55; 64], || {
                    let before = thread_nanos();
                    take(connection, &mut payload);
                    thread_nanos() - before
                });
                assert_eq!(payload.len(), 64);
            }
            times.push(nanos / u64::from(packets / PARTS as u32));
        }
        times.sort_unstable();
        println!(
            "{size:7} links: {:6} ns for a packet and its message; {each} bytes for a link and its peer",
            times[PARTS / 2]
        );
        drop(links);
        server.shutdown(Duration::from_secs(1));
    }
    Ok(())
}

#[inline(never)]
fn take(connection: &Connection, payload: &mut Vec<u8>) {
    connection.recv_into(payload).expect("the connection is open");
}

/// Processor time of this thread.
fn thread_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default()
}
