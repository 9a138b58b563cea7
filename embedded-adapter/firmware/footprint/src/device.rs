//! An Ethernet device made of the world's bytes.

use smoltcp::iface::{Config, Interface};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address};

/// Largest frame in bytes, without its check sequence (IEEE 802.3).
const FRAME_MAX: usize = 1514;

/// The other side.
pub const PEER: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

/// The time, as smoltcp has it.
pub fn smoltcp_now() -> Instant {
    Instant::from_micros(crate::now().as_micros() as i64)
}

/// An interface with an address and a route.
pub fn interface(world: &mut World) -> Interface {
    let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
    let mut interface = Interface::new(Config::new(hardware.into()), world, smoltcp_now());
    interface.update_ip_addrs(|addresses| {
        let _ = addresses.push(IpCidr::new(Ipv4Address::new(10, 0, 2, 15).into(), 24));
    });
    let _ = interface.routes_mut().add_default_ipv4_route(PEER);
    interface
}

/// Frames in and out.
pub struct World {
    received: [u8; FRAME_MAX],
    transmit: [u8; FRAME_MAX],
}

impl World {
    /// Nothing yet.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        World { received: [0; FRAME_MAX], transmit: [0; FRAME_MAX] }
    }
}

/// A frame that has arrived.
pub struct Received<'a>(&'a [u8]);

/// Room for a frame to send.
pub struct Transmit<'a>(&'a mut [u8]);

impl Device for World {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Transmit<'_>)> {
        let len = crate::wish() as usize;
        if len == 0 || len > FRAME_MAX {
            return None;
        }
        for byte in &mut self.received[..len] {
            *byte = crate::receive()?;
        }
        Some((Received(&self.received[..len]), Transmit(&mut self.transmit)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Transmit<'_>> {
        Some(Transmit(&mut self.transmit))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_MAX;
        capabilities
    }
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(self.0)
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let Some(frame) = self.0.get_mut(..len) else { crate::halt() };
        let result = fill(frame);
        frame.iter().copied().for_each(crate::transmit);
        result
    }
}
