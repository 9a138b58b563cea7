//! Ten thousand idle links on one socket: what they cost in memory and time.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use ackline_std::{Config, Endpoint, RecvError};
use support::{Remote, resident_len};

const LINKS: u32 = 10_000;
/// What one may cost, in bytes of resident memory.
const LINK_BYTES_MAX: usize = 4096;

/// Processor time that all of them may take in 2 s.
const PROCESSOR_MAX: Duration = Duration::from_millis(20);

/// Processor time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(") ").next().unwrap().split(' ').collect::<Vec<_>>();
    // Fields 14 and 15, in ticks of 10 ms.
    let ticks: u64 = after_name[11].parse::<u64>().unwrap() + after_name[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

#[test]
fn ten_thousand_idle_links_are_small_and_silent() {
    let server = Endpoint::bind("127.0.0.1:0", &Config::udp()).unwrap();
    let mut links = Vec::with_capacity(LINKS as usize);
    let (mut first, connection) = Remote::open(&server, 0);
    links.push(connection);
    // What the process needs in any case: buffers, threads, this test.
    for n in 1..100 {
        links.push(Remote::open(&server, n).1);
    }
    let before = resident_len();
    for n in 100..LINKS {
        links.push(Remote::open(&server, n).1);
    }
    assert_eq!(server.connection_count(), LINKS as usize);
    // Until the last acknowledgements and retransmissions are over; that takes longer on a machine that is busy.
    let mut windows: Vec<Duration> = Vec::new();
    while windows.last().is_none_or(|processor| *processor > PROCESSOR_MAX) && windows.len() < 10 {
        let before = processor_time();
        std::thread::sleep(Duration::from_secs(2));
        windows.push(processor_time() - before);
    }
    let each = (resident_len() - before) / (LINKS as usize - 100);
    println!("{each} bytes each, {windows:?} of 2 s each");
    assert!(each <= LINK_BYTES_MAX, "{each} bytes each");
    assert!(windows.last().is_some_and(|processor| *processor <= PROCESSOR_MAX), "{windows:?} of 2 s each");
    // And works as it did.
    let message = first.send(b"again", || links[0].recv_timeout(Duration::from_secs(5))).unwrap();
    assert_eq!(message.payload, b"again");
    assert_eq!(links[1].try_recv(), Err(RecvError::Empty));
}
