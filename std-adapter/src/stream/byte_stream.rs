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
}

/// Whether a read or write that failed with `e` is worth another try.
pub(crate) fn is_temporary(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
