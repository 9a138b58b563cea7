//! Point-to-point serial, one ordered channel, four messages of 64 bytes each way, framing included. It has no panic of its
//! own, so that
//! any that the linker finds is the core's.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::FixedRate;
use ackline::framing::{Deframer, FrameCheck, FrameEncoder};
use ackline::storage::Inline;
use ackline::{Channel, Config, Link};
use footprint::{halt, now, receive, transmit, wish};
use panic_halt as _;
use static_cell::ConstStaticCell;

const DATAGRAM_MAX: usize = 192;
type Node = Link<Inline<1, 4, 512, 8>, FixedRate>;

#[cortex_m_rt::entry]
fn main() -> ! {
    static LINK: ConstStaticCell<Node> = ConstStaticCell::new(Node::unstarted());
    static DEFRAMER: ConstStaticCell<Deframer<DATAGRAM_MAX>> =
        ConstStaticCell::new(Deframer::new(FrameCheck::Crc32));
    static TRANSMIT: ConstStaticCell<[u8; DATAGRAM_MAX]> = ConstStaticCell::new([0; DATAGRAM_MAX]);
    let mut config = Config::serial(115_200);
    config.datagram_max = DATAGRAM_MAX as u16;
    config.message_max = 64;
    let (Some(link), Some(deframer), Some(buffer)) = (LINK.try_take(), DEFRAMER.try_take(), TRANSMIT.try_take()) else {
        halt()
    };
    link.start(&config, FixedRate::new(11_520), wish().into());
    link.connect(now());
    loop {
        while let Some(byte) = receive() {
            if let (_, Some(datagram)) = deframer.push(&[byte]) {
                link.handle_datagram(now(), datagram);
            }
        }
        while let Some(delivery) = link.recv(now()) {
            delivery.payload.iter().copied().for_each(transmit);
        }
        while link.poll_event().is_some() {}
        if wish() == 1 {
            let _ = link.send(now(), Channel(0), &[wish() as u8; 64]);
        }
        if link.poll_timeout().is_some_and(|deadline| deadline <= now()) {
            link.handle_timeout(now());
        }
        while let Some(len) = link.poll_transmit(now(), buffer) {
            let datagram = buffer.get(..len).unwrap_or(&[]);
            let mut encoder = FrameEncoder::new(FrameCheck::Crc32, datagram);
            while let Some(byte) = encoder.next_byte(datagram) {
                transmit(byte);
            }
        }
    }
}
