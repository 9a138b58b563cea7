//! Connections over real sockets on the loopback interface.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ackline_std::impair::Profile;
use ackline_std::proxy::UdpProxy;
use ackline_std::{
    Channel, ChannelConfig, CloseReason, Config, ConnectError, Connection, Endpoint, Event, Mode, RecvError,
    SendError,
};
use serde::{Deserialize, Serialize};

const LOCALHOST: &str = "127.0.0.1:0";
const PATIENCE: Duration = Duration::from_secs(60);

fn pair(config: &Config) -> (Endpoint, Connection, Connection) {
    let server = Endpoint::bind(LOCALHOST, config).unwrap();
    let client = ackline_std::connect(server.local_addr(), config).unwrap();
    client.wait_connected(PATIENCE).unwrap();
    // The server hears of it with the first datagram that shows that the client hears it.
    let accepted = server.accept_timeout(PATIENCE).expect("a connection");
    (server, client, accepted)
}

#[test]
fn request_and_reply_go_back_and_forth() {
    let (_server, client, accepted) = pair(&Config::udp());
    let echo = std::thread::spawn(move || {
        while let Ok(message) = accepted.recv() {
            accepted.send(message.id.channel, &message.payload).unwrap();
        }
        accepted.close_reason()
    });
    for n in 0..2000_u32 {
        client.send(Channel(0), &n.to_be_bytes()).unwrap();
        let reply = client.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{n}: {e} {:?}", client.stats()));
        assert_eq!(reply.payload, n.to_be_bytes());
    }
    assert!(client.close(PATIENCE));
    assert_eq!(client.close_reason(), Some(CloseReason::Drained));
    assert_eq!(echo.join().unwrap(), Some(CloseReason::Peer));
}

#[test]
fn request_and_reply_settled_explicitly_go_back_and_forth() {
    let config = Config::udp().channel(3, ChannelConfig::new(Mode::Unordered).settle_explicitly());
    let (_server, client, accepted) = pair(&config);
    std::thread::spawn(move || {
        while let Ok(message) = accepted.recv() {
            accepted.send(message.id.channel, &message.payload).unwrap();
            accepted.settle(message.id).unwrap();
        }
    });
    for n in 0..2000_u32 {
        client.send(Channel(3), &n.to_be_bytes()).unwrap();
        let reply = client.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{n}: {e} {:?}", client.stats()));
        assert_eq!(reply.payload, n.to_be_bytes());
        client.settle(reply.id).unwrap();
    }
    assert_eq!(client.drain(PATIENCE).settled, 2000);
}

#[test]
fn outbox_full_makes_try_send_return_at_once_and_send_wait() {
    let mut config = Config::udp().channel(0, ChannelConfig::new(Mode::Ordered).settle_explicitly());
    config.send_buffer = 16 * 1024;
    let (_server, client, accepted) = pair(&config);
    let message = [7; 1000];
    let mut taken = 0;
    while client.try_send(Channel(0), &message).is_ok() {
        taken += 1;
        assert!(taken < 100, "16 KiB hold no hundred messages of 1,000 bytes");
    }
    assert!(taken >= 8, "{taken}");
    assert_eq!(client.try_send(Channel(0), &message), Err(SendError::Full));
    // Nothing is settled yet, so a waiting send stays waiting, and gives up at its message's end of life.
    let started = Instant::now();
    let late = client.send_before(Channel(0), &message, Duration::from_millis(50));
    assert_eq!(late, Err(SendError::Full));
    assert!(started.elapsed() >= Duration::from_millis(50));
    let sent = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.send(Channel(0), &message).unwrap();
            sent.store(1, Ordering::SeqCst);
        });
        let first = accepted.recv_timeout(PATIENCE).unwrap();
        assert_eq!(sent.load(Ordering::SeqCst), 0, "there was no room");
        accepted.settle(first.id).unwrap();
    });
    assert_eq!(sent.load(Ordering::SeqCst), 1, "the settlement made room");
    assert_eq!(client.outcomes().settled, 1);
}

#[test]
fn message_over_the_limit_is_refused_with_the_limit() {
    let mut config = Config::udp();
    config.message_max = 5000;
    let (_server, client, _accepted) = pair(&config);
    assert_eq!(client.send(Channel(0), &[0; 5001]), Err(SendError::TooLarge { max: 5000 }));
    assert_eq!(client.send(Channel(200), &[0; 10]), Err(SendError::NoSuchChannel));
    client.send(Channel(0), &[0; 5000]).unwrap();
    assert_eq!(client.drain(Duration::from_millis(50)).outstanding, 1, "nobody has taken it");
}

#[test]
fn large_messages_cross_a_bad_path_whole() {
    let server = Endpoint::bind(LOCALHOST, &Config::udp()).unwrap();
    let profile = Profile { loss: 0.1, duplicate: 0.05, corrupt: 0.02, ..Profile::default() };
    let proxy = UdpProxy::start(LOCALHOST.parse().unwrap(), server.local_addr(), profile.clone(), profile, 5)
        .unwrap();
    let client = ackline_std::connect(proxy.local_addr(), &Config::udp()).unwrap();
    let messages: Vec<Vec<u8>> =
        (0..20_u32).map(|n| (0..n * 7001).map(|i| (i ^ (i >> 8) ^ n) as u8).collect()).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for message in &messages {
                client.send(Channel(0), message).unwrap();
            }
            assert_eq!(client.drain(PATIENCE * 3).settled, 20);
        });
        let accepted = server.accept_timeout(PATIENCE).unwrap();
        for message in &messages {
            assert!(accepted.recv_timeout(PATIENCE).unwrap().payload == *message);
        }
    });
}

#[test]
fn two_threads_send_and_receive_at_once_on_both_sides() {
    let (_server, client, accepted) = pair(&Config::udp());
    const COUNT: u32 = 20_000;
    let send = |connection: &Connection| {
        for n in 0..COUNT {
            connection.send(Channel(0), &n.to_be_bytes()).unwrap();
        }
        connection.drain(PATIENCE).settled
    };
    let receive = |connection: &Connection| {
        for n in 0..COUNT {
            let message = connection.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{n}: {e}"));
            assert_eq!(message.payload, n.to_be_bytes());
        }
    };
    std::thread::scope(|scope| {
        let senders = [&client, &accepted].map(|connection| scope.spawn(move || send(connection)));
        for connection in [&client, &accepted] {
            scope.spawn(move || receive(connection));
        }
        for sender in senders {
            assert_eq!(sender.join().unwrap(), u64::from(COUNT));
        }
    });
}

#[test]
fn many_peers_share_one_socket() {
    let config = Config::udp();
    let server = Endpoint::bind(LOCALHOST, &config).unwrap();
    let clients: Vec<_> =
        (0..50).map(|_| ackline_std::connect(server.local_addr(), &config).unwrap()).collect();
    for (n, client) in clients.iter().enumerate() {
        client.send(Channel(0), &[n as u8]).unwrap();
    }
    let mut seen = Vec::new();
    for _ in &clients {
        let accepted = server.accept_timeout(PATIENCE).expect("another connection");
        let message = accepted.recv_timeout(PATIENCE).unwrap();
        accepted.send(Channel(1), &message.payload).unwrap();
        seen.push(message.payload[0]);
        std::mem::forget(accepted);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<u8>>());
    for (n, client) in clients.iter().enumerate() {
        assert_eq!(client.recv_timeout(PATIENCE).unwrap().payload, [n as u8]);
    }
    assert_eq!(server.connection_count(), 50);
}

#[test]
fn second_connection_between_the_same_sockets_is_refused() {
    let config = Config::udp();
    let (server, client, _accepted) = pair(&config);
    let endpoint = Endpoint::bind(LOCALHOST, &config).unwrap();
    let _first = endpoint.connect(server.local_addr()).unwrap();
    let second = endpoint.connect(server.local_addr()).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse);
    assert!(client.is_connected());
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Reading {
    Celsius(f32),
    Name(String),
}

#[test]
fn typed_messages_keep_their_values_and_others_are_refused() {
    let (_server, client, accepted) = pair(&Config::udp());
    client.send_typed(Channel(0), &Reading::Celsius(21.5)).unwrap();
    client.send_typed(Channel(0), &Reading::Name("attic".into())).unwrap();
    client.send(Channel(0), &[9, 9, 9]).unwrap();
    assert_eq!(accepted.recv_typed::<Reading>().unwrap().value, Reading::Celsius(21.5));
    assert_eq!(accepted.recv_typed::<Reading>().unwrap().value, Reading::Name("attic".into()));
    assert_eq!(accepted.recv_typed::<Reading>(), Err(RecvError::Decoding));
}

#[test]
fn events_tell_of_every_message_once() {
    let (_server, client, accepted) = pair(&Config::udp());
    let events = client.events();
    let ids: Vec<_> = (0..500_u32).map(|n| client.send(Channel(0), &n.to_be_bytes()).unwrap()).collect();
    for _ in &ids {
        accepted.recv_timeout(PATIENCE).unwrap();
    }
    let mut settled = Vec::new();
    while settled.len() < ids.len() {
        match events.next_timeout(PATIENCE) {
            Some(Event::Settled(id)) => settled.push(id),
            Some(Event::Connected) => {}
            other => panic!("{other:?} after {}", settled.len()),
        }
    }
    assert_eq!(settled, ids);
    assert_eq!(events.try_next(), None);
}

#[test]
fn expired_message_is_told_and_the_channel_goes_on() {
    let nobody = UdpSocket::bind(LOCALHOST).unwrap();
    let client = ackline_std::connect(nobody.local_addr().unwrap(), &Config::udp()).unwrap();
    let events = client.events();
    let id = client.send_before(Channel(0), b"now or never", Duration::from_millis(30)).unwrap();
    assert_eq!(events.next_timeout(PATIENCE), Some(Event::Expired(id)));
    assert_eq!(client.outcomes().expired, 1);
    assert_eq!(client.drain(Duration::ZERO).outstanding, 0);
}

#[test]
fn nobody_at_the_address_is_told_after_the_time_given() {
    let nobody = UdpSocket::bind(LOCALHOST).unwrap();
    let mut config = Config::udp();
    config.give_up = Some(Duration::from_secs(1));
    let client = ackline_std::connect(nobody.local_addr().unwrap(), &config).unwrap();
    let early = client.wait_connected(Duration::from_millis(10));
    assert_eq!(early, Err(ConnectError::TimedOut));
    let late = client.wait_connected(PATIENCE);
    assert_eq!(late, Err(ConnectError::Closed(Some(CloseReason::Unreachable))));
    assert!(matches!(client.send(Channel(0), b"x"), Err(SendError::Closed(_))));
    assert!(matches!(client.recv(), Err(RecvError::Closed(_))));
}

#[test]
fn closing_delivers_what_was_sent_and_tells_the_peer() {
    let (_server, client, accepted) = pair(&Config::udp());
    for n in 0..100_u8 {
        client.send(Channel(0), &[n]).unwrap();
    }
    let receiver = std::thread::spawn(move || {
        let mut count = 0;
        while accepted.recv().is_ok() {
            count += 1;
        }
        (count, accepted.close_reason())
    });
    assert!(client.close(PATIENCE));
    assert_eq!(client.outcomes().settled, 100);
    assert_eq!(receiver.join().unwrap(), (100, Some(CloseReason::Peer)));
}

#[test]
fn dropping_the_last_handle_closes_the_connection() {
    let (_server, client, accepted) = pair(&Config::udp());
    let clone = client.clone();
    drop(client);
    clone.send(Channel(0), b"still here").unwrap();
    assert_eq!(accepted.recv_timeout(PATIENCE).unwrap().payload, b"still here");
    drop(clone);
    assert_eq!(accepted.recv_timeout(PATIENCE), Err(RecvError::Closed(Some(CloseReason::Peer))));
}

#[test]
fn shutdown_closes_everything_and_frees_the_address() {
    let (server, client, accepted) = pair(&Config::udp());
    let address = server.local_addr();
    client.send(Channel(0), b"hello").unwrap();
    accepted.recv_timeout(PATIENCE).unwrap();
    let waiting = std::thread::spawn(move || accepted.recv());
    assert!(server.shutdown(PATIENCE));
    assert!(matches!(waiting.join().unwrap(), Err(RecvError::Closed(_))));
    assert!(matches!(client.recv_timeout(PATIENCE), Err(RecvError::Closed(_))));
    UdpSocket::bind(address).expect("the address is free");
}

#[test]
fn server_shuts_down_at_once_beside_a_client_that_never_spoke() {
    let (server, _client, _accepted) = pair(&Config::udp());
    let started = Instant::now();
    assert!(server.shutdown(PATIENCE));
    assert!(started.elapsed() < PATIENCE / 2);
}

#[test]
fn random_datagrams_and_forged_hellos_disturb_nothing() {
    let (server, client, accepted) = pair(&Config::udp());
    let stranger = UdpSocket::bind(LOCALHOST).unwrap();
    stranger.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let (mut sent_len, mut answered_len) = (0, 0);
    for n in 0..5000_u32 {
        let mut noise: Vec<u8> = (0..random.usize(0..200)).map(|_| random.u8(..)).collect();
        if let Some(first) = noise.first_mut() {
            *first &= if n % 2 == 0 { 0x7f } else { 0xff };
        }
        stranger.send_to(&noise, server.local_addr()).unwrap();
        sent_len += noise.len();
        if n % 50 == 0 {
            client.send(Channel(0), &n.to_be_bytes()).unwrap();
            assert_eq!(accepted.recv_timeout(PATIENCE).unwrap().payload, n.to_be_bytes());
        }
    }
    let mut answer = [0; 2048];
    while let Ok(len) = stranger.recv(&mut answer) {
        answered_len += len;
    }
    assert!(answered_len <= sent_len, "{answered_len} of {sent_len}");
    assert_eq!(server.connection_count(), 1);
}

#[test]
fn hello_that_a_link_refuses_opens_nothing() {
    let server = Endpoint::bind(LOCALHOST, &Config::udp()).unwrap();
    let stranger = UdpSocket::bind(LOCALHOST).unwrap();
    // Well-formed, but of a peer that takes no messages at all: its window is 0.
    let mut hello = b"\x80\x01\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08".to_vec();
    hello.extend([0; 8 + 1 + 4]);
    hello.extend([3, 2, 1, 0]);
    hello.resize(92, 0);
    let sum = !hello.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |s, _| s >> 1 ^ if s & 1 == 1 { 0x82f6_3b78 } else { 0 })
    });
    hello.extend(sum.to_le_bytes());
    stranger.send_to(&hello, server.local_addr()).unwrap();
    let client = ackline_std::connect(server.local_addr(), &Config::udp()).unwrap();
    client.send(Channel(0), b"after it").unwrap();
    let accepted = server.accept_timeout(PATIENCE).unwrap();
    assert_eq!(accepted.recv_timeout(PATIENCE).unwrap().payload, b"after it");
    assert_eq!(server.connection_count(), 1);
}
