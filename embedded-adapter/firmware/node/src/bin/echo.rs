//! Sends every byte back: shows that a board boots, that its clock runs and that its UART works.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use embedded_io_async::{Read, Write};

#[embassy_executor::task]
async fn echo() {
    let (mut sender, mut receiver) = board::uart::open();
    defmt::info!("echo, seed {=u64:x}", board::entropy::seed());
    let mut buffer = [0; 128];
    loop {
        let Ok(len) = receiver.read(&mut buffer).await;
        let Ok(()) = sender.write_all(&buffer[..len]).await;
    }
}

#[board::entry]
fn main() -> ! {
    board::start(|spawner| spawner.spawn(echo().expect("one echo")))
}
