//! ZeroMQ over TCP, push and pull, request and reply: zeromq.rs, and libzmq through the crate `zmq`.

use std::time::Duration;

use anyhow::Context;
use zeromq::{Socket, SocketRecv, SocketSend};

use super::meter::{EXCHANGE_LEN, Stopwatch, on_tasks, on_threads, runtime};

const ANY: &str = "tcp://127.0.0.1:0";
/// Milliseconds that a libzmq socket waits before its thread looks whether the measurement is over.
const PATIENCE_MS: i32 = 100;

/// zeromq.rs.
pub fn rust_stream(len: usize, seconds: f64) -> anyhow::Result<f64> {
    on_tasks(seconds, async |meter| {
        let mut pull = zeromq::PullSocket::new();
        let address = pull.bind(ANY).await?.to_string();
        let counting = meter.clone();
        tokio::spawn(async move {
            while pull.recv().await.is_ok() {
                counting.count(1);
            }
        });
        let mut push = zeromq::PushSocket::new();
        push.connect(&address).await?;
        tokio::spawn(async move {
            let message = bytes::Bytes::from(vec![7; len]);
            while meter.is_running() {
                // An error says that its queue is full.
                if push.send(message.clone().into()).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
        });
        Ok(())
    })
}

/// zeromq.rs: a message there, a message back.
pub fn rust_exchange() -> anyhow::Result<Vec<f64>> {
    let runtime = runtime()?;
    let handle = runtime.spawn(async {
        let mut server = zeromq::RepSocket::new();
        let address = server.bind(ANY).await?.to_string();
        tokio::spawn(async move {
            while let Ok(message) = server.recv().await {
                server.send(message).await?;
            }
            anyhow::Ok(())
        });
        let mut client = zeromq::ReqSocket::new();
        client.connect(&address).await?;
        let mut stopwatch = Stopwatch::default();
        while stopwatch.begin() {
            client.send(vec![7; EXCHANGE_LEN].into()).await?;
            client.recv().await?;
            stopwatch.end();
        }
        anyhow::Ok(stopwatch.sorted())
    });
    let times = runtime.block_on(handle).context("the task failed")?;
    runtime.shutdown_timeout(Duration::from_millis(500));
    times
}

fn library_pair(
    first: zmq::SocketType,
    second: zmq::SocketType,
) -> anyhow::Result<(zmq::Socket, zmq::Socket)> {
    let context = zmq::Context::new();
    let (listening, connecting) = (context.socket(first)?, context.socket(second)?);
    listening.bind("tcp://127.0.0.1:*")?;
    let address = listening.get_last_endpoint()?.ok().context("an address that is not text")?;
    connecting.connect(&address)?;
    for socket in [&listening, &connecting] {
        socket.set_rcvtimeo(PATIENCE_MS)?;
        socket.set_sndtimeo(PATIENCE_MS)?;
        socket.set_linger(0)?;
    }
    Ok((listening, connecting))
}

/// libzmq, which collects messages on an I/O thread of its own.
pub fn library_stream(len: usize, seconds: f64) -> anyhow::Result<f64> {
    let (pull, push) = library_pair(zmq::PULL, zmq::PUSH)?;
    on_threads(
        seconds,
        move |meter| {
            let message = vec![7; len];
            while meter.is_running() {
                let _ = push.send(&message, 0);
            }
        },
        move |meter| {
            let mut message = zmq::Message::new();
            while meter.is_running() {
                if pull.recv(&mut message, 0).is_ok() {
                    meter.count(1);
                }
            }
        },
    )
}

/// libzmq: a message there, a message back.
pub fn library_exchange() -> anyhow::Result<Vec<f64>> {
    let (server, client) = library_pair(zmq::REP, zmq::REQ)?;
    server.set_rcvtimeo(1_000)?;
    client.set_rcvtimeo(1_000)?;
    let echo = std::thread::spawn(move || {
        while let Ok(message) = server.recv_bytes(0) {
            let _ = server.send(message, 0);
        }
    });
    let mut stopwatch = Stopwatch::default();
    while stopwatch.begin() {
        client.send(&[7; EXCHANGE_LEN][..], 0)?;
        client.recv_bytes(0)?;
        stopwatch.end();
    }
    drop(client);
    let _ = echo.join();
    Ok(stopwatch.sorted())
}
