//! ackline on its own adapters: defaults, one unordered channel. Unlike most peers here, every message is settled by the
//! receiving application and its sender is told.

use std::time::Duration;

use ackline_std::{Channel, ChannelConfig, Config, Endpoint, Mode};
use anyhow::Context;

use super::meter::{EXCHANGE_LEN, Stopwatch, on_tasks, on_threads, runtime};

const PATIENCE: Duration = Duration::from_secs(5);

fn config() -> Config {
    Config::udp().channel(0, ChannelConfig::new(Mode::Unordered))
}

/// Blocking threads.
pub fn blocking(len: usize, seconds: f64) -> anyhow::Result<f64> {
    let server = Endpoint::bind("127.0.0.1:0", &config())?;
    let client = ackline_std::connect(server.local_addr(), &config())?;
    client.wait_connected(PATIENCE)?;
    let accepted = server.accept()?;
    let (closing, receiving) = (client.clone(), accepted.clone());
    let rate = on_threads(
        seconds,
        move |meter| {
            let message = vec![7; len];
            while meter.is_running() && client.send(Channel(0), &message).is_ok() {}
            closing.abort();
        },
        move |meter| {
            let mut message = Vec::new();
            while receiving.recv_into(&mut message).is_ok() {
                meter.count(1);
                if !meter.is_running() {
                    break;
                }
            }
        },
    );
    accepted.abort();
    rate
}

/// Blocking: a message there, a message back.
pub fn blocking_exchange() -> anyhow::Result<Vec<f64>> {
    let server = Endpoint::bind("127.0.0.1:0", &config())?;
    let client = ackline_std::connect(server.local_addr(), &config())?;
    client.wait_connected(PATIENCE)?;
    let accepted = server.accept()?;
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

/// Tasks.
pub fn tasks(len: usize, seconds: f64) -> anyhow::Result<f64> {
    on_tasks(seconds, async |meter| {
        let server = ackline_std::tokio::Endpoint::bind("127.0.0.1:0", &config())?;
        let client = ackline_std::tokio::connect(server.local_addr(), &config())?;
        client.wait_connected(PATIENCE).await?;
        let accepted = server.accept().await;
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

/// Tasks: a message there, a message back.
pub fn tasks_exchange() -> anyhow::Result<Vec<f64>> {
    let runtime = runtime()?;
    let handle = runtime.spawn(async {
        let server = ackline_std::tokio::Endpoint::bind("127.0.0.1:0", &config())?;
        let client = ackline_std::tokio::connect(server.local_addr(), &config())?;
        client.wait_connected(PATIENCE).await?;
        let accepted = server.accept().await;
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
