use std::io;
use std::time::Duration;

use super::ByteStream;

/// How long a read of a port blocks before it looks whether the connection still exists.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// Opens the serial port `path` (`/dev/ttyUSB0`, `COM3`) at `baud` bit/s, 8 data bits, no parity, 1 stop bit, no flow
/// control, for [`connect`](super::connect) with [`Config::serial`](ackline::Config::serial).
///
/// # Errors
///
/// There is no such port, it is in use, or it does not do that rate.
pub fn open_port(path: &str, baud: u32) -> io::Result<ByteStream> {
    let port = serialport::new(path, baud).timeout(READ_TIMEOUT).open()?;
    Ok(ByteStream::new(port.try_clone()?, port))
}
