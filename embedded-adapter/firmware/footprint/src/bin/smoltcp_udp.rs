//! A UDP image: smoltcp over Ethernet, and one compact link on its socket: four messages of 64 bytes each way.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::compact::Datagrams;
use ackline_embedded::smoltcp_014::Driver;
use footprint::wish;
use panic_halt as _;
use static_cell::ConstStaticCell;

static LINK: ConstStaticCell<Driver<Datagrams<4, 64, 512>, 512>> = ConstStaticCell::new(Driver::new());

#[cortex_m_rt::entry]
fn main() -> ! {
    let driver = LINK.take();
    driver.link().start(wish().into(), 100_000);
    footprint::udp::run(driver)
}
