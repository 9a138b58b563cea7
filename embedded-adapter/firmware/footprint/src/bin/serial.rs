//! Point-to-point serial, one ordered channel, four messages of 64 bytes each way, framing included. It has no panic of its
//! own, so that any that the linker finds is the core's.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::Channel;
use ackline::compact::Serial;
use ackline::framing::{Deframer, FrameCheck, FrameEncoder};
use footprint::{halt, now, receive, transmit, wish};
use panic_halt as _;
use static_cell::ConstStaticCell;

const DATAGRAM_MAX: usize = 192;

/// Everything that the program keeps.
struct Node {
    link: Serial<4, 64, DATAGRAM_MAX>,
    deframer: Deframer<DATAGRAM_MAX>,
    buffer: [u8; DATAGRAM_MAX],
    message: [u8; 64],
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static LINK: ConstStaticCell<Node> = ConstStaticCell::new(Node {
        link: Serial::new(),
        deframer: Deframer::new(FrameCheck::Crc32),
        buffer: [0; DATAGRAM_MAX],
        message: [0; 64],
    });
    let Some(Node { link, deframer, buffer, message }) = LINK.try_take() else { halt() };
    link.start(wish().into(), 50_000);
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
            let _ = link.send(now(), Channel(0), message);
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
