//! Counts the instructions of every step of a message's way, and the stack under them.
//!
//! Two links in one program, full or compact ones, 64-byte messages, one to a packet. Under `-icount shift=6` the emulator's
//! clock advances by 64 ns an instruction, so that microseconds are instructions.
#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use ackline::{Channel, Instant};
#[cfg(not(feature = "compact"))]
use ackline::{congestion::FixedWindow, storage::Inline};
use ackline_embedded::Drive;
use static_cell::ConstStaticCell;

#[cfg(not(feature = "compact"))]
type Node = ackline::Link<Inline<1, 4, 512, 8>, FixedWindow>;
#[cfg(feature = "compact")]
type Node = ackline::compact::Serial<4, 64, DATAGRAM_MAX>;

#[cfg(not(feature = "compact"))]
fn start(node: &mut Node, seed: u64) {
    let mut config = ackline::Config::serial(0);
    config.datagram_max = DATAGRAM_MAX as u16;
    config.message_max = MESSAGE.len() as u32;
    node.start(&config, FixedWindow::new(4096), seed);
}
#[cfg(feature = "compact")]
fn start(node: &mut Node, seed: u64) {
    node.start(seed, 50_000);
}

const DATAGRAM_MAX: usize = 192;
const MESSAGE: [u8; 64] = [0x5A; 64];
const ROUNDS: u64 = 500;

/// Microseconds spent in a step, and how often.
#[derive(Default)]
struct Step {
    micros: u64,
    count: u64,
}

impl Step {
    fn time<R>(&mut self, step: impl FnOnce() -> R) -> R {
        let start = board::now_micros();
        let result = step();
        self.micros += board::now_micros() - start;
        self.count += 1;
        result
    }

    /// Instructions of one step, less those of timing it.
    fn instructions(&self, timing: &Step) -> u64 {
        let of = |step: &Step| step.micros * 1000 / 64 / step.count.max(1);
        of(self).saturating_sub(of(timing))
    }
}

#[derive(Default)]
struct Steps {
    timing: Step,
    send: Step,
    transmit: Step,
    receive: Step,
    take: Step,
    answer: Step,
    acknowledged: Step,
    outcome: Step,
    probe: Step,
}

fn now() -> Instant {
    Instant::from_micros(board::now_micros())
}

fn deliver(from: &mut Node, to: &mut Node, buffer: &mut [u8; DATAGRAM_MAX]) {
    while let Some(len) = from.poll_transmit(now(), buffer) {
        to.handle_datagram(now(), &buffer[..len]);
    }
}

/// Handshake, and everything else that is not part of a message's way.
fn settle_down(a: &mut Node, b: &mut Node, buffer: &mut [u8; DATAGRAM_MAX]) {
    let end = now() + core::time::Duration::from_millis(20);
    while now() < end {
        deliver(a, b, buffer);
        while b.recv(now()).is_some() {}
        deliver(b, a, buffer);
        while a.poll_event().is_some() {}
        while b.poll_event().is_some() {}
        for node in [&mut *a, &mut *b] {
            if node.poll_timeout().is_some_and(|deadline| deadline <= now()) {
                node.handle_timeout(now());
            }
        }
    }
}

fn round(steps: &mut Steps, a: &mut Node, b: &mut Node, buffer: &mut [u8; DATAGRAM_MAX], is_lost: bool) {
    steps.timing.time(|| ());
    let sent = steps.send.time(|| a.send(now(), Channel(0), &MESSAGE));
    assert!(sent.is_ok());
    let mut len = steps.transmit.time(|| a.poll_transmit(now(), buffer));
    if is_lost {
        while a.poll_timeout().is_some_and(|deadline| deadline > now()) {}
        len = steps.probe.time(|| {
            a.handle_timeout(now());
            a.poll_transmit(now(), buffer)
        });
    }
    let len = len.expect("a datagram");
    steps.receive.time(|| b.handle_datagram(now(), &buffer[..len]));
    assert!(steps.take.time(|| b.recv(now()).is_some()));
    let answer = loop {
        if b.poll_timeout().is_some_and(|deadline| deadline <= now()) {
            b.handle_timeout(now());
        }
        if let Some(answer) = steps.answer.time(|| b.poll_transmit(now(), buffer)) {
            break answer;
        }
        // Not the step that is counted: it had nothing to say yet.
        steps.answer = Step { micros: 0, count: 0 };
    };
    steps.acknowledged.time(|| a.handle_datagram(now(), &buffer[..answer]));
    assert!(steps.outcome.time(|| a.poll_event().is_some()));
}

#[board::entry]
fn main() -> ! {
    static A: ConstStaticCell<Node> = ConstStaticCell::new(Node::UNSTARTED);
    static B: ConstStaticCell<Node> = ConstStaticCell::new(Node::UNSTARTED);
    board::start_clock();
    let (a, b) = (A.take(), B.take());
    start(a, 1);
    start(b, 2);
    let mut buffer = [0; DATAGRAM_MAX];
    let mut steps = Steps::default();
    let stack = board::stack::paint();
    a.connect(now());
    settle_down(a, b, &mut buffer);
    for i in 0..ROUNDS {
        round(&mut steps, a, b, &mut buffer, i % 10 == 9);
        settle_down(a, b, &mut buffer);
    }
    for (name, step) in [
        ("send", &steps.send),
        ("transmit", &steps.transmit),
        ("receive", &steps.receive),
        ("take", &steps.take),
        ("answer", &steps.answer),
        ("acknowledged", &steps.acknowledged),
        ("outcome", &steps.outcome),
        ("probe", &steps.probe),
    ] {
        board::print(format_args!("{name} {}", step.instructions(&steps.timing)));
    }
    board::print(format_args!("stack {}", stack.depth()));
    board::print(format_args!("link {}", size_of::<Node>()));
    board::exit(0)
}
