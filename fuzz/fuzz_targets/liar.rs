//! A link with a peer that lies. It opens the association as it should, and then sends well-formed frames with the right
//! check that say what is not so: packets and messages that never were are acknowledged and settled, ranges are impossible,
//! credit is taken back, messages come again under the same number with another length, it restarts and resets.
//!
//! Nobody can make a liar honest; but it must not confuse the link's own books, nor make it send or ask for the clock without
//! end. What is delivered is what the liar sent: every byte of its payloads follows from channel, number and place.
#![no_main]

use std::time::Duration;

use ackline::congestion::Controller;
use ackline::sequence::{Range, Sequence};
use ackline::storage::Storage;
use ackline::wire::{Ack, Hello, Message, Reader, Short, Writer, hello_flags};
use ackline_fuzz::seat::{Carrier, Seat};
use ackline_fuzz::watch::Watch;
use ackline_fuzz::wire::{Bound, ROOM, key, seal_long};
use ackline_fuzz::with_link;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Lie {
    Ping,
    Credit(u32),
    AckRate {
        packets: u32,
        delay: u32,
    },
    Floor {
        back: i16,
    },
    Close(u8),
    /// `number`: from the first message that the link has not seen settled.
    Settled {
        channel: u8,
        number: i16,
        more: Vec<(u8, u8)>,
    },
    Skip {
        channel: u8,
        number: i16,
        count: u32,
    },
    Message {
        channel: u8,
        number: i16,
        redelivered: bool,
        len: u16,
    },
    Next {
        len: u8,
    },
    Fragment {
        channel: u8,
        number: i16,
        granule: u8,
        granules: u8,
        tail: u8,
        more: u16,
    },
}

/// An acknowledgement; `largest` counts from the last packet that the link has sent.
#[derive(Arbitrary, Debug)]
struct Acks {
    largest: i8,
    len: u8,
    delay: u16,
    ranges: Vec<(u8, u8)>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Packet {
        jump: i8,
        ack: Option<Acks>,
        lies: Vec<Lie>,
    },
    AckOnly {
        ack: Acks,
        settled: Vec<(u8, i16)>,
    },
    Hello {
        restarts: bool,
        mine: bool,
        next: bool,
        flags: u8,
        jump: u8,
        ack: Option<Acks>,
        lies: Vec<Lie>,
        bases: Vec<(u8, u32)>,
    },
    Reset {
        which: u8,
        cut: u8,
    },
    /// Something that the liar sent before.
    Again(u8),
    Elapse(u32),
    Send {
        channel: u8,
        len: u16,
        within: Option<u16>,
    },
    Recv(u8),
    Settle(u8),
    Buffer(u32),
    Close,
}

#[derive(Arbitrary, Debug)]
struct Input {
    seat: Seat,
    fragments: bool,
    peer_window: u16,
    peer_buffer: u32,
    peer_datagram_max: u16,
    peer_modes: [u8; 4],
    steps: Vec<Step>,
}

/// The byte at `place` of every message with this number.
fn byte(channel: u8, number: u32, place: u32) -> u8 {
    let mixed = (u64::from(number) << 32 | u64::from(place) << 4 | u64::from(channel))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

fn payload(channel: u8, number: u32, from: u32, len: usize) -> Vec<u8> {
    (from..from + len as u32).map(|place| byte(channel, number, place)).collect()
}

struct Liar<'i> {
    input: &'i Input,
    incarnation: u64,
    number: u32,
    /// What the link has sent last, and what it called itself.
    heard: u32,
    last_packets: Vec<Vec<u8>>,
    /// Highest message number sent on each channel, from which the link restores.
    top: [u32; 16],
    sent: Vec<Vec<u8>>,
}

const ID: [u8; 1] = [0x5a];

impl Liar<'_> {
    /// Looks at what the link has emitted.
    fn listen(&mut self, emitted: &mut Vec<Vec<u8>>) {
        let framed = self.input.seat.carrier == Carrier::Framed;
        for datagram in emitted.drain(..) {
            let body =
                if framed || datagram.len() < 4 { &datagram[..] } else { &datagram[..datagram.len() - 4] };
            if datagram[0] == 0x80 {
                if let Ok(hello) = Hello::parse(body)
                    && hello.flags & hello_flags::BARE == 0
                {
                    self.heard = hello.number.0;
                }
            } else if datagram[0] < 0x80
                && let Some(rest) = datagram.get(1 + ID.len()..)
                && let Ok(Short { number: Some((low, len)), .. }) =
                    Short::parse(datagram[0], &mut Reader::new(rest))
            {
                self.heard = Sequence::expand(low, len, Sequence(self.heard.wrapping_add(1))).0;
            }
            self.last_packets.push(datagram);
        }
    }

    fn write_ack(&self, acks: &Acks, bound: &mut Bound, w: &mut Writer<'_>) -> Option<u8> {
        let len = acks.len % 4 + 1;
        let largest = self.heard.wrapping_add_signed(i32::from(acks.largest));
        let mut ranges = Vec::new();
        let mut last = Sequence(largest);
        for &(count, gap) in acks.ranges.iter().take(16) {
            let first = last.plus(u32::from(count).wrapping_neg());
            ranges.push(Range { first, last });
            last = first.plus((u32::from(gap) + 2).wrapping_neg());
        }
        if ranges.is_empty() {
            ranges.push(Range { first: last, last });
        }
        ranges.reverse();
        let low = largest & ((1u64 << (7 * u32::from(len))) - 1) as u32;
        bound.acked = Some(Sequence::expand_before(low, len, Sequence(self.heard)).0);
        Ack::encode(&ranges, len, u32::from(acks.delay) * 8, w)
    }

    fn write_lies(&mut self, lies: &[Lie], packet: u32, bound: &mut Bound, w: &mut Writer<'_>) {
        let mut message: Option<(usize, (usize, usize))> = None;
        let mut previous: Option<(u8, u32)> = None;
        for lie in lies {
            if matches!(message, Some((_, (_, 0)))) {
                break;
            }
            let at = w.len();
            let before = previous.take();
            message = None;
            match *lie {
                Lie::Ping => {
                    let _ = w.ping();
                }
                Lie::Credit(bytes) => {
                    let _ = w.credit(bytes);
                }
                Lie::AckRate { packets, delay } => {
                    let _ = w.ack_rate(packets, delay);
                }
                Lie::Close(code) => {
                    let _ = w.close(code);
                }
                Lie::Floor { back } => {
                    let number = packet.wrapping_sub(u32::from(back.unsigned_abs()));
                    if w.floor(Sequence(number), 4) {
                        bound.others.push(number);
                    }
                }
                Lie::Settled { channel, number, ref more } => {
                    let number = i32::from(number) as u32;
                    let mut from = Sequence(number);
                    let ranges: Vec<_> = more
                        .iter()
                        .map(|&(gap, run)| {
                            let first = from.plus(u32::from(gap) + 1);
                            let last = first.plus(u32::from(run));
                            from = last.plus(1);
                            Range { first, last }
                        })
                        .collect();
                    if w.settled(channel & 3, Sequence(number), 4, &ranges) {
                        bound.others.push(number);
                    }
                }
                Lie::Skip { channel, number, count } => {
                    let number = self.top[usize::from(channel & 3)].wrapping_add_signed(i32::from(number));
                    if w.skip(channel & 3, Sequence(number), 4, (count % i32::MAX as u32).max(1)) {
                        bound.others.push(number);
                    }
                }
                Lie::Message { channel, number, redelivered, len } => {
                    let channel = channel & 3;
                    let number = self.top[usize::from(channel)].wrapping_add_signed(i32::from(number));
                    let payload = payload(channel, number, 0, usize::from(len % 1_300));
                    let m = Message {
                        channel,
                        number: Some((number, 4)),
                        is_in_series: false,
                        redelivered,
                        fragment: None,
                        payload: &payload,
                    };
                    message = w.message(&m, Sequence(number)).map(|length| (at, length));
                    previous = message.map(|_| (channel, number));
                }
                Lie::Next { len } => {
                    let Some((channel, number)) = before else { continue };
                    let number = number.wrapping_add(1);
                    let payload = payload(channel, number, 0, usize::from(len));
                    let m = Message {
                        channel,
                        number: None,
                        is_in_series: false,
                        redelivered: false,
                        fragment: None,
                        payload: &payload,
                    };
                    message = w.message(&m, Sequence(number)).map(|length| (at, length));
                    previous = message.map(|_| (channel, number));
                }
                Lie::Fragment { channel, number, granule, granules, tail, more } => {
                    let channel = channel & 3;
                    let number = self.top[usize::from(channel)].wrapping_add_signed(i32::from(number));
                    let is_end = more == 0;
                    let len =
                        usize::from(granules % 32) * 16 + if is_end { usize::from(tail % 16) } else { 0 };
                    let offset = u32::from(granule) * 16;
                    let total = offset + len as u32 + u32::from(more);
                    if len == 0 || total == len as u32 {
                        continue;
                    }
                    let payload = payload(channel, number, offset, len);
                    let fragment = Some((offset, total));
                    let m = Message {
                        channel,
                        number: Some((number, 4)),
                        is_in_series: false,
                        redelivered: false,
                        fragment,
                        payload: &payload,
                    };
                    message = w.message(&m, Sequence(number)).map(|length| (at, length));
                    if message.is_some() {
                        bound.others.push(number);
                        self.top[usize::from(channel)] = self.top[usize::from(channel)].max(number);
                    }
                }
            }
            if let Some((channel, number)) = previous {
                bound.others.push(number);
                let top = &mut self.top[usize::from(channel)];
                *top = Sequence(*top).precedes(Sequence(number)).then_some(number).unwrap_or(*top);
            }
        }
        if let Some((at, length)) = message {
            w.finish_message(at, length);
        }
    }

    fn short<S: Storage, C: Controller>(
        &mut self,
        watch: &Watch<S, C>,
        number: Option<u32>,
        ack: Option<&Acks>,
        lies: &[Lie],
    ) -> Option<Vec<u8>> {
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        let mut bound = Bound { packet: number, ..Bound::default() };
        let id = watch.link.local_link_id();
        w.u8(0);
        w.bytes(id.as_bytes());
        if let Some(n) = number {
            w.truncated(n, 4);
        }
        let bits = match ack {
            Some(ack) => self.write_ack(ack, &mut bound, &mut w)?,
            None => 0,
        };
        w.written()[0] = match (number, ack) {
            (Some(_), None) => 0x00,
            (Some(_), Some(_)) => 0x20 | bits,
            _ => 0x60 | bits,
        };
        self.write_lies(lies, number.unwrap_or(0), &mut bound, &mut w);
        let body = w.written().to_vec();
        Some(match self.input.seat.carrier {
            Carrier::Checked => bound.seal(key(self.incarnation, watch.link.incarnation()), body),
            Carrier::Unchecked | Carrier::Framed => body,
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn hello<S: Storage, C: Controller>(
        &mut self,
        watch: &Watch<S, C>,
        mine: bool,
        next: bool,
        flags: u8,
        ack: Option<&Acks>,
        lies: &[Lie],
        bases: &[(u8, u32)],
    ) -> Option<Vec<u8>> {
        let input = self.input;
        let mut buffer = [0; ROOM];
        let mut w = Writer::new(&mut buffer);
        let modes = [input.peer_modes.iter().rev().fold(0, |all, m| all << 2 | m % 4)];
        let [present, following] = watch.link.local_link_ids();
        let no_check = if input.seat.carrier == Carrier::Unchecked { hello_flags::NO_CHECK } else { 0 };
        let flags = flags & (hello_flags::CONFIRM | hello_flags::BARE | hello_flags::KNOWS | hello_flags::MORE);
        let hello = Hello {
            to: if next { following } else { present },
            from: ackline::LinkId::new(&ID)?,
            incarnation: self.incarnation,
            your_incarnation: if mine { watch.link.incarnation() } else { 0 },
            flags: flags | no_check | if ack.is_some() { hello_flags::ACK } else { 0 },
            number: Sequence(self.number),
            params: ackline::wire::Params {
                datagram_max: 96 + u32::from(input.peer_datagram_max),
                window: 1 + u32::from(input.peer_window),
                buffer: input.peer_buffer,
                modes: &modes,
                fragments: u32::from(input.fragments),
                ..Default::default()
            },
            ack: None,
            frames: &[],
        };
        let pairs = bases.iter().take(8).map(|&(c, n)| (c & 3, Sequence(n)));
        if !(hello.encode_head(&mut w) && hello.params.encode(pairs, &mut w)) {
            return None;
        }
        let mut bound = Bound::default();
        if let Some(ack) = ack {
            let at = w.len();
            w.u8(0);
            w.written()[at] = self.write_ack(ack, &mut bound, &mut w)?;
        }
        self.write_lies(lies, self.number, &mut bound, &mut w);
        let body = w.written().to_vec();
        Some(if input.seat.carrier == Carrier::Framed { body } else { seal_long(body) })
    }

    /// The next packet number, or one before or further on.
    fn take_number(&mut self, jump: i8) -> u32 {
        self.number = self.number.wrapping_add(1);
        if jump > 100 {
            self.number = self.number.wrapping_add(u32::from(jump.unsigned_abs()) * 977);
        }
        if jump < 0 { self.number.wrapping_add_signed(i32::from(jump)) } else { self.number }
    }

    fn datagram<S: Storage, C: Controller>(&mut self, watch: &Watch<S, C>, step: &Step) -> Option<Vec<u8>> {
        match step {
            Step::Packet { jump, ack, lies } => {
                let number = self.take_number(*jump);
                self.short(watch, Some(number), ack.as_ref(), lies)
            }
            Step::AckOnly { ack, settled } => {
                let settled: Vec<_> = settled
                    .iter()
                    .map(|&(channel, number)| Lie::Settled { channel, number, more: Vec::new() })
                    .collect();
                self.short(watch, None, Some(ack), &settled)
            }
            Step::Hello { restarts, mine, next, flags, jump, ack, lies, bases } => {
                self.take_number((*jump & 127) as i8);
                if *restarts {
                    self.incarnation = self.incarnation.wrapping_add(1).max(1);
                    self.top = [0; 16];
                }
                self.hello(watch, *mine, *next, *flags, ack.as_ref(), lies, bases)
            }
            Step::Reset { which, cut } => {
                let packet = self.last_packets.iter().rev().nth(usize::from(*which))?;
                let mut bytes = vec![0x82];
                bytes.extend(&packet[..packet.len().min(usize::from(*cut % 8))]);
                Some(if self.input.seat.carrier == Carrier::Framed { bytes } else { seal_long(bytes) })
            }
            Step::Again(which) => self.sent.iter().rev().nth(usize::from(*which)).cloned(),
            _ => None,
        }
    }
}

fn take<S: Storage, C: Controller>(watch: &mut Watch<S, C>, count: u8) {
    for _ in 0..count {
        let took = watch.recv(|id, payload| {
            for (place, &b) in payload.iter().enumerate() {
                assert_eq!(b, byte(id.channel.0, id.sequence, place as u32), "{id:?} at {place}");
            }
        });
        if !took {
            break;
        }
    }
}

fn run<S: Storage, C: Controller>(mut watch: Watch<S, C>, input: &Input) {
    let mut liar = Liar {
        input,
        incarnation: 0x1122_3344,
        number: 100,
        heard: 0,
        last_packets: Vec::new(),
        top: [0; 16],
        sent: Vec::new(),
    };
    watch.link.connect(watch.now);
    watch.transmit();
    liar.listen(&mut watch.emitted);
    let opening = liar.hello(&watch, true, false, hello_flags::KNOWS, None, &[], &[]).expect("room");
    watch.receive(&opening);
    assert!(watch.link.is_connected() && watch.link.is_validated());
    for step in &input.steps {
        if let Some(datagram) = liar.datagram(&watch, step) {
            watch.receive(&datagram);
            liar.sent.push(datagram);
        }
        match *step {
            Step::Elapse(micros) => {
                watch.pass(watch.now + Duration::from_micros(u64::from(micros % 5_000_000)))
            }
            Step::Send { channel, len, within } => {
                let within = within.map(|ms| Duration::from_millis(u64::from(ms)));
                let _ = watch.send(channel & 3, &vec![channel; usize::from(len % 3_000)], within);
            }
            Step::Recv(count) => take(&mut watch, count),
            Step::Settle(which) => {
                let _ = watch.settle(usize::from(which));
            }
            Step::Buffer(bytes) => watch.link.set_receive_buffer(bytes),
            Step::Close => watch.link.close(watch.now),
            _ => {}
        }
        watch.transmit();
        watch.events();
        liar.listen(&mut watch.emitted);
    }
    // The liar falls silent: what is left is probing, which thins out.
    watch.pass(watch.now + Duration::from_secs(60));
    watch.emitted.clear();
    watch.pass(watch.now + Duration::from_secs(60));
    assert!(watch.emitted.len() <= 6_500, "{} datagrams to a silent peer in a minute", watch.emitted.len());
    take(&mut watch, u8::MAX);
    watch.finish();
}

fuzz_target!(|input: Input| {
    with_link!(input.seat, 7, run(&input));
});
