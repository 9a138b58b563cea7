//! What loopback carries, beside raw UDP in the same run: messages per second that the receiving application has settled, and
//! the time of a request with its reply.
//!
//! `cargo run --release --example throughput -- [payload bytes] [seconds] [datagram_max]`
//!
//! With `--features tokio` tasks are measured as well. `datagram_max` is 1,200 bytes unless given; `mtu` stands for what the
//! loopback interface carries. Ratios are steadier than rates where other programs run; processor time per message is
//! steadier still (both ends, Linux only, in steps of 10 ms).

use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ackline_std::{Channel, ChannelConfig, Config, Endpoint, Mode};
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

type Failure = Box<dyn std::error::Error>;

const ROUNDS: usize = 20_000;
/// Rounds of the comparison: the middle one of each is shown.
const TURNS: usize = 3;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let len: usize = arguments.next().map_or(Ok(64), |text| text.parse())?;
    let seconds: f64 = arguments.next().map_or(Ok(2.0), |text| text.parse())?;
    let datagram_max: u16 = match arguments.next().as_deref() {
        None => Config::udp().datagram_max,
        Some("mtu") => ackline_std::interface_datagram_max("127.0.0.1:9")?,
        Some(text) => text.parse()?,
    };
    let mut config = Config::udp().channel(0, ChannelConfig::new(Mode::Unordered));
    config.datagram_max = datagram_max;
    let each = seconds / TURNS as f64;
    let mut rates: Vec<(&str, Vec<Flow>)> = Vec::new();
    for _ in 0..TURNS {
        let turn = [
            ("raw UDP, segmentation offload", raw_offload(len, each)?),
            ("ackline, blocking", blocking(&config, len, each, false)?),
            ("ackline, blocking, in batches", blocking(&config, len, each, true)?),
            #[cfg(feature = "tokio")]
            ("ackline, tokio", tasks(&config, len, each)?),
        ];
        for (name, flow) in turn {
            match rates.iter_mut().find(|(known, _)| *known == name) {
                Some((_, flows)) => flows.push(flow),
                None => rates.push((name, vec![flow])),
            }
        }
    }
    println!("{len} bytes in datagrams of at most {datagram_max}");
    let mut yardstick = 0.0;
    for (name, flows) in &mut rates {
        flows.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let flow = &flows[flows.len() / 2];
        if yardstick == 0.0 {
            yardstick = flow.rate;
        }
        println!(
            "{name:32} {:9.0} messages/s {:6.2} Gbit/s  x {:4.2}  {:6.2} µs of processors each",
            flow.rate,
            flow.rate * len as f64 * 8e-9,
            flow.rate / yardstick,
            flow.processor * 1e6,
        );
    }
    let mut ratios = Vec::new();
    for _ in 0..TURNS {
        let raw = raw_ping_pong()?;
        let ours = ping_pong()?;
        println!("raw UDP ping-pong   p50 {:?}, p99 {:?}", raw[ROUNDS / 2], raw[ROUNDS * 99 / 100]);
        println!("request and reply   p50 {:?}, p99 {:?}", ours[ROUNDS / 2], ours[ROUNDS * 99 / 100]);
        let part = |at: usize| ours[at].as_secs_f64() / raw[at].as_secs_f64();
        ratios.push((part(ROUNDS / 2), part(ROUNDS * 99 / 100)));
    }
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("x {:.2} at p50, x {:.2} at p99", ratios[TURNS / 2].0, ratios[TURNS / 2].1);
    Ok(())
}

/// Messages per second, and processor seconds per message.
struct Flow {
    rate: f64,
    processor: f64,
}

/// Processor time of this process in seconds.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect::<Vec<_>>();
    let ticks = |field: usize| after_name.get(field).and_then(|t| t.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) / 100.0
}

/// Datagrams of `len` bytes, as many as possible in a system call: what the kernel carries without anything on top.
fn raw_offload(len: usize, seconds: f64) -> Result<Flow, Failure> {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let destination = b.local_addr()?;
    for socket in [&a, &b] {
        let options = socket2::SockRef::from(socket);
        let _ = options.set_recv_buffer_size(4 << 20);
        let _ = options.set_send_buffer_size(4 << 20);
    }
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (stopped, counted) = (stop.clone(), count.clone());
    let receiver = std::thread::spawn(move || -> std::io::Result<()> {
        let state = UdpSocketState::new(UdpSockRef::from(&b))?;
        b.set_nonblocking(false)?;
        b.set_read_timeout(Some(Duration::from_millis(10)))?;
        let mut buffers = vec![0; 16 * 65_536];
        let mut metas = [RecvMeta::default(); 16];
        while !stopped.load(Ordering::Relaxed) {
            let mut slices: Vec<_> = buffers.chunks_mut(65_536).map(IoSliceMut::new).collect();
            // One buffer at a time: a blocking call waits until all that it was given are filled.
            let Ok(filled) = state.recv(UdpSockRef::from(&b), &mut slices[..1], &mut metas) else { continue };
            for meta in &metas[..filled] {
                counted.fetch_add((meta.len / meta.stride.max(1)) as u64, Ordering::Relaxed);
            }
        }
        Ok(())
    });
    let state = UdpSocketState::new(UdpSockRef::from(&a))?;
    a.set_nonblocking(false)?;
    let segments = state.max_gso_segments().min(65_000 / len.max(1)).max(1);
    let contents = vec![0x55; segments * len];
    let transmit =
        Transmit { destination, ecn: None, contents: &contents, segment_size: Some(len), src_ip: None };
    let (started, processor) = (Instant::now(), processor_time());
    while started.elapsed().as_secs_f64() < seconds {
        state.try_send(UdpSockRef::from(&a), &transmit)?;
    }
    let arrived = count.load(Ordering::Relaxed) as f64;
    let flow = Flow {
        rate: arrived / started.elapsed().as_secs_f64(),
        processor: (processor_time() - processor) / arrived.max(1.0),
    };
    stop.store(true, Ordering::Relaxed);
    receiver.join().map_err(|_| "the receiver failed")??;
    Ok(flow)
}

/// Reliable messages from one thread to another, one by one or `in_batches`.
fn blocking(config: &Config, len: usize, seconds: f64, in_batches: bool) -> Result<Flow, Failure> {
    let server = Endpoint::bind("127.0.0.1:0", config)?;
    let client = ackline_std::connect(server.local_addr(), config)?;
    client.wait_connected(Duration::from_secs(5))?;
    let accepted = server.accept()?;
    let receiver = std::thread::spawn(move || {
        if in_batches {
            let mut messages = ackline_std::Messages::new();
            while accepted.recv_many(&mut messages).is_ok() {
                assert!(messages.iter().all(|message| message.payload.len() == len));
            }
        } else {
            let mut payload = Vec::new();
            while accepted.recv_into(&mut payload).is_ok() {
                assert_eq!(payload.len(), len);
            }
        }
        accepted.stats()
    });
    let payload = vec![0x55; len];
    let payloads = vec![&payload[..]; 64];
    let (started, processor) = (Instant::now(), processor_time());
    let mut count = 0_u64;
    while !count.is_multiple_of(64) || started.elapsed().as_secs_f64() < seconds {
        if in_batches {
            client.send_many(Channel(0), &payloads)?;
            count += 64;
        } else {
            client.send(Channel(0), &payload)?;
            count += 1;
        }
    }
    let outcomes = client.drain(Duration::from_secs(10));
    assert_eq!(outcomes.settled, count);
    let flow = Flow {
        rate: count as f64 / started.elapsed().as_secs_f64(),
        processor: (processor_time() - processor) / count as f64,
    };
    let stats = client.stats();
    client.close(Duration::from_secs(1));
    let theirs = receiver.join().map_err(|_| "the receiver failed")?;
    if std::env::var_os("VERBOSE").is_some() {
        println!("{stats:?}\n{theirs:?}");
    }
    Ok(flow)
}

/// The same from one task to another.
#[cfg(feature = "tokio")]
fn tasks(config: &Config, len: usize, seconds: f64) -> Result<Flow, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let server = ackline_std::tokio::Endpoint::bind("127.0.0.1:0", config)?;
        let client = ackline_std::tokio::connect(server.local_addr(), config)?;
        client.wait_connected(Duration::from_secs(5)).await?;
        let accepted = server.accept().await;
        let receiver = tokio::spawn(async move {
            let mut payload = Vec::new();
            while accepted.recv_into(&mut payload).await.is_ok() {
                assert_eq!(payload.len(), len);
            }
        });
        let sender = tokio::spawn(async move {
            let payload = vec![0x55; len];
            let (started, processor) = (Instant::now(), processor_time());
            let mut count = 0_u64;
            while !count.is_multiple_of(64) || started.elapsed().as_secs_f64() < seconds {
                client.send(Channel(0), &payload).await?;
                count += 1;
            }
            let outcomes = client.drain(Duration::from_secs(10)).await;
            assert_eq!(outcomes.settled, count);
            let flow = Flow {
                rate: count as f64 / started.elapsed().as_secs_f64(),
                processor: (processor_time() - processor) / count as f64,
            };
            client.close(Duration::from_secs(1)).await;
            Ok::<_, ackline_std::SendError>(flow)
        });
        let flow = sender.await??;
        receiver.await?;
        Ok(flow)
    })
}

fn raw_ping_pong() -> std::io::Result<Vec<Duration>> {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    a.connect(b.local_addr()?)?;
    b.connect(a.local_addr()?)?;
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok(len @ 1..) = b.recv(&mut buffer) {
            let _ = b.send(&buffer[..len]);
        }
    });
    let mut times = Vec::with_capacity(ROUNDS);
    let mut buffer = [0; 64];
    for _ in 0..ROUNDS {
        let started = Instant::now();
        a.send(&[0x55; 32])?;
        a.recv(&mut buffer)?;
        times.push(started.elapsed());
    }
    a.send(&[])?;
    let _ = echo.join();
    times.sort_unstable();
    Ok(times)
}

fn ping_pong() -> Result<Vec<Duration>, Failure> {
    let server = Endpoint::bind("127.0.0.1:0", &Config::udp())?;
    let client = ackline_std::connect(server.local_addr(), &Config::udp())?;
    client.wait_connected(Duration::from_secs(5))?;
    let accepted = server.accept()?;
    let echo = std::thread::spawn(move || {
        let mut payload = Vec::new();
        while let Ok(received) = accepted.recv_into(&mut payload) {
            let _ = accepted.send(received.id.channel, &payload);
        }
    });
    let mut times = Vec::with_capacity(ROUNDS);
    let mut payload = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        client.send(Channel(0), &[0x55; 32])?;
        client.recv_into(&mut payload)?;
        times.push(started.elapsed());
    }
    client.close(Duration::from_secs(1));
    let _ = echo.join();
    times.sort_unstable();
    Ok(times)
}
