//! QUIC (quinn), encrypted as always, CUBIC, large windows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use quinn::{ClientConfig, Connection, Endpoint, ServerConfig, TransportConfig, VarInt};

use super::meter::{EXCHANGE_LEN, Stopwatch, on_tasks, runtime};

const WINDOW: u32 = 16 << 20;

async fn pair() -> anyhow::Result<(Endpoint, Connection, Endpoint, Connection)> {
    let identity = rcgen::generate_simple_self_signed(vec!["peer".into()])?;
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
    let certificate = identity.cert.der().clone();
    // An error says that an earlier measurement has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(16_384))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(u64::from(WINDOW));
    let transport = Arc::new(transport);
    let mut config = ServerConfig::with_single_cert(vec![certificate.clone()], key)?;
    config.transport_config(transport.clone());
    let any: SocketAddr = "127.0.0.1:0".parse()?;
    let server = Endpoint::server(config, any)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate)?;
    let mut config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    config.transport_config(transport);
    let client = Endpoint::client(any)?;
    let connecting = client.connect_with(config, server.local_addr()?, "peer")?;
    let (connection, accepted) = tokio::join!(connecting, async {
        server.accept().await.context("the endpoint is closed")?.await.context("the handshake failed")
    });
    Ok((client, connection?, server, accepted?))
}

/// One stream, messages with their lengths, written as they come and read through a buffer.
pub fn stream(len: usize, seconds: f64) -> anyhow::Result<f64> {
    on_tasks(seconds, async |meter| {
        let (client, sending, server, receiving) = pair().await?;
        let counting = meter.clone();
        tokio::spawn(async move {
            let _server = server;
            let stream = receiving.accept_uni().await?;
            let mut stream = tokio::io::BufReader::with_capacity(64 * 1024, stream);
            let mut message = vec![0; len + 4];
            while tokio::io::AsyncReadExt::read_exact(&mut stream, &mut message).await.is_ok() {
                counting.count(1);
            }
            anyhow::Ok(())
        });
        tokio::spawn(async move {
            let _client = client;
            // Collected in 16 KiB before the stream's lock is taken: many times faster for small messages.
            let mut stream = tokio::io::BufWriter::with_capacity(16 * 1024, sending.open_uni().await?);
            let message = [&(len as u32).to_le_bytes()[..], &vec![7; len]].concat();
            while meter.is_running() {
                tokio::io::AsyncWriteExt::write_all(&mut stream, &message).await?;
            }
            anyhow::Ok(())
        });
        Ok(())
    })
}

/// A stream per message.
pub fn streams(len: usize, seconds: f64) -> anyhow::Result<f64> {
    on_tasks(seconds, async |meter| {
        let (client, sending, server, receiving) = pair().await?;
        let counting = meter.clone();
        tokio::spawn(async move {
            let _server = server;
            while let Ok(mut stream) = receiving.accept_uni().await {
                if stream.read_to_end(65_536).await.is_ok() {
                    counting.count(1);
                }
            }
        });
        tokio::spawn(async move {
            let _client = client;
            let message = vec![7; len];
            while meter.is_running() {
                let mut stream = sending.open_uni().await?;
                stream.write_all(&message).await?;
                stream.finish()?;
            }
            anyhow::Ok(())
        });
        Ok(())
    })
}

/// A message there, a message back, on one bidirectional stream.
pub fn exchange() -> anyhow::Result<Vec<f64>> {
    let runtime = runtime()?;
    let handle = runtime.spawn(async {
        let (_client, connection, server, accepted) = pair().await?;
        tokio::spawn(async move {
            let _server = server;
            let (mut replies, mut requests) = accepted.accept_bi().await?;
            let mut message = [0; EXCHANGE_LEN];
            while requests.read_exact(&mut message).await.is_ok() {
                replies.write_all(&message).await?;
            }
            anyhow::Ok(())
        });
        let (mut requests, mut replies) = connection.open_bi().await?;
        let mut message = [7; EXCHANGE_LEN];
        let mut stopwatch = Stopwatch::default();
        while stopwatch.begin() {
            requests.write_all(&message).await?;
            replies.read_exact(&mut message).await?;
            stopwatch.end();
        }
        anyhow::Ok(stopwatch.sorted())
    });
    let times = runtime.block_on(handle).context("the task failed")?;
    runtime.shutdown_timeout(Duration::from_millis(500));
    times
}
