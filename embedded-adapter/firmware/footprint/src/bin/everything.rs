//! Every feature of the core, by a tailored endpoint with everything on: four channels of all modes, fragments, deadlines, explicit
//! settlement, priorities, both media, keep-alive, giving up, counters, framing, closing. It has no panic of its own, so that any
//! that the linker finds is the core's.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::time::Duration;

use ackline::framing::{Deframer, FrameCheck, FrameEncoder};
use ackline::tailored::{Endpoint, Media, Profile};
use ackline::{Channel, ChannelConfig, Instant, Mode, Stats};
use footprint::{halt, now, receive, transmit, wish};
use panic_halt as _;
use static_cell::ConstStaticCell;

const DATAGRAM_MAX: usize = 256;
type Node = Endpoint<Everything, 4, 4, 512, DATAGRAM_MAX>;

struct Everything;

impl Profile for Everything {
    const MEDIA: Media = Media::Both;
    const CHANNELS: &'static [ChannelConfig] = &[
        ChannelConfig::new(Mode::Ordered).priority(1).settle_explicitly(),
        ChannelConfig::new(Mode::Unordered),
        ChannelConfig::new(Mode::Latest).priority(2),
        ChannelConfig::new(Mode::BestEffort).priority(3),
    ];
    const FRAGMENTS: bool = true;
    const SERVES: bool = true;
    const KEEP_ALIVE: Option<Duration> = Some(Duration::from_secs(1));
    const GIVE_UP: Option<Duration> = Some(Duration::from_secs(30));
    type Deadline = Instant;
    type Counters = Stats;
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static LINK: ConstStaticCell<Node> = ConstStaticCell::new(Node::new());
    static DEFRAMER: ConstStaticCell<Deframer<DATAGRAM_MAX>> =
        ConstStaticCell::new(Deframer::new(FrameCheck::Crc32));
    static TRANSMIT: ConstStaticCell<[u8; DATAGRAM_MAX]> = ConstStaticCell::new([0; DATAGRAM_MAX]);
    let (Some(link), Some(deframer), Some(buffer)) =
        (LINK.try_take(), DEFRAMER.try_take(), TRANSMIT.try_take())
    else {
        halt()
    };
    link.set_framed(wish() == 1);
    link.start(wish().into(), 100_000);
    if wish() == 1 {
        link.set_unvalidated();
    } else {
        link.connect(now());
    }
    loop {
        while let Some(byte) = receive() {
            if let (_, Some(datagram)) = deframer.push(&[byte]) {
                link.handle_datagram(now(), datagram);
            }
        }
        let mut taken = None;
        while let Some(delivery) = link.recv(now()) {
            transmit(delivery.redelivered.into());
            delivery.payload.iter().copied().for_each(transmit);
            taken = Some(delivery.id);
        }
        if let Some(id) = taken {
            let _ = link.settle(now(), id);
        }
        while link.poll_event().is_some() {}
        let message = buffer.get(..wish() as usize).unwrap_or(&[]);
        match wish() {
            1 => drop(link.send(now(), Channel(wish() as u8), message)),
            2 => drop(link.send_before(now(), Channel(wish() as u8), message, now())),
            3 => link.close(now()),
            4 => link.abort(now()),
            5 => transmit(link.stats().probes as u8),
            _ => {}
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
