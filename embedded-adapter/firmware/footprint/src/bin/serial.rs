//! Point-to-point serial with the compact link: one ordered channel, four messages of 64 bytes each way, framing included. It
//! has no panic of its own, so that any that the linker finds is the core's.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::compact::Serial;
use footprint::line::{Line, application};
use footprint::{halt, wish};
use panic_halt as _;
use static_cell::ConstStaticCell;

static LINK: ConstStaticCell<Line<Serial<4, 64, 192>, 192>> = ConstStaticCell::new(Line::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    let Some(line) = LINK.try_take() else { halt() };
    line.link.start(wish().into(), 50_000);
    line.run(application)
}
