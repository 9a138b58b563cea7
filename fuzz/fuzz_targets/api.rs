//! Two links and any sequence of calls, wrong ones among them: clocks that step back, buffers that are too small, handles of
//! the other side, datagrams that come back to their sender, calls after the end.
#![no_main]

use std::time::Duration;

use ackline::congestion::Controller;
use ackline::storage::Storage;
use ackline::{Instant, LinkId};
use ackline_fuzz::seat::{Build, Seat};
use ackline_fuzz::watch::Watch;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Call {
    Connect,
    Send { channel: u8, len: u32 },
    SendBefore { channel: u8, len: u16, within: u32 },
    Recv { count: u8 },
    Settle(u8),
    SettleOther(u8),
    Events,
    Timeout { at: u32 },
    Pass(u16),
    Transmit { room: u16 },
    Deliver { which: u8, back: bool, keep: bool },
    DeliverAll,
    ReceiveBuffer(u32),
    Limit,
    RedrawId,
    SetIds([u8; 2]),
    Ask,
    Close,
    Abort,
}

#[derive(Arbitrary, Debug)]
struct Input {
    seats: [Seat; 2],
    numbers: Option<[u32; 2]>,
    calls: Vec<(bool, Call)>,
}

/// [`Watch`] without its types.
trait Calls {
    fn call(&mut self, call: &Call, other: &mut Vec<Vec<u8>>, foreign: &[ackline::DeliveryId]);
    fn emitted(&mut self) -> &mut Vec<Vec<u8>>;
    fn taken(&self) -> Vec<ackline::DeliveryId>;
    fn finish(self: Box<Self>);
}

impl<S: Storage, C: Controller> Calls for Watch<S, C> {
    fn call(&mut self, call: &Call, other: &mut Vec<Vec<u8>>, foreign: &[ackline::DeliveryId]) {
        match *call {
            Call::Connect => self.link.connect(self.now),
            Call::Send { channel, len } => {
                let _ = self.send(channel, &vec![channel; (len % 70_000) as usize], None);
            }
            Call::SendBefore { channel, len, within } => {
                let within = Duration::from_micros(u64::from(within));
                let _ = self.send(channel % 5, &vec![channel; usize::from(len % 2_000)], Some(within));
            }
            Call::Recv { count } => (0..count).take_while(|_| self.recv(|_, _| {})).for_each(drop),
            Call::Settle(which) => {
                let _ = self.settle(usize::from(which));
            }
            Call::SettleOther(which) => {
                if let Some(&id) = foreign.get(usize::from(which) % foreign.len().max(1)) {
                    let _ = self.link.settle(self.now, id);
                }
            }
            Call::Events => self.events(),
            // Before now, or after it, without asking when.
            Call::Timeout { at } => self.link.handle_timeout(Instant::from_micros(u64::from(at))),
            Call::Pass(millis) => self.pass(self.now + Duration::from_millis(u64::from(millis))),
            Call::Transmit { room } => {
                let mut buffer = vec![0; usize::from(room % 1_600)];
                if let Some(len) = self.link.poll_transmit(self.now, &mut buffer) {
                    buffer.truncate(len);
                    self.emitted.push(buffer);
                }
            }
            Call::Deliver { which, back, keep } => {
                let from = if back { &mut self.emitted } else { other };
                if from.is_empty() {
                    return;
                }
                let which = usize::from(which) % from.len();
                let datagram = if keep { from[which].clone() } else { from.remove(which) };
                self.receive(&datagram);
            }
            Call::DeliverAll => {
                for datagram in std::mem::take(other) {
                    self.receive(&datagram);
                }
            }
            Call::ReceiveBuffer(bytes) => self.link.set_receive_buffer(bytes),
            Call::Limit => self.limit(),
            Call::RedrawId => self.link.redraw_next_link_id(),
            Call::SetIds([a, b]) => {
                let ids = [a, b].map(|id| {
                    LinkId::from_value(u64::from(id), self.link.local_link_id().as_bytes().len() as u8)
                });
                // For before the first use only; a listener keeps them apart.
                if self.link.stats().datagrams_sent == 0 && self.link.peer_incarnation() == 0 && a != b {
                    self.link.set_local_link_ids(ids[0], ids[1]);
                }
            }
            Call::Ask => {
                let link = &self.link;
                let _ = (link.stats(), link.is_connected(), link.is_drained(), link.is_validated());
                let _ = (link.peer_incarnation(), link.local_link_ids(), link.congestion().window());
            }
            Call::Close => self.link.close(self.now),
            Call::Abort => self.link.abort(self.now),
        }
    }

    fn emitted(&mut self) -> &mut Vec<Vec<u8>> {
        &mut self.emitted
    }

    fn taken(&self) -> Vec<ackline::DeliveryId> {
        self.taken.clone()
    }

    fn finish(self: Box<Self>) {
        Watch::finish(*self);
    }
}

fn side(seat: &Seat, numbers: Option<[u32; 2]>, seed: u64) -> Box<dyn Calls> {
    fn watched<S: Storage + 'static, C: Controller + 'static>(
        mut link: ackline::Link<S, C>,
        numbers: Option<[u32; 2]>,
    ) -> Box<dyn Calls> {
        if let Some([message, packet]) = numbers {
            link.start_numbers_at(message, packet);
        }
        Box::new(Watch::new(link))
    }
    match seat.build {
        Build::Heap => watched(seat.heap(seed), numbers),
        Build::Small => watched(seat.small(seed), numbers),
        Build::Tiny => watched(seat.tiny(seed), numbers),
    }
}

fuzz_target!(|input: Input| {
    // Both sides are of one medium, as they would be.
    let mut seats = input.seats;
    seats[1].carrier = seats[0].carrier;
    let mut sides = [side(&seats[0], input.numbers, 11), side(&seats[1], None, 12)];
    for (second, call) in &input.calls {
        let [a, b] = &mut sides;
        let (one, two) = if *second { (b, a) } else { (a, b) };
        let foreign = two.taken();
        one.call(call, two.emitted(), &foreign);
    }
    for side in sides {
        side.finish();
    }
});
