//! One link, and a listener, fed whatever: raw bytes, long packets with a right check, mutations of what the link itself
//! said. No promise to its own application may break, and it must not answer without end.
#![no_main]

use std::time::Duration;

use ackline::congestion::Controller;
use ackline::listener::{Incoming, Listener};
use ackline::storage::Storage;
use ackline::{Instant, Receipt};
use ackline_fuzz::seat::Seat;
use ackline_fuzz::watch::Watch;
use ackline_fuzz::wire::seal_long;
use ackline_fuzz::with_link;
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Step {
    Raw(Vec<u8>),
    Long {
        kind: u8,
        body: Vec<u8>,
    },
    /// Something that the link emitted comes back, perhaps changed.
    Echo {
        which: u8,
        at: u8,
        mask: u8,
        sealed: bool,
    },
    Hello {
        mine: bool,
        next: bool,
        incarnation: u8,
        flags: u8,
        number: u32,
        rest: Vec<u8>,
    },
    Retry {
        mine: bool,
        cookie: Vec<u8>,
    },
    Elapse(u32),
    Send {
        channel: u8,
        len: u16,
        within: Option<u16>,
    },
    Recv,
    Settle(u8),
    Close,
    Connect,
}

#[derive(Arbitrary, Debug)]
struct Input {
    seat: Seat,
    connects: bool,
    limited: bool,
    steps: Vec<Step>,
}

fn datagram<S: Storage, C: Controller>(watch: &Watch<S, C>, step: &Step) -> Option<Vec<u8>> {
    Some(match step {
        Step::Raw(bytes) => bytes.clone(),
        Step::Long { kind, body } => {
            let mut bytes = vec![0x80 + kind % 5];
            bytes.extend(body);
            seal_long(bytes)
        }
        Step::Echo { which, at, mask, sealed } => {
            let mut bytes = watch.emitted.iter().rev().nth(usize::from(*which))?.clone();
            let at = usize::from(*at) % bytes.len();
            bytes[at] ^= mask;
            if *sealed {
                bytes.truncate(bytes.len().saturating_sub(4));
                bytes = seal_long(bytes);
            }
            bytes
        }
        Step::Hello { mine, next, incarnation, flags, number, rest } => {
            let to = watch.link.local_link_ids()[usize::from(*next)];
            let mut bytes = vec![0x80, 1, to.as_bytes().len() as u8];
            bytes.extend(to.as_bytes());
            bytes.extend([1, 0x77]);
            bytes.extend((u64::from(*incarnation) + 1).to_le_bytes());
            bytes.extend(if *mine { watch.link.incarnation() } else { 0 }.to_le_bytes());
            bytes.push(flags & 0x1f);
            bytes.extend(number.to_le_bytes());
            if rest.is_empty() {
                bytes.push(0);
            }
            bytes.extend(rest);
            seal_long(bytes)
        }
        Step::Retry { mine, cookie } => {
            let mut bytes = vec![0x81];
            bytes.extend(if *mine { watch.link.incarnation() } else { 1 }.to_le_bytes());
            bytes.extend(cookie);
            seal_long(bytes)
        }
        _ => return None,
    })
}

fn listen(listener: &mut Listener, now: Instant, datagram: &[u8]) {
    let mut reply = [0; 64];
    let len = match listener.incoming(now, b"somewhere", datagram, &mut reply) {
        Incoming::Reply(len) => Some(len),
        Incoming::Link(_) => listener.reset(now, datagram, &mut reply),
        Incoming::Hello { is_validated, .. } => {
            assert!(!is_validated, "nobody was given a cookie");
            listener.retry(now, b"somewhere", datagram, &mut reply)
        }
        Incoming::Drop => None,
    };
    assert!(len.is_none_or(|len| len <= datagram.len()), "amplifies {} to {len:?}", datagram.len());
}

fn run<S: Storage, C: Controller>(mut watch: Watch<S, C>, input: &Input) {
    let framed = input.seat.carrier == ackline_fuzz::seat::Carrier::Framed;
    let mut listener = Listener::new(input.seat.id_len().max(1) as u8, [1, 2]);
    if input.limited {
        watch.limit();
    }
    if input.connects {
        watch.link.connect(watch.now);
        watch.transmit();
    }
    for step in &input.steps {
        if let Some(mut bytes) = datagram(&watch, step) {
            if framed && !matches!(step, Step::Raw(_) | Step::Echo { .. }) {
                bytes.truncate(bytes.len() - 4);
            }
            listen(&mut listener, watch.now, &bytes);
            if matches!(step, Step::Hello { mine: true, .. } | Step::Echo { .. }) {
                watch.unlimit();
            }
            let dropped = watch.link.stats().dropped_malformed;
            if watch.receive(&bytes) != Receipt::Dropped {
                assert_eq!(watch.link.stats().dropped_malformed, dropped);
            }
        }
        match *step {
            Step::Elapse(micros) => {
                watch.pass(watch.now + Duration::from_micros(u64::from(micros % 20_000_000)))
            }
            Step::Send { channel, len, within } => {
                let within = within.map(|ms| Duration::from_millis(u64::from(ms)));
                let _ = watch.send(channel % 5, &vec![channel; usize::from(len % 3_000)], within);
            }
            Step::Recv => while watch.recv(|_, _| {}) {},
            Step::Settle(which) => {
                let _ = watch.settle(usize::from(which));
            }
            Step::Close => watch.link.close(watch.now),
            Step::Connect => watch.link.connect(watch.now),
            _ => {}
        }
        watch.transmit();
        watch.events();
    }
    watch.finish();
}

fuzz_target!(|input: Input| {
    with_link!(input.seat, 7, run(&input));
});
