//! The receiving process: started, killed, started again.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::receiver::Told;

/// How long the process may take to start.
const START_TIME: Duration = Duration::from_secs(10);

pub struct Child {
    process: process::Child,
    address: SocketAddr,
    /// Reads what the process tells, until it ends, and returns the last of it.
    reader: Option<JoinHandle<Told>>,
    /// What earlier incarnations told last.
    earlier: Vec<Told>,
}

impl Child {
    /// Starts the receiver on `address`; port 0 lets it choose one.
    pub fn start(dir: &Path, address: SocketAddr) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut process = Command::new(program)
            .arg("demo-receiver")
            .arg(address.to_string())
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the receiver")?;
        let out = process.stdout.take().context("the receiver has no output")?;
        let (sender, bound): (_, Receiver<SocketAddr>) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut last = Told::default();
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(told) = serde_json::from_str::<Told>(&line) {
                    if let Some(address) = told.listening {
                        let _ = sender.send(address);
                    }
                    last = told;
                }
            }
            last
        });
        let bound = bound.recv_timeout(START_TIME);
        let mut child = Child { process, address, reader: Some(reader), earlier: Vec::new() };
        match bound {
            Ok(address) => child.address = address,
            Err(_) => bail!("the receiver did not start"),
        }
        Ok(child)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the process as a power cut would (SIGKILL), and starts another one in its place.
    pub fn kill_and_restart(mut self, dir: &Path) -> Result<Self> {
        self.process.kill().context("cannot kill the receiver")?;
        self.process.wait()?;
        let mut next = Child::start(dir, self.address)?;
        next.earlier = std::mem::take(&mut self.earlier);
        next.earlier.push(self.last_words());
        Ok(next)
    }

    /// Ends the process in order. Returns what all incarnations told last.
    pub fn stop(mut self) -> Result<Vec<Told>> {
        // The end of its input tells it to end.
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        let mut told = std::mem::take(&mut self.earlier);
        told.push(self.last_words());
        if !status.success() {
            bail!("the receiver failed: {status}");
        }
        Ok(told)
    }

    fn last_words(&mut self) -> Told {
        self.reader.take().and_then(|reader| reader.join().ok()).unwrap_or_default()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
