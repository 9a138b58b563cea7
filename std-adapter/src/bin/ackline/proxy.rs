//! `ackline proxy`: runs a relay until it is interrupted.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ackline_std::impair::ImpairStats;
use ackline_std::proxy::{ProxyStats, StreamProxy, UdpProxy};
use ackline_std::stream::ByteStream;
use anyhow::{Context, Result};

use crate::args::{Proxy, ProxyRun, ProxyStream, ProxyUdp};

/// How often figures are printed.
const PERIOD: Duration = Duration::from_secs(1);

pub fn run(proxy: &Proxy) -> Result<()> {
    match proxy {
        Proxy::Udp(udp) => run_udp(udp),
        Proxy::Stream(stream) => run_stream(stream),
    }
}

fn run_udp(args: &ProxyUdp) -> Result<()> {
    let profile = args.impair.profile();
    let proxy = UdpProxy::start(args.listen, args.upstream, profile.clone(), profile, args.run.seed)
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    eprintln!("relaying from {} to {}", proxy.local_addr(), args.upstream);
    report(&args.run, || proxy.stats());
    Ok(())
}

fn run_stream(args: &ProxyStream) -> Result<()> {
    let open = |spec: &str| open(spec).with_context(|| format!("cannot open {spec}"));
    let (first, second) = (open(&args.first)?, open(&args.second)?);
    let proxy = StreamProxy::start(first, second, args.profile(), args.profile(), args.run.seed)?;
    eprintln!("relaying between {} and {}", args.first, args.second);
    report(&args.run, || proxy.stats());
    Ok(())
}

/// Prints figures until the time is over.
fn report(run: &ProxyRun, stats: impl Fn() -> ProxyStats) {
    let end = run.duration.map(|duration| Instant::now() + duration);
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        std::thread::sleep(left.unwrap_or(PERIOD).min(PERIOD));
        if run.json {
            println!("{}", serde_json::json!(stats()));
        }
        if left.is_some_and(|left| left <= PERIOD) {
            break;
        }
    }
    if !run.json {
        let stats = stats();
        println!("forward: {}", readable(&stats.forward));
        println!("back:    {}", readable(&stats.back));
    }
}

fn readable(stats: &ImpairStats) -> String {
    let ImpairStats { taken, given, lost, overflowed, duplicated, reordered, damaged, .. } = stats;
    format!(
        "{taken} taken, {given} given, {lost} lost, {overflowed} overflowed, {duplicated} repeated, \
         {reordered} reordered, {damaged} damaged"
    )
}

fn open(spec: &str) -> Result<ByteStream> {
    if let Some(address) = spec.strip_prefix("tcp:") {
        return Ok(ByteStream::tcp(TcpStream::connect(address)?)?);
    }
    if let Some(address) = spec.strip_prefix("tcp-listen:") {
        let listener = TcpListener::bind(address)?;
        eprintln!("waiting for a connection to {}", listener.local_addr()?);
        return Ok(ByteStream::tcp(listener.accept()?.0)?);
    }
    open_local(spec)
}

#[cfg(unix)]
fn open_local(spec: &str) -> Result<ByteStream> {
    use std::os::unix::net::{UnixListener, UnixStream};
    if let Some(path) = spec.strip_prefix("unix:") {
        return Ok(ByteStream::unix(UnixStream::connect(path)?)?);
    }
    if let Some(path) = spec.strip_prefix("unix-listen:") {
        let listener = UnixListener::bind(path)?;
        eprintln!("waiting for a connection to {path}");
        return Ok(ByteStream::unix(listener.accept()?.0)?);
    }
    #[cfg(target_os = "linux")]
    if let Some(link) = spec.strip_prefix("pty:") {
        let (stream, name) = ByteStream::pty()?;
        std::os::unix::fs::symlink(&name, link)?;
        eprintln!("{link} is {}", name.display());
        return Ok(stream);
    }
    Ok(ByteStream::terminal(std::path::Path::new(spec))?)
}

#[cfg(not(unix))]
fn open_local(spec: &str) -> Result<ByteStream> {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(spec)?;
    Ok(ByteStream::new(file.try_clone()?, file))
}
