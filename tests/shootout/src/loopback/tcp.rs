//! The system's TCP: messages with four bytes of length before each.

use std::io::{BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::meter::{EXCHANGE_LEN, Stopwatch, on_threads};

const BUFFER: usize = 64 * 1024;

fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let sender = TcpStream::connect(listener.local_addr()?)?;
    let (receiver, _) = listener.accept()?;
    sender.set_nodelay(true)?;
    receiver.set_nodelay(true)?;
    Ok((sender, receiver))
}

/// A system call for every message.
pub fn unbuffered(len: usize, seconds: f64) -> anyhow::Result<f64> {
    stream(len, seconds, 0)
}

/// A system call for every 64 KiB.
pub fn buffered(len: usize, seconds: f64) -> anyhow::Result<f64> {
    stream(len, seconds, BUFFER)
}

fn stream(len: usize, seconds: f64, buffer: usize) -> anyhow::Result<f64> {
    let (sender, receiver) = pair()?;
    on_threads(
        seconds,
        move |meter| {
            let message = [&(len as u32).to_le_bytes()[..], &vec![7; len]].concat();
            let mut sender = BufWriter::with_capacity(buffer, sender);
            while meter.is_running() && sender.write_all(&message).is_ok() {}
        },
        move |meter| {
            let mut receiver = BufReader::with_capacity(BUFFER, receiver);
            let (mut prefix, mut message) = ([0; 4], Vec::new());
            while meter.is_running() && receiver.read_exact(&mut prefix).is_ok() {
                message.resize(u32::from_le_bytes(prefix) as usize, 0);
                if receiver.read_exact(&mut message).is_ok() {
                    meter.count(1);
                }
            }
        },
    )
}

/// A message there, a message back.
pub fn exchange() -> anyhow::Result<Vec<f64>> {
    let (mut client, mut server) = pair()?;
    let echo = std::thread::spawn(move || {
        let mut buffer = [0; EXCHANGE_LEN + 4];
        while server.read_exact(&mut buffer).and_then(|()| server.write_all(&buffer)).is_ok() {}
    });
    let mut buffer = [7; EXCHANGE_LEN + 4];
    let mut stopwatch = Stopwatch::default();
    while stopwatch.begin() {
        client.write_all(&buffer)?;
        client.read_exact(&mut buffer)?;
        stopwatch.end();
    }
    drop(client);
    let _ = echo.join();
    Ok(stopwatch.sorted())
}
