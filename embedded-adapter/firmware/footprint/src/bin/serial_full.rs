//! As `serial`, with the full link.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::FixedRate;
use ackline::storage::Inline;
use ackline::{Config, Link};
use footprint::line::{Line, application};
use footprint::{halt, wish};
use panic_halt as _;
use static_cell::ConstStaticCell;

type Node = Link<Inline<1, 4, 512, 8>, FixedRate>;
static LINK: ConstStaticCell<Line<Node, 192>> = ConstStaticCell::new(Line::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(line) = LINK.try_take() else { halt() };
    let mut config = Config::serial(115_200);
    config.datagram_max = 192;
    config.message_max = 64;
    line.link.start(&config, FixedRate::new(11_520), wish().into());
    line.run(application)
}
