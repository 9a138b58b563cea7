//! Connections over byte streams, good and bad.
#![cfg(unix)]

use std::os::unix::net::UnixStream;
use std::time::Duration;

use ackline_std::impair::StreamProfile;
use ackline_std::proxy::StreamProxy;
use ackline_std::stream::{self, ByteStream};
use ackline_std::{Channel, CloseReason, Config, RecvError};

const PATIENCE: Duration = Duration::from_secs(60);

fn pair() -> (ByteStream, ByteStream) {
    let (left, right) = UnixStream::pair().unwrap();
    (ByteStream::unix(left).unwrap(), ByteStream::unix(right).unwrap())
}

#[test]
fn messages_cross_a_stream_both_ways_whoever_opens() {
    let (left, right) = pair();
    // Both say hello at once.
    let left = stream::connect(left, &Config::serial(0)).unwrap();
    let right = stream::connect(right, &Config::serial(0)).unwrap();
    for n in 0..200_u32 {
        left.send(Channel(0), &n.to_be_bytes()).unwrap();
        right.send(Channel(0), &(n + 1).to_be_bytes()).unwrap();
    }
    for n in 0..200_u32 {
        assert_eq!(right.recv_timeout(PATIENCE).unwrap().payload, n.to_be_bytes());
        assert_eq!(left.recv_timeout(PATIENCE).unwrap().payload, (n + 1).to_be_bytes());
    }
    assert_eq!(left.drain(PATIENCE).settled, 200);
}

#[test]
fn noisy_line_damages_nothing_that_arrives() {
    let (left, left_far) = pair();
    let (right, right_far) = pair();
    let profile = StreamProfile {
        flip: 0.0002,
        insert: 0.0002,
        delete: 0.0002,
        damage_frame: 0.01,
        drop_frame: 0.03,
        noise: 0.02,
        ..StreamProfile::default()
    };
    let proxy = StreamProxy::start(left_far, right_far, profile.clone(), profile, 11).unwrap();
    let left = stream::connect(left, &Config::serial(0)).unwrap();
    let right = stream::accept(right, &Config::serial(0)).unwrap();
    let message = |n: u32| -> Vec<u8> { (0..n % 300).map(|i| (n * 31 + i) as u8).collect() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..600 {
                left.send(Channel(0), &message(n)).unwrap();
            }
            let outcomes = left.drain(PATIENCE * 2);
            assert_eq!(outcomes.settled, 600, "{:#?}", left.stats());
        });
        for n in 0..600 {
            let arrived =
                right.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{n}: {e} {:#?}", right.stats()));
            assert!(arrived.payload == message(n), "message {n}");
        }
    });
    let stats = proxy.stats();
    // How many frames it takes depends on how busy the machine is; about 70 are damaged, and 10 to 20 lost.
    assert!(stats.forward.damaged > 20 && stats.forward.lost > 0, "the line was bad: {stats:?}");
    assert!(left.stats().retransmitted > 0);
}

#[test]
fn end_of_the_stream_ends_the_connection() {
    let (left, right) = pair();
    let left = stream::connect(left, &Config::serial(0)).unwrap();
    let right = stream::accept(right, &Config::serial(0)).unwrap();
    left.send(Channel(0), b"last words").unwrap();
    assert_eq!(right.recv_timeout(PATIENCE).unwrap().payload, b"last words");
    assert_eq!(left.drain(PATIENCE).settled, 1);
    drop(left);
    let end = right.recv_timeout(PATIENCE);
    let is_closed = matches!(end, Err(RecvError::Closed(Some(CloseReason::Peer | CloseReason::Aborted))));
    assert!(is_closed, "{end:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn pseudo_terminal_passes_every_byte() {
    let (near, path) = ByteStream::pty().unwrap();
    let far = ByteStream::terminal(&path).unwrap();
    let near = stream::connect(near, &Config::serial(0)).unwrap();
    let far = stream::accept(far, &Config::serial(0)).unwrap();
    let every_byte: Vec<u8> = (0..=255).collect();
    near.send(Channel(0), &every_byte).unwrap();
    assert_eq!(far.recv_timeout(PATIENCE).unwrap().payload, every_byte);
    far.send(Channel(0), &every_byte).unwrap();
    assert_eq!(near.recv_timeout(PATIENCE).unwrap().payload, every_byte);
}
