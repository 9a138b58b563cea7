//! As `smoltcp_udp`, with the full link.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::NewReno;
use ackline::storage::Inline;
use ackline::{Config, Link};
use ackline_embedded::smoltcp_014::Driver;
use footprint::wish;
use panic_halt as _;
use static_cell::ConstStaticCell;

type Udp = Driver<Link<Inline<1, 4, 512, 8>, NewReno>, 512>;
static LINK: ConstStaticCell<Udp> = ConstStaticCell::new(Driver::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    let driver = LINK.take();
    let mut config = Config::udp();
    config.datagram_max = 512;
    driver.link().start(&config, NewReno::new(), wish().into());
    footprint::udp::run(driver)
}
