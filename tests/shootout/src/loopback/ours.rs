//! ackline on its own adapters: defaults, one unordered channel. Unlike most peers here, every message is settled by the
//! receiving application and its sender is told.

use std::time::Duration;

use ackline_std::{Channel, ChannelConfig, Config, Connection, Endpoint, Messages, Mode};
use anyhow::Context;

use super::meter::{EXCHANGE_LEN, Stopwatch, on_tasks, on_threads, runtime};

const PATIENCE: Duration = Duration::from_secs(5);

/// Messages that are handed over with one call.
const BATCH: usize = 64;
/// What Ethernet with jumbo frames carries. Loopback itself carries 65,507 bytes, which is no faster: fewer datagrams, but each
/// is then a system call of its own and leaves the processor's cache before it is taken in.
const LONG: u16 = 8_900;

fn config() -> Config {
    Config::udp().channel(0, ChannelConfig::new(Mode::Unordered))
}

fn long_datagrams() -> Config {
    let mut config = config();
    config.datagram_max = LONG;
    config
}

/// Both ends of a connection, and what must live as long as they do.
fn pair(config: &Config) -> anyhow::Result<(Connection, Connection, Endpoint)> {
    let server = Endpoint::bind("127.0.0.1:0", config)?;
    let client = ackline_std::connect(server.local_addr(), config)?;
    client.wait_connected(PATIENCE)?;
    let accepted = server.accept()?;
    Ok((client, accepted, server))
}

/// Blocking threads, a call for every message.
pub fn blocking(len: usize, seconds: f64) -> anyhow::Result<f64> {
    let (client, accepted, _server) = pair(&config())?;
    let (sending, receiving) = (client.clone(), accepted.clone());
    let rate = on_threads(
        seconds,
        move |meter| {
            let message = vec![7; len];
            while meter.is_running() && sending.send(Channel(0), &message).is_ok() {}
            sending.abort();
        },
        move |meter| {
            let mut message = Vec::new();
            while meter.is_running() && receiving.recv_into(&mut message).is_ok() {
                meter.count(1);
            }
        },
    );
    client.abort();
    accepted.abort();
    rate
}

/// Blocking threads, a call for many messages.
pub fn batches(len: usize, seconds: f64) -> anyhow::Result<f64> {
    stream_batches(&config(), len, seconds)
}

/// The same in longer datagrams.
pub fn long_batches(len: usize, seconds: f64) -> anyhow::Result<f64> {
    stream_batches(&long_datagrams(), len, seconds)
}

fn stream_batches(config: &Config, len: usize, seconds: f64) -> anyhow::Result<f64> {
    let (client, accepted, _server) = pair(config)?;
    let (sending, receiving) = (client.clone(), accepted.clone());
    let rate = on_threads(
        seconds,
        move |meter| {
            let messages = vec![vec![7; len]; BATCH];
            while meter.is_running() && sending.send_many(Channel(0), &messages).is_ok() {}
            sending.abort();
        },
        move |meter| {
            let mut messages = Messages::new();
            while meter.is_running() && receiving.recv_many(&mut messages).is_ok() {
                meter.count(messages.len() as u64);
            }
        },
    );
    client.abort();
    accepted.abort();
    rate
}

/// Blocking: a message there, a message back.
pub fn blocking_exchange() -> anyhow::Result<Vec<f64>> {
    let (client, accepted, _server) = pair(&config())?;
    let echo = std::thread::spawn(move || {
        let mut message = Vec::new();
        while let Ok(received) = accepted.recv_into(&mut message) {
            let _ = accepted.send(received.id.channel, &message);
        }
    });
    let mut message = Vec::new();
    let mut stopwatch = Stopwatch::default();
    while stopwatch.begin() {
        client.send(Channel(0), &[7; EXCHANGE_LEN])?;
        client.recv_into(&mut message)?;
        stopwatch.end();
    }
    client.close(Duration::from_secs(1));
    let _ = echo.join();
    Ok(stopwatch.sorted())
}

type TaskPair =
    (ackline_std::tokio::Connection, ackline_std::tokio::Connection, ackline_std::tokio::Endpoint);

async fn task_pair(config: &Config) -> anyhow::Result<TaskPair> {
    let server = ackline_std::tokio::Endpoint::bind("127.0.0.1:0", config)?;
    let client = ackline_std::tokio::connect(server.local_addr(), config)?;
    client.wait_connected(PATIENCE).await?;
    let accepted = server.accept().await;
    Ok((client, accepted, server))
}

/// Tasks, a call for every message.
pub fn tasks(len: usize, seconds: f64) -> anyhow::Result<f64> {
    on_tasks(seconds, async |meter| {
        let (client, accepted, server) = task_pair(&config()).await?;
        let receiving = meter.clone();
        tokio::spawn(async move {
            // Lives as long as its connection is read.
            let _server = server;
            let mut message = Vec::new();
            while accepted.recv_into(&mut message).await.is_ok() {
                receiving.count(1);
            }
        });
        tokio::spawn(async move {
            let message = vec![7; len];
            while meter.is_running() && client.send(Channel(0), &message).await.is_ok() {}
        });
        Ok(())
    })
}

/// Tasks, a call for many messages.
pub fn task_batches(len: usize, seconds: f64) -> anyhow::Result<f64> {
    stream_task_batches(config(), len, seconds)
}

/// The same in longer datagrams.
pub fn long_task_batches(len: usize, seconds: f64) -> anyhow::Result<f64> {
    stream_task_batches(long_datagrams(), len, seconds)
}

fn stream_task_batches(config: Config, len: usize, seconds: f64) -> anyhow::Result<f64> {
    on_tasks(seconds, async move |meter| {
        let (client, accepted, server) = task_pair(&config).await?;
        let receiving = meter.clone();
        tokio::spawn(async move {
            let _server = server;
            let mut messages = Messages::new();
            while accepted.recv_many(&mut messages).await.is_ok() {
                receiving.count(messages.len() as u64);
            }
        });
        tokio::spawn(async move {
            let messages = vec![vec![7; len]; BATCH];
            while meter.is_running() && client.send_many(Channel(0), &messages).await.is_ok() {}
        });
        Ok(())
    })
}

/// Tasks: a message there, a message back.
pub fn tasks_exchange() -> anyhow::Result<Vec<f64>> {
    let runtime = runtime()?;
    let handle = runtime.spawn(async {
        let (client, accepted, server) = task_pair(&config()).await?;
        tokio::spawn(async move {
            let _server = server;
            let mut message = Vec::new();
            while let Ok(received) = accepted.recv_into(&mut message).await {
                let _ = accepted.send(received.id.channel, &message).await;
            }
        });
        let mut message = Vec::new();
        let mut stopwatch = Stopwatch::default();
        while stopwatch.begin() {
            client.send(Channel(0), &[7; EXCHANGE_LEN]).await?;
            client.recv_into(&mut message).await?;
            stopwatch.end();
        }
        anyhow::Ok(stopwatch.sorted())
    });
    let times = runtime.block_on(handle).context("the task failed")?;
    runtime.shutdown_timeout(Duration::from_millis(500));
    times
}
