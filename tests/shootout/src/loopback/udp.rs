//! Bare UDP: what the system allows. Nothing is acknowledged, what the receiver is too slow for is lost.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::UdpSocket;
use std::time::Duration;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::meter::{EXCHANGE_LEN, Stopwatch, on_threads};

const BUFFER: usize = 4 << 20;
/// How long an end waits before it looks whether the measurement is over.
const PATIENCE: Duration = Duration::from_millis(100);

fn pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let (receiver, sender) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    sender.connect(receiver.local_addr()?)?;
    receiver.connect(sender.local_addr()?)?;
    for socket in [&receiver, &sender] {
        // More than the system allows is cut to what it allows.
        socket2::SockRef::from(socket).set_recv_buffer_size(BUFFER)?;
        socket2::SockRef::from(socket).set_send_buffer_size(BUFFER)?;
        socket.set_read_timeout(Some(PATIENCE))?;
    }
    Ok((sender, receiver))
}

/// `send` and `recv`.
pub fn single(len: usize, seconds: f64) -> anyhow::Result<f64> {
    let (sender, receiver) = pair()?;
    on_threads(
        seconds,
        move |meter| {
            let message = vec![7; len];
            while meter.is_running() {
                let _ = sender.send(&message);
            }
        },
        move |meter| {
            let mut buffer = [0; 2048];
            while meter.is_running() {
                if receiver.recv(&mut buffer).is_ok() {
                    meter.count(1);
                }
            }
        },
    )
}

fn wait(socket: &UdpSocket, flags: PollFlags) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: PATIENCE.as_nanos() as _ };
    let _ = poll(&mut [PollFd::new(socket, flags)], Some(&timeout));
}

/// Up to 64 datagrams per call, cut and joined by the system.
pub fn offloaded(len: usize, seconds: f64) -> anyhow::Result<f64> {
    let (sender, receiver) = pair()?;
    let destination = receiver.local_addr()?;
    let sending = UdpSocketState::new((&sender).into())?;
    let receiving = UdpSocketState::new((&receiver).into())?;
    on_threads(
        seconds,
        move |meter| {
            let count = sending.max_gso_segments().min(65_000 / len).max(1);
            let contents = vec![7; len * count];
            let transmit = Transmit {
                destination,
                ecn: None,
                contents: &contents,
                segment_size: Some(len),
                src_ip: None,
            };
            while meter.is_running() {
                let sent = sending.try_send((&sender).into(), &transmit);
                if sent.is_err_and(|e| e.kind() == ErrorKind::WouldBlock) {
                    wait(&sender, PollFlags::OUT);
                }
            }
        },
        move |meter| {
            let mut buffers = vec![vec![0; 65_536]; 8];
            let mut about = [RecvMeta::default(); 8];
            while meter.is_running() {
                let mut slices: Vec<IoSliceMut> = buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
                match receiving.recv((&receiver).into(), &mut slices, &mut about) {
                    Ok(count) => {
                        let datagrams = about[..count].iter().map(|m| m.len.div_ceil(m.stride.max(1)) as u64);
                        meter.count(datagrams.sum());
                    }
                    Err(_) => wait(&receiver, PollFlags::IN),
                }
            }
        },
    )
}

/// A datagram there, a datagram back.
pub fn exchange() -> anyhow::Result<Vec<f64>> {
    let (client, server) = pair()?;
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok(len @ 1..) = server.recv(&mut buffer) {
            let _ = server.send(&buffer[..len]);
        }
    });
    let mut buffer = [0; 2048];
    let mut stopwatch = Stopwatch::default();
    while stopwatch.begin() {
        client.send(&[7; EXCHANGE_LEN])?;
        client.recv(&mut buffer)?;
        stopwatch.end();
    }
    client.send(&[])?;
    let _ = echo.join();
    Ok(stopwatch.sorted())
}
