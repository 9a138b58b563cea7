//! Ten thousand idle links on one socket: what they cost in memory and time.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ackline::congestion::PathModel;
use ackline::storage::Heap;
use ackline_std::{Channel, Config, Connection, Endpoint};

const LINKS: u32 = 10_000;
/// What one may cost, in bytes of resident memory.
const LINK_BYTES_MAX: usize = 4096;

/// Processor time that all of them may take in 2 s.
const PROCESSOR_MAX: Duration = Duration::from_millis(20);

type Link = ackline::Link<Heap, PathModel>;

/// Resident bytes of this process.
fn resident_len() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Processor time of this process.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(") ").next().unwrap().split(' ').collect::<Vec<_>>();
    // Fields 14 and 15, in ticks of 10 ms.
    let ticks: u64 = after_name[11].parse::<u64>().unwrap() + after_name[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

/// Opens one link from an address of its own, has two messages settled, and leaves it at that.
fn open_and_fall_silent(server: &Endpoint, accepted: &mut Vec<Connection>, n: u32) {
    let [_, _, high, low] = n.to_be_bytes();
    let address = SocketAddr::new(Ipv4Addr::new(127, 1, high, low).into(), 0);
    let socket = UdpSocket::bind(address).unwrap();
    socket.connect(server.local_addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let started = Instant::now();
    let now = || ackline::Instant::from_micros(1_000_000 + started.elapsed().as_micros() as u64);
    let mut link = Link::new(&Config::udp(), PathModel::new(), 0x5eed_0000 + u64::from(n));
    link.connect(now());
    link.send(now(), Channel(0), &n.to_be_bytes()).unwrap();
    let mut buffer = [0; 2048];
    let mut taken = 0;
    // An idle link asks for nothing: everything is acknowledged both ways then.
    while link.stats().messages_settled < 2 || link.poll_timeout().is_some() {
        assert!(started.elapsed() < Duration::from_secs(60), "{n}: {:#?}", link.stats());
        while let Some(len) = link.poll_transmit(now(), &mut buffer[..1200]) {
            socket.send(&buffer[..len]).unwrap();
        }
        if accepted.len() as u32 <= n
            && let Some(connection) = server.accept_timeout(Duration::from_micros(200))
        {
            accepted.push(connection);
        }
        if let Some(connection) = accepted.get(n as usize)
            && let Ok(message) = connection.try_recv()
        {
            assert_eq!(message.payload, n.to_be_bytes());
            taken += 1;
        }
        if taken == 1 && link.is_connected() && link.stats().messages_sent == 1 {
            // Shows the server that its answer was heard.
            link.send(now(), Channel(0), &n.to_be_bytes()).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        while let Ok(len) = socket.recv(&mut buffer) {
            link.handle_datagram(now(), &buffer[..len]);
        }
        while link.poll_event().is_some() {}
        if link.poll_timeout().is_some_and(|deadline| deadline <= now()) {
            link.handle_timeout(now());
        }
    }
}

#[test]
fn ten_thousand_idle_links_are_small_and_silent() {
    let server = Endpoint::bind("127.0.0.1:0", &Config::udp()).unwrap();
    let mut accepted = Vec::with_capacity(LINKS as usize);
    // What the process needs in any case: buffers, threads, this test.
    for n in 0..100 {
        open_and_fall_silent(&server, &mut accepted, n);
    }
    let before = resident_len();
    for n in 100..LINKS {
        open_and_fall_silent(&server, &mut accepted, n);
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
}
