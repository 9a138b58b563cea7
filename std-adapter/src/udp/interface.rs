//! What a network interface carries.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

use super::endpoint::{any_towards, resolve};

/// Headers of a datagram: IPv4 without options or IPv6 without extensions, and UDP.
const HEADERS_V4: u32 = 20 + 8;
const HEADERS_V6: u32 = 40 + 8;
/// The longest datagram: the length field of IPv4 counts the headers.
const DATAGRAM_MAX: u32 = 65_535 - HEADERS_V4;

/// The longest datagram that the interface towards `remote` carries without fragmenting it: 65,507 bytes on the loopback
/// interface of Linux, 1,472 on Ethernet. A value for [`Config::datagram_max`](ackline::Config::datagram_max) where every
/// hop is known to carry what the first one does: within one machine, or on one switch. Elsewhere longer datagrams than
/// the 1,200 bytes of [`Config::udp`](ackline::Config::udp) may vanish on the way, and with them the connection.
///
/// Both sides must be configured: the smaller value is used.
///
/// # Errors
///
/// `remote` is no address or has no route. [`io::ErrorKind::Unsupported`] on systems that do not tell; there only the
/// configuration can know.
pub fn interface_datagram_max(remote: impl ToSocketAddrs) -> io::Result<u16> {
    let remote = resolve(remote)?;
    let socket = UdpSocket::bind(any_towards(remote))?;
    socket.connect(remote)?;
    let (mtu, headers) = (mtu(&socket, remote)?, if remote.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 });
    Ok(mtu.saturating_sub(headers).min(DATAGRAM_MAX) as u16)
}

#[cfg(target_os = "linux")]
fn mtu(socket: &UdpSocket, remote: SocketAddr) -> io::Result<u32> {
    let mtu = if remote.is_ipv4() {
        rustix::net::sockopt::ip_mtu(socket)?
    } else {
        rustix::net::sockopt::ipv6_mtu(socket)?
    };
    Ok(mtu)
}

#[cfg(not(target_os = "linux"))]
fn mtu(_: &UdpSocket, _: SocketAddr) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn loopback_carries_the_longest_datagrams() {
        assert_eq!(interface_datagram_max("127.0.0.1:9").unwrap(), 65_507);
    }
}
