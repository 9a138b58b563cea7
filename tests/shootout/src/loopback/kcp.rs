//! KCP (tokio_kcp): its fastest settings, a large window, flushed after every message and acknowledgement. Stream mode, in
//! which small messages share datagrams; messages have their lengths before them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream};

use super::meter::{EXCHANGE_LEN, Stopwatch, on_tasks, runtime};

fn config(stream: bool) -> KcpConfig {
    KcpConfig {
        nodelay: KcpNoDelayConfig::fastest(),
        wnd_size: (1024, 1024),
        mtu: 1400,
        flush_write: true,
        flush_acks_input: true,
        stream,
        ..KcpConfig::default()
    }
}

async fn listener(stream: bool) -> anyhow::Result<(KcpListener, SocketAddr)> {
    let any: SocketAddr = "127.0.0.1:0".parse()?;
    let listener = KcpListener::bind(config(stream), any).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// As fast as it goes.
pub fn stream(len: usize, seconds: f64) -> anyhow::Result<f64> {
    on_tasks(seconds, async |meter| {
        let (mut listener, address) = listener(true).await?;
        let counting = meter.clone();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = BufReader::with_capacity(64 * 1024, stream);
            let mut message = vec![0; len + 4];
            while stream.read_exact(&mut message).await.is_ok() {
                counting.count(1);
            }
            anyhow::Ok(())
        });
        let stream = KcpStream::connect(&config(true), address).await?;
        tokio::spawn(async move {
            let mut stream = BufWriter::with_capacity(16 * 1024, stream);
            let message = [&(len as u32).to_le_bytes()[..], &vec![7; len]].concat();
            while meter.is_running() {
                stream.write_all(&message).await?;
            }
            anyhow::Ok(())
        });
        Ok(())
    })
}

/// A message there, a message back.
pub fn exchange() -> anyhow::Result<Vec<f64>> {
    let runtime = runtime()?;
    let handle = runtime.spawn(async {
        let (mut listener, address) = listener(false).await?;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut message = [0; 2048];
            while let Ok(len @ 1..) = stream.recv(&mut message).await {
                stream.send(&message[..len]).await?;
            }
            anyhow::Ok(())
        });
        let mut stream = KcpStream::connect(&config(false), address).await?;
        let mut message = [0; 2048];
        let mut stopwatch = Stopwatch::default();
        while stopwatch.begin() {
            stream.send(&[7; EXCHANGE_LEN]).await?;
            stream.recv(&mut message).await?;
            stopwatch.end();
        }
        anyhow::Ok(stopwatch.sorted())
    });
    let times = runtime.block_on(handle).context("the task failed")?;
    runtime.shutdown_timeout(Duration::from_millis(500));
    times
}
