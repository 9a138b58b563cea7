//! What `serial` and `everything` leave out of the core: a listener, the other controllers, the other frame check, and
//! frames that are written at once. Built to see that no panic is reachable, not to be weighed.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::congestion::{FixedWindow, NewReno};
use ackline::framing::{DeframerIn, FrameCheck, encode};
use ackline::listener::{Incoming, Listener};
use ackline::storage::Inline;
use ackline::{Channel, Config, Link};
use footprint::{halt, now, receive, transmit, wish};
use panic_halt as _;
use static_cell::ConstStaticCell;

type Shared = Link<Inline<2, 4, 1024, 8>, NewReno>;
type Pipe = Link<Inline<1, 4, 256, 8>, FixedWindow>;

#[cortex_m_rt::entry]
fn main() -> ! {
    static SHARED: ConstStaticCell<Shared> = ConstStaticCell::new(Shared::unstarted());
    static PIPE: ConstStaticCell<Pipe> = ConstStaticCell::new(Pipe::unstarted());
    let (Some(shared), Some(pipe)) = (SHARED.try_take(), PIPE.try_take()) else { halt() };
    let mut listener = Listener::new(3, [wish().into(), wish().into()]);
    let mut deframer = DeframerIn::over([0; 128], FrameCheck::Crc16);
    let (mut reply, mut line) = ([0; 96], [0; 160]);
    shared.start(&Config::udp(), NewReno::new(), wish().into());
    shared.set_unvalidated();
    pipe.start(&Config::serial(wish()), FixedWindow::new(wish()), wish().into());
    pipe.connect(now());
    loop {
        while let Some(byte) = receive() {
            let (_, Some(datagram)) = deframer.push(&[byte]) else { continue };
            pipe.handle_datagram(now(), datagram);
            let answer = match listener.incoming(now(), &[byte], datagram, &mut reply) {
                Incoming::Link(_) => listener.reset(now(), datagram, &mut reply),
                Incoming::Hello { is_validated: false, .. } => {
                    listener.retry(now(), &[byte], datagram, &mut reply)
                }
                Incoming::Hello { .. } => {
                    shared.handle_datagram(now(), datagram);
                    None
                }
                Incoming::Reply(len) => Some(len),
                _ => None,
            };
            reply.iter().take(answer.unwrap_or(0)).copied().for_each(transmit);
        }
        let message = line.get(..wish() as usize).unwrap_or(&[]);
        let _ = shared.send(now(), Channel(wish() as u8), message);
        let _ = pipe.send(now(), Channel(0), message);
        while let Some(delivery) = shared.recv(now()) {
            delivery.payload.iter().copied().for_each(transmit);
        }
        while let Some(delivery) = pipe.recv(now()) {
            delivery.payload.iter().copied().for_each(transmit);
        }
        while shared.poll_event().is_some() || pipe.poll_event().is_some() {}
        listener.on_ended(shared.peer_incarnation());
        shared.handle_timeout(now());
        pipe.handle_timeout(now());
        while let Some(len) =
            shared.poll_transmit(now(), &mut reply).or_else(|| pipe.poll_transmit(now(), &mut reply))
        {
            let datagram = reply.get(..len).unwrap_or(&[]);
            let written = encode(FrameCheck::Crc16, datagram, &mut line).unwrap_or(0);
            line.iter().take(written).copied().for_each(transmit);
        }
    }
}
