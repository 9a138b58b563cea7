//! ENet (rusty_enet): its hosts are serviced in a loop on a thread each, which is how it is fastest.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PeerID};

use super::meter::{EXCHANGE_LEN, Stopwatch, on_threads};

/// Messages that are sent and not received: ENet itself knows no limit.
const OUTSTANDING_MAX: u64 = 4_096;
/// Messages between two services.
const BATCH: usize = 32;
/// Bytes of each buffer of a socket: what the others have.
const BUFFER: usize = 4 << 20;
/// No exchange takes so long.
const PATIENCE: Duration = Duration::from_secs(5);

fn host() -> anyhow::Result<(Host<UdpSocket>, SocketAddr)> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?;
    // The C library asks for 256 KiB, rusty_enet for nothing.
    socket2::SockRef::from(&socket).set_recv_buffer_size(BUFFER)?;
    socket2::SockRef::from(&socket).set_send_buffer_size(BUFFER)?;
    let settings = HostSettings { peer_limit: 1, channel_limit: 1, ..HostSettings::default() };
    Ok((Host::new(socket, settings).ok().context("no ENet host")?, address))
}

/// Everything that happened to `host`: a new peer and the number of messages.
fn service(host: &mut Host<UdpSocket>, mut on_message: impl FnMut(&[u8])) -> Option<PeerID> {
    let mut connected = None;
    while let Ok(Some(event)) = host.service() {
        match event.no_ref() {
            EventNoRef::Connect { peer, .. } => connected = Some(peer),
            EventNoRef::Receive { packet, .. } => on_message(packet.data()),
            EventNoRef::Disconnect { .. } => {}
        }
    }
    connected
}

/// As fast as it goes.
pub fn stream(len: usize, seconds: f64) -> anyhow::Result<f64> {
    let (mut receiver, address) = host()?;
    let (mut sender, _) = host()?;
    sender.connect(address, 1, 0).ok().context("no connection")?;
    on_threads(
        seconds,
        move |meter| {
            let packet = Packet::reliable(vec![7; len].as_slice());
            let (mut peer, mut sent) = (None, 0);
            while meter.is_running() {
                peer = service(&mut sender, |_| ()).or(peer);
                let Some(peer) = peer else { continue };
                for _ in 0..BATCH {
                    if sent < meter.received() + OUTSTANDING_MAX
                        && sender.peer_mut(peer).send(0, &packet).is_ok()
                    {
                        sent += 1;
                    }
                }
            }
        },
        move |meter| {
            while meter.is_running() {
                service(&mut receiver, |_| meter.count(1));
            }
        },
    )
}

/// A message there, a message back.
pub fn exchange() -> anyhow::Result<Vec<f64>> {
    let (mut server, address) = host()?;
    let (mut client, _) = host()?;
    client.connect(address, 1, 0).ok().context("no connection")?;
    let stop = Arc::new(AtomicBool::new(false));
    let is_over = stop.clone();
    let echo = std::thread::spawn(move || {
        let mut peer = None;
        while !is_over.load(Relaxed) {
            let mut messages = Vec::new();
            peer = service(&mut server, |message| messages.push(message.to_vec())).or(peer);
            for message in messages {
                if let Some(peer) = peer {
                    let _ = server.peer_mut(peer).send(0, &Packet::reliable(message.as_slice()));
                    server.flush();
                }
            }
        }
    });
    let started = Instant::now();
    let mut peer = None;
    while peer.is_none() && started.elapsed() < PATIENCE {
        peer = service(&mut client, |_| ());
    }
    let mut stopwatch = Stopwatch::default();
    while stopwatch.begin() {
        let peer = peer.context("no connection")?;
        let packet = Packet::reliable([7; EXCHANGE_LEN].as_slice());
        ensure!(client.peer_mut(peer).send(0, &packet).is_ok(), "not sent");
        client.flush();
        let started = Instant::now();
        let mut has_reply = false;
        while !has_reply {
            ensure!(started.elapsed() < PATIENCE, "no reply");
            service(&mut client, |_| has_reply = true);
        }
        stopwatch.end();
    }
    stop.store(true, Relaxed);
    let _ = echo.join();
    Ok(stopwatch.sorted())
}
