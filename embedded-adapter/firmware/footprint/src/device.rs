//! An Ethernet device made of the world's bytes.

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Largest frame in bytes, without its check sequence (IEEE 802.3).
const FRAME_MAX: usize = 1514;

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
        let result = fill(&mut self.0[..len]);
        self.0[..len].iter().copied().for_each(crate::transmit);
        result
    }
}
