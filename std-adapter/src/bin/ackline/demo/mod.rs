//! `ackline demo`: files cross real UDP sockets through a path that loses, repeats, reorders and damages datagrams,
//! while the receiving process is killed and started again. Ends with the proof that nothing was lost.
//!
//! ```text
//!   this process                                        another process (the same program)
//!   Sending -> Connection -> UdpProxy  ~~ bad path ~~>  Endpoint -> Receiver -> directory
//!   Outcomes <- events                                  record of accepted messages
//! ```
//!
//! The proof has two halves. Every file in the receiver's directory has the hash of its source. And every message that
//! was reported settled here stands in the record that the receiver's application wrote, by its own hand, before it
//! settled the message.

mod child;
mod input;
pub mod receiver;
mod report;
mod sending;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ackline_std::impair::Profile;
use ackline_std::proxy::UdpProxy;
use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Demo;
use crate::hash::hash_file;
use crate::send::Source;
use crate::transfer::config;
use child::Child;
use report::Report;
use sending::Sending;

/// How often the progress is looked at.
const LOOK: Duration = Duration::from_millis(20);

pub fn run(args: &Demo) -> Result<()> {
    let sources = input::sources(&args.files)?;
    let dir = tempfile::tempdir().context("cannot make a directory for the receiver")?;
    let mut child = Child::start(dir.path(), SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))?;
    let profile = Profile {
        loss: args.loss,
        duplicate: args.duplicate,
        reorder: args.reorder,
        corrupt: args.corrupt,
        delay: args.delay,
        ..Profile::demo()
    };
    let local = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let proxy = UdpProxy::start(local, child.address(), profile.clone(), profile, args.seed)?;
    announce(args, &sources);

    let started = Instant::now();
    let connection = ackline_std::connect(proxy.local_addr(), &config(None))?;
    let sending = Arc::new(Sending::start(connection, sources)?);
    let bar = progress(&sending, args.json);
    let mut kills = 0;
    // Half-way between two kills the sender waits for the second, should this thread be late.
    let allowed = |kills: u32| (f64::from(kills) + 1.5) / f64::from(args.kills + 1);
    sending.allow(allowed(kills).min(1.0));
    while !sending.is_done()? {
        ensure!(started.elapsed() < args.timeout, "not done within {:?}", args.timeout);
        std::thread::sleep(LOOK);
        let share = sending.settled_share();
        bar.set_position((share * sending.total_len() as f64) as u64);
        if kills < args.kills && share > f64::from(kills + 1) / f64::from(args.kills + 1) {
            kills += 1;
            child = child.kill_and_restart(dir.path())?;
            sending.allow(allowed(kills).min(1.0));
            bar.println(format!("killed the receiver at {:.0} % and started it again", share * 100.0));
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let figures = sending.finish();
    let incarnations = child.stop()?;
    let report = Report::new(&figures, &incarnations, &proxy.stats(), kills, seconds);
    let mismatches = compare(&sending, dir.path());
    let record = receiver::read_record(dir.path())?;
    let unaccepted = figures.settled_numbers.iter().filter(|number| !record.contains(number)).count();
    report.print(args.json, &sending, &mismatches, unaccepted)?;
    ensure!(mismatches.is_empty(), "{} files differ: {}", mismatches.len(), mismatches.join(", "));
    ensure!(unaccepted == 0, "{unaccepted} messages settled that the receiver did not accept");
    ensure!(figures.not_settled == 0, "{} messages did not settle", figures.not_settled);
    if kills < args.kills {
        bail!("the receiver was killed {kills} times, not {}", args.kills);
    }
    Ok(())
}

fn announce(args: &Demo, sources: &[Source]) {
    if args.json {
        return;
    }
    let total: u64 = sources.iter().map(|source| source.len).sum();
    println!(
        "{} files, {total} bytes, over UDP with {:.0} % lost, {:.0} % repeated, {:.0} % reordered, {:.0} % damaged,",
        sources.len(),
        args.loss * 100.0,
        args.duplicate * 100.0,
        args.reorder * 100.0,
        args.corrupt * 100.0,
    );
    println!("{:?} one way, to a receiver that is killed {} time(s)", args.delay, args.kills);
}

fn progress(sending: &Sending, hidden: bool) -> ProgressBar {
    let bar = if hidden { ProgressBar::hidden() } else { ProgressBar::new(sending.total_len()) };
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} settled, {elapsed}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The names of files that are not in `dir` as they were sent.
fn compare(sending: &Sending, dir: &Path) -> Vec<String> {
    let differs = |source: &&Source| {
        hash_file(&dir.join(&source.name)).map_or(true, |found| found != (source.hash, source.len))
    };
    sending.sources().iter().filter(differs).map(|source| source.name.clone()).collect()
}
