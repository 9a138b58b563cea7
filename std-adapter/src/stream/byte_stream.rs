use std::fmt;
use std::io::{self, Read, Write};

/// Both halves of a byte stream: a TCP or Unix socket with its clone, a serial port with its clone, a file opened twice.
pub struct ByteStream {
    /// What arrives. A read that times out is tried again; one that returns 0 means that the stream has ended.
    pub reader: Box<dyn Read + Send>,
    /// Where to write.
    pub writer: Box<dyn Write + Send>,
    /// Makes a blocked read return, if the stream has a way: called when its user is done with it.
    pub shutdown: Option<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").finish_non_exhaustive()
    }
}

impl ByteStream {
    /// From two halves. A blocked read is only given up when it returns: let it time out now and then.
    pub fn new(reader: impl Read + Send + 'static, writer: impl Write + Send + 'static) -> Self {
        ByteStream { reader: Box::new(reader), writer: Box::new(writer), shutdown: None }
    }

    /// From a TCP connection. Small pieces leave at once (no Nagle).
    ///
    /// # Errors
    ///
    /// The system cannot duplicate the handle.
    pub fn tcp(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let ender = stream.try_clone()?;
        let mut both = ByteStream::new(stream.try_clone()?, stream);
        both.shutdown = Some(Box::new(move || {
            let _ = ender.shutdown(std::net::Shutdown::Both);
        }));
        Ok(both)
    }

    /// From a Unix socket.
    ///
    /// # Errors
    ///
    /// The system cannot duplicate the handle.
    #[cfg(unix)]
    pub fn unix(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        let ender = stream.try_clone()?;
        let mut both = ByteStream::new(stream.try_clone()?, stream);
        both.shutdown = Some(Box::new(move || {
            let _ = ender.shutdown(std::net::Shutdown::Both);
        }));
        Ok(both)
    }

    /// From a terminal device (a serial port, or the far end of an emulator's), made raw: every byte passes as it is.
    /// Bit rate and the like stay as they are set.
    ///
    /// # Errors
    ///
    /// There is no such device, or it cannot be opened for both directions.
    #[cfg(unix)]
    pub fn terminal(path: &std::path::Path) -> io::Result<Self> {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(path)?;
        make_raw(&file)?;
        Ok(ByteStream::new(file.try_clone()?, file))
    }

    /// A new pseudo terminal: this end of it, and the path under which others open the other end.
    ///
    /// # Errors
    ///
    /// The system has no more of them.
    #[cfg(target_os = "linux")]
    pub fn pty() -> io::Result<(Self, std::path::PathBuf)> {
        use std::os::unix::ffi::OsStringExt;
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let near = std::fs::File::from(rustix::pty::openpt(flags)?);
        rustix::pty::unlockpt(&near)?;
        let name = rustix::pty::ptsname(&near, Vec::new())?.into_bytes();
        let path = std::path::PathBuf::from(std::ffi::OsString::from_vec(name));
        let far = std::fs::OpenOptions::new().read(true).write(true).open(&path)?;
        make_raw(&far)?;
        let reader = PtyReader { near: near.try_clone()?, _far: far };
        Ok((ByteStream::new(reader, near), path))
    }
}

/// Reads the near end, and holds the far end open: without, reads fail while nobody else has it open.
#[cfg(target_os = "linux")]
struct PtyReader {
    near: std::fs::File,
    _far: std::fs::File,
}

#[cfg(target_os = "linux")]
impl Read for PtyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.near.read(buffer)
    }
}

#[cfg(unix)]
fn make_raw(terminal: &std::fs::File) -> io::Result<()> {
    if let Ok(mut attributes) = rustix::termios::tcgetattr(terminal) {
        attributes.make_raw();
        rustix::termios::tcsetattr(terminal, rustix::termios::OptionalActions::Now, &attributes)?;
    }
    Ok(())
}

/// Whether a read or write that failed with `e` is worth another try.
pub(crate) fn is_temporary(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
