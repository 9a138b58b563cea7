//! Connections over real sockets on the loopback interface.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use ackline_std::{
    Channel, ChannelConfig, CloseReason, Config, ConnectError, Connection, Endpoint, Event, Mode, RecvError,
    SendError,
};

const LOCALHOST: &str = "127.0.0.1:0";
const PATIENCE: Duration = Duration::from_secs(10);

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
