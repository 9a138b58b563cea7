//! KCP, message mode, "turbo": no delay, a 10 ms clock, resend after two later acknowledgements, no congestion control.
//!
//! Without congestion control the window is the only restraint. It is told the bandwidth-delay product and half the queue
//! of the bottleneck, which is the best it can have and more than a deployment knows.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::rc::Rc;

use ackline_tests::endpoint::Micros;
use kcp::Kcp;

use crate::peer::{Datagram, Pair, Peer, Setting};

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

struct Output(Queue);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push_back(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct End {
    kcp: Kcp<Output>,
    output: Queue,
    /// Send and acknowledge at once, not at the next tick.
    flushes: bool,
    waiting_max: usize,
    next_tick: Micros,
}

/// KCP counts milliseconds.
const TICK: Micros = 1_000;

/// Everything waits for the 10 ms clock.
pub fn turbo(setting: &Setting) -> Pair {
    pair(setting, false)
}

/// Flushed after every message and datagram.
pub fn turbo_flush(setting: &Setting) -> Pair {
    pair(setting, true)
}

fn pair(setting: &Setting, flushes: bool) -> Pair {
    let room = setting.link.bdp() + setting.link.queue as usize / 2;
    let window = (room / setting.mtu.min(1100)).clamp(8, 4096) as u16;
    let end = || {
        let output = Queue::default();
        let mut kcp = Kcp::new(7, Output(output.clone()));
        kcp.set_mtu(setting.mtu).expect("not below 50");
        kcp.set_nodelay(true, 10, 2, true);
        kcp.set_wndsize(window, window);
        // Never give up: recovery is measured, not patience.
        kcp.set_maximum_resend_times(u32::MAX);
        kcp.update(0).expect("writing to memory");
        End { kcp, output, flushes, waiting_max: 2 * usize::from(window), next_tick: 0 }
    };
    [Box::new(end()), Box::new(end())]
}

impl End {
    fn tick(&mut self, now: Micros) {
        let millis = (now / TICK) as u32;
        // Fails only if writing does, and memory takes everything.
        let _ = self.kcp.update(millis);
        self.next_tick = (now / TICK + Micros::from(self.kcp.check(millis).max(1))) * TICK;
    }

    fn flush(&mut self, now: Micros) {
        if self.flushes {
            self.tick(now);
            let _ = self.kcp.flush();
        }
    }
}

impl Peer for End {
    fn send(&mut self, now: Micros, message: &[u8]) -> bool {
        if self.kcp.wait_snd() >= self.waiting_max || self.kcp.send(message).is_err() {
            return false;
        }
        self.flush(now);
        true
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) {
        // An error means a datagram that is not KCP's: dropped.
        let _ = self.kcp.input(datagram);
        self.flush(now);
    }

    fn handle_timeout(&mut self, now: Micros) {
        self.tick(now);
    }

    fn poll_transmit(&mut self, _: Micros) -> Option<Datagram> {
        self.output.borrow_mut().pop_front().map(Datagram::from)
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        let mut message = vec![0; self.kcp.peeksize().ok()?];
        self.kcp.recv(&mut message).ok()?;
        Some(message)
    }

    fn poll_timeout(&mut self, _: Micros) -> Option<Micros> {
        Some(self.next_tick)
    }

    fn failure(&self) -> Option<String> {
        self.kcp.is_dead_link().then(|| "dead link".into())
    }
}
