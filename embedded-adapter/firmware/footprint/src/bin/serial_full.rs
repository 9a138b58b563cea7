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
use static_cell::StaticCell;

const DATAGRAM_MAX: usize = 192;
type Node = Link<Inline<1, 4, 512, 8>, FixedRate>;

#[cortex_m_rt::entry]
fn main() -> ! {
    static LINK: StaticCell<Node> = StaticCell::new();
    static DEFRAMER: StaticCell<Deframer<DATAGRAM_MAX>> = StaticCell::new();
    static TRANSMIT: StaticCell<[u8; DATAGRAM_MAX]> = StaticCell::new();
    let mut config = Config::serial(115_200);
    config.datagram_max = DATAGRAM_MAX as u16;
    config.message_max = 64;
    let Some(link) = LINK.try_init_with(|| Node::new(&config, FixedRate::new(11_520), wish().into())) else {
        halt()
    };
    let Some(deframer) = DEFRAMER.try_init_with(|| Deframer::new(FrameCheck::Crc32)) else { halt() };
    let Some(buffer) = TRANSMIT.try_init_with(|| [0; DATAGRAM_MAX]) else { halt() };
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
