//! Every feature of the core, by the full link: four channels of all modes, fragments, deadlines, explicit settlement, congestion control,
//! framing, closing. It has no panic of its own, so that any that the linker finds is the core's.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::PathModel;
use ackline::storage::Inline;
use ackline::{Channel, ChannelConfig, Config, Link, Mode};
use footprint::line::Line;
use footprint::{halt, now, transmit, wish};
use panic_halt as _;
use static_cell::ConstStaticCell;

const DATAGRAM_MAX: usize = 256;
type Node = Link<Inline<4, 8, 2048, 16>, PathModel>;
static LINK: ConstStaticCell<Line<Node, DATAGRAM_MAX>> = ConstStaticCell::new(Line::new());

fn config() -> Config {
    let mut config = Config::udp()
        .channel(0, ChannelConfig::new(Mode::Ordered).priority(1).settle_explicitly())
        .channel(1, ChannelConfig::new(Mode::Unordered))
        .channel(2, ChannelConfig::new(Mode::Latest).priority(2))
        .channel(3, ChannelConfig::new(Mode::BestEffort).priority(3));
    config.datagram_max = DATAGRAM_MAX as u16;
    config.keep_alive = Some(core::time::Duration::from_secs(1));
    config.give_up = Some(core::time::Duration::from_secs(30));
    config
}

fn application(link: &mut Node, buffer: &[u8]) {
    let mut taken = None;
    while let Some(delivery) = link.recv(now()) {
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
}

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(line) = LINK.try_take() else { halt() };
    line.link.start(&config(), PathModel::default(), wish().into());
    line.run(application)
}
