//! Connections of tasks on a tokio runtime.
#![cfg(feature = "tokio")]

use std::time::Duration;

use ackline_std::impair::Profile;
use ackline_std::proxy::UdpProxy;
use ackline_std::tokio::{Connection, Endpoint, connect, stream};
use ackline_std::{Channel, ChannelConfig, CloseReason, Config, Event, Mode, RecvError, SendError};

const LOCALHOST: &str = "127.0.0.1:0";
const PATIENCE: Duration = Duration::from_secs(60);

async fn pair(config: &Config) -> (Endpoint, Connection, Connection) {
    let server = Endpoint::bind(LOCALHOST, config).unwrap();
    let client = connect(server.local_addr(), config).unwrap();
    client.wait_connected(PATIENCE).await.unwrap();
    let accepted = server.accept().await;
    (server, client, accepted)
}

#[tokio::test]
async fn request_and_reply_go_back_and_forth() {
    let (_server, client, accepted) = pair(&Config::udp()).await;
    let echo = tokio::spawn(async move {
        while let Ok(message) = accepted.recv().await {
            accepted.send(message.id.channel, &message.payload).await.unwrap();
        }
        accepted.close_reason()
    });
    for n in 0..500_u32 {
        client.send(Channel(0), &n.to_be_bytes()).await.unwrap();
        assert_eq!(client.recv_timeout(PATIENCE).await.unwrap().payload, n.to_be_bytes());
    }
    assert!(client.close(PATIENCE).await);
    assert_eq!(echo.await.unwrap(), Some(CloseReason::Peer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_of_messages_crosses_a_bad_path_in_order() {
    let server = Endpoint::bind(LOCALHOST, &Config::udp()).unwrap();
    let profile = Profile { loss: 0.1, duplicate: 0.05, reorder: 0.05, corrupt: 0.01, ..Profile::demo() };
    let proxy = UdpProxy::start(LOCALHOST.parse().unwrap(), server.local_addr(), profile.clone(), profile, 5)
        .unwrap();
    let client = connect(proxy.local_addr(), &Config::udp()).unwrap();
    let sender = client.clone();
    let sending = tokio::spawn(async move {
        for n in 0..5000_u32 {
            sender.send(Channel(0), &n.to_be_bytes()).await.unwrap();
        }
        sender.drain(PATIENCE).await
    });
    let accepted = server.accept().await;
    for n in 0..5000_u32 {
        let message = accepted.recv_timeout(PATIENCE).await.unwrap();
        assert_eq!(message.payload, n.to_be_bytes());
    }
    assert_eq!(sending.await.unwrap().settled, 5000);
}

#[tokio::test]
async fn receiving_that_is_given_up_loses_nothing() {
    let (_server, client, accepted) = pair(&Config::udp()).await;
    let sending = tokio::spawn(async move {
        for n in 0..300_u32 {
            client.send(Channel(0), &n.to_be_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        client.drain(PATIENCE).await.settled
    });
    let mut expected = 0_u32;
    let mut given_up = 0;
    while expected < 300 {
        tokio::select! {
            biased;
            message = accepted.recv() => {
                assert_eq!(message.unwrap().payload, expected.to_be_bytes());
                expected += 1;
            }
            () = tokio::task::yield_now() => given_up += 1,
        }
    }
    assert!(given_up > 0, "no future was dropped");
    assert_eq!(sending.await.unwrap(), 300);
}

#[tokio::test]
async fn outbox_full_makes_send_wait_and_try_send_return() {
    let mut config = Config::udp().channel(0, ChannelConfig::new(Mode::Ordered).settle_explicitly());
    config.send_buffer = 16 * 1024;
    let (_server, client, accepted) = pair(&config).await;
    while client.try_send(Channel(0), &[7; 1000]).is_ok() {}
    assert_eq!(client.try_send(Channel(0), &[7; 1000]), Err(SendError::Full));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.send(Channel(0), &[7; 1000]).await }
    });
    let first = accepted.recv().await.unwrap();
    assert!(!waiting.is_finished());
    accepted.settle(first.id).unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn events_and_typed_messages_work_as_for_threads() {
    let (_server, client, accepted) = pair(&Config::udp()).await;
    let events = client.events();
    let id = client.send_typed(Channel(1), &("attic", 21.5_f32)).await.unwrap();
    let typed = accepted.recv_typed::<(String, f32)>().await.unwrap();
    assert_eq!(typed.value, ("attic".to_owned(), 21.5));
    loop {
        match events.next_event().await.unwrap() {
            Event::Settled(settled) => break assert_eq!(settled, id),
            Event::Connected => {}
            other => panic!("{other:?}"),
        }
    }
    drop(client);
    drop(events);
    assert_eq!(accepted.recv().await, Err(RecvError::Closed(Some(CloseReason::Peer))));
}

#[tokio::test]
async fn messages_cross_a_byte_stream() {
    let (left, right) = tokio::io::duplex(4096);
    let (left_reader, left_writer) = tokio::io::split(left);
    let (right_reader, right_writer) = tokio::io::split(right);
    let left = stream::connect(left_reader, left_writer, &Config::serial(0)).unwrap();
    let right = stream::connect(right_reader, right_writer, &Config::serial(0)).unwrap();
    for n in 0..300_u32 {
        left.send(Channel(0), &n.to_be_bytes()).await.unwrap();
    }
    for n in 0..300_u32 {
        assert_eq!(right.recv_timeout(PATIENCE).await.unwrap().payload, n.to_be_bytes());
    }
    assert_eq!(left.drain(PATIENCE).await.settled, 300);
    drop(left);
    assert!(matches!(right.recv_timeout(PATIENCE).await, Err(RecvError::Closed(_))));
}
