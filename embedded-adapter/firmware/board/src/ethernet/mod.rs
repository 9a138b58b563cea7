//! The board's Ethernet controller as a device of smoltcp and of embassy-net.
//!
//! Frames go through the controller's FIFO, one in and one out at a time; nothing is accessed by DMA.

#[cfg_attr(feature = "lm3s6965evb", path = "stellaris.rs")]
#[cfg_attr(feature = "mps2-an385", path = "lan9118.rs")]
mod device;

pub(crate) use device::LINE;

/// Largest frame in bytes, without its check sequence (IEEE 802.3).
const FRAME_MAX: usize = 1514;

/// The Ethernet controller. Large: keep it in a static.
pub struct Ethernet {
    address: [u8; 6],
    received: [u8; FRAME_MAX],
    transmit: [u8; FRAME_MAX],
}

/// A frame that has arrived.
pub struct RxToken<'a>(&'a mut [u8]);

/// Leave to send one frame.
pub struct TxToken<'a>(&'a mut [u8]);

impl Ethernet {
    /// The controller with the hardware address `address`, not started yet.
    pub const fn new(address: [u8; 6]) -> Self {
        Ethernet { address, received: [0; FRAME_MAX], transmit: [0; FRAME_MAX] }
    }

    /// Starts the controller and its interrupt.
    pub fn start(&mut self) {
        device::init(self.address);
        crate::interrupt::unmask(LINE);
    }

    fn take(&mut self) -> Option<(RxToken<'_>, TxToken<'_>)> {
        let len = device::receive(&mut self.received)?;
        Some((RxToken(&mut self.received[..len]), TxToken(&mut self.transmit)))
    }
}

impl TxToken<'_> {
    fn send<R>(self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let frame = &mut self.0[..len];
        let result = fill(frame);
        device::transmit(frame);
        result
    }
}

#[cfg(feature = "embassy-net")]
static DRIVER: embassy_sync::waitqueue::AtomicWaker = embassy_sync::waitqueue::AtomicWaker::new();

/// Keeps the interrupt away until the driver has emptied the FIFO, and wakes the driver.
pub(crate) fn on_interrupt() {
    device::enable_interrupt(false);
    #[cfg(feature = "embassy-net")]
    DRIVER.wake();
}

#[cfg(feature = "smoltcp")]
mod for_smoltcp {
    use smoltcp::phy::{self, DeviceCapabilities, Medium};
    use smoltcp::time::Instant;

    use super::{Ethernet, FRAME_MAX, RxToken, TxToken, device};

    impl phy::Device for Ethernet {
        type RxToken<'a> = RxToken<'a>;
        type TxToken<'a> = TxToken<'a>;

        fn receive(&mut self, _now: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
            if !device::has_frame() {
                // Level-triggered: it fires at once if a frame came in between, and ends the caller's sleep.
                device::enable_interrupt(true);
                return None;
            }
            self.take()
        }

        fn transmit(&mut self, _now: Instant) -> Option<TxToken<'_>> {
            Some(TxToken(&mut self.transmit))
        }

        fn capabilities(&self) -> DeviceCapabilities {
            let mut capabilities = DeviceCapabilities::default();
            capabilities.medium = Medium::Ethernet;
            capabilities.max_transmission_unit = FRAME_MAX;
            capabilities
        }
    }

    impl phy::RxToken for RxToken<'_> {
        fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
            read(self.0)
        }
    }

    impl phy::TxToken for TxToken<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
            self.send(len, fill)
        }
    }
}

#[cfg(feature = "embassy-net")]
mod for_embassy_net {
    use core::task::Context;

    use embassy_net_driver::{self as driver, Capabilities, Driver, HardwareAddress, LinkState};

    use super::{DRIVER, Ethernet, FRAME_MAX, RxToken, TxToken, device};

    impl Driver for Ethernet {
        type RxToken<'a> = RxToken<'a>;
        type TxToken<'a> = TxToken<'a>;

        fn receive(&mut self, cx: &mut Context<'_>) -> Option<(RxToken<'_>, TxToken<'_>)> {
            DRIVER.register(cx.waker());
            if !device::has_frame() {
                // Level-triggered: it fires at once if a frame came in between.
                device::enable_interrupt(true);
                return None;
            }
            self.take()
        }

        fn transmit(&mut self, _cx: &mut Context<'_>) -> Option<TxToken<'_>> {
            Some(TxToken(&mut self.transmit))
        }

        fn link_state(&mut self, _cx: &mut Context<'_>) -> LinkState {
            LinkState::Up
        }

        fn capabilities(&self) -> Capabilities {
            let mut capabilities = Capabilities::default();
            capabilities.max_transmission_unit = FRAME_MAX;
            capabilities
        }

        fn hardware_address(&self) -> HardwareAddress {
            HardwareAddress::Ethernet(self.address)
        }
    }

    impl driver::RxToken for RxToken<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
            read(self.0)
        }
    }

    impl driver::TxToken for TxToken<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
            self.send(len, fill)
        }
    }
}
