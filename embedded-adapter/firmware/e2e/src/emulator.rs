//! A board under QEMU.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Failure;

/// A running emulator; killed when dropped.
pub struct Emulator {
    process: Child,
    monitor: UnixStream,
    directory: PathBuf,
}

/// How long a socket of the emulator may take to appear.
const PATIENCE: Duration = Duration::from_secs(60);

impl Emulator {
    /// Starts `elf` on `board`, with its sockets and its log in `directory`. The board's UART is the socket `uart`.
    pub fn start(board: &str, elf: &str, directory: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(directory)?;
        for socket in ["uart", "monitor"] {
            let _ = fs::remove_file(directory.join(socket));
        }
        let path = |name: &str| directory.join(name).display().to_string();
        let mut command = match board {
            "riscv-virt" => {
                let mut command = Command::new("qemu-system-riscv32");
                command.args(["-M", "virt", "-bios", "none"]);
                command
            }
            _ => {
                let mut command = Command::new("qemu-system-arm");
                command.args(["-M", board]);
                command
            }
        };
        if matches!(board, "lm3s6965evb" | "mps2-an385") {
            command.args(["-nic", "user"]);
        }
        let process = command
            .args(["-nographic", "-semihosting-config", "enable=on,target=native", "-kernel", elf])
            .args(["-serial", &format!("unix:{},server=on,wait=off", path("uart"))])
            .args(["-monitor", &format!("unix:{},server=on,wait=off", path("monitor"))])
            .stdin(Stdio::null())
            .stdout(File::create(path("log.defmt"))?)
            .stderr(File::create(path("qemu.err"))?)
            .spawn()?;
        let mut emulator =
            Emulator { process, monitor: UnixStream::pair()?.0, directory: directory.to_path_buf() };
        emulator.monitor = connect(&directory.join("monitor"))?;
        emulator.monitor.set_nonblocking(true)?;
        Ok(emulator)
    }

    /// The board's UART.
    pub fn uart(&self) -> Result<UnixStream, Failure> {
        connect(&self.directory.join("uart"))
    }

    /// Pulls the board's reset line.
    pub fn reset(&mut self) -> Result<(), Failure> {
        self.monitor.write_all(b"system_reset\n")?;
        // What the monitor prints is not wanted, but it must not fill up.
        let _ = self.monitor.read(&mut [0; 4096]);
        Ok(())
    }

    /// What the board has logged.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log.defmt")
    }

    /// An error if the emulation has ended: the firmware panicked.
    pub fn check(&mut self) -> Result<(), Failure> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => {
                Err(format!("the emulator ended with {status}; see {}", self.directory.display()).into())
            }
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Connects to a socket that may not be there yet.
fn connect(path: &Path) -> Result<UnixStream, Failure> {
    let start = Instant::now();
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(stream),
            Err(error) if start.elapsed() > PATIENCE => {
                return Err(format!("{}: {error}", path.display()).into());
            }
            Err(_) => sleep(Duration::from_millis(20)),
        }
    }
}
