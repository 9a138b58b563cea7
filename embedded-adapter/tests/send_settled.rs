//! Waiting for the outcome of one message.

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use ackline::congestion::FixedRate;
use ackline::storage::Inline;
use ackline::{Channel, Config, Event, FailReason, Link, MessageId, compact, tailored};
use ackline_embedded::{Drive, NotSettled, Port, RecvError, State, WAITERS_MAX};
use common::exchange::Able;
use common::{block_on, clock};

type Full = Link<Inline<1, 8, 1024, 8>, FixedRate>;
type Compact = compact::Serial<8, 64, 256>;
type Tailored = tailored::Endpoint<Able<false>, 2, 8, 64, 256>;
type Node<L> = State<L, 256>;
const CHANNEL: Channel = Channel(0);
const RATE: FixedRate = FixedRate::new(1_000_000);

fn full(seed: u64) -> Node<Full> {
    let mut config = Config::serial(0);
    config.message_max = 64;
    let mut node = Node::<Full>::new();
    node.link().start(&config, RATE, seed);
    node
}

fn small(seed: u64) -> Node<Compact> {
    let mut node = Node::<Compact>::new();
    node.link().start(seed, 50_000);
    node
}

fn tailored(seed: u64) -> Node<Tailored> {
    let mut node = Node::<Tailored>::new();
    node.link().start(seed, 50_000);
    node
}

/// Carries what there is to carry, both ways, a few round trips long.
fn carry<L: Drive>(left: &Port<'_, L>, right: &Port<'_, L>) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut buffer = [0; 256];
    for _ in 0..200 {
        for (from, to) in [(left, right), (right, left)] {
            while let std::task::Poll::Ready(Some(len)) = from.poll_transmit(&mut cx, &mut buffer) {
                to.handle_datagram(&buffer[..len]);
            }
        }
        embassy_time::MockDriver::get().advance(embassy_time::Duration::from_micros(500));
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn outcome_goes_to_its_waiter_and_not_to_events() {
    outcome_goes_to_its_waiter(full(1), full(2));
    outcome_goes_to_its_waiter(small(1), small(2));
    outcome_goes_to_its_waiter(tailored(1), tailored(2));
}

fn outcome_goes_to_its_waiter<L: Drive>(mut left: Node<L>, mut right: Node<L>) {
    let _turn = clock();
    let (port, sender, _receiver, mut events) = left.split();
    let (far_port, _far_sender, mut far_receiver, _far_events) = right.split();
    sender.connect();
    let mut waiting = pin!(sender.send_settled(CHANNEL, b"one"));
    assert!(poll_once(waiting.as_mut()).is_pending());
    carry(&port, &far_port);
    assert!(poll_once(waiting.as_mut()).is_pending(), "nobody has taken it yet");
    assert_eq!(block_on(far_receiver.recv_with(|delivery| delivery.payload.to_vec())).unwrap(), b"one");
    carry(&port, &far_port);
    assert_eq!(block_on(events.next()), Event::Connected);
    assert_eq!(block_on(waiting), Ok(()));
    assert!(poll_once(pin!(events.next())).is_pending());
}

#[test]
fn outcome_of_a_dropped_waiter_goes_to_events() {
    outcome_of_a_dropped_waiter(full(1), full(2));
    outcome_of_a_dropped_waiter(small(1), small(2));
    outcome_of_a_dropped_waiter(tailored(1), tailored(2));
}

fn outcome_of_a_dropped_waiter<L: Drive>(mut left: Node<L>, mut right: Node<L>) {
    let _turn = clock();
    let (port, sender, _receiver, mut events) = left.split();
    let (far_port, _far_sender, mut far_receiver, _far_events) = right.split();
    sender.connect();
    {
        let mut waiting = pin!(sender.send_settled(CHANNEL, b"one"));
        assert!(poll_once(waiting.as_mut()).is_pending());
    }
    carry(&port, &far_port);
    block_on(far_receiver.recv_with(|_| ())).unwrap();
    carry(&port, &far_port);
    assert_eq!(block_on(events.next()), Event::Connected);
    assert_eq!(block_on(events.next()), Event::Settled(MessageId { channel: CHANNEL, sequence: 0 }));
}

#[test]
fn waiter_without_a_place_sends_when_one_is_free() {
    waiter_without_a_place(full(1), full(2));
    waiter_without_a_place(tailored(1), tailored(2));
}

fn waiter_without_a_place<L: Drive>(mut left: Node<L>, mut right: Node<L>) {
    let _turn = clock();
    let (port, sender, _receiver, _events) = left.split();
    let (far_port, _far_sender, mut far_receiver, _far_events) = right.split();
    sender.connect();
    let mut waiting: Vec<_> =
        (0..=WAITERS_MAX).map(|_| Box::pin(sender.send_settled(CHANNEL, b"message"))).collect();
    for waiting in &mut waiting {
        assert!(poll_once(waiting.as_mut()).is_pending());
    }
    assert_eq!(sender.stats().messages_sent as usize, WAITERS_MAX);
    drop(waiting.remove(0));
    let last = waiting.last_mut().unwrap();
    assert!(poll_once(last.as_mut()).is_pending());
    assert_eq!(sender.stats().messages_sent as usize, WAITERS_MAX + 1);
    carry(&port, &far_port);
    for _ in 0..=WAITERS_MAX {
        block_on(far_receiver.recv_with(|_| ())).unwrap();
    }
    carry(&port, &far_port);
    drop(_events);
    for waiting in waiting {
        assert_eq!(block_on(waiting), Ok(()));
    }
}

#[test]
fn aborted_link_tells_waiters_and_receivers() {
    aborted_link(full(1));
    aborted_link(small(1));
    aborted_link(tailored(1));
}

fn aborted_link<L: Drive>(mut left: Node<L>) {
    let _turn = clock();
    let (_port, sender, mut receiver, _) = left.split();
    let mut waiting = pin!(sender.send_settled(CHANNEL, b"one"));
    assert!(poll_once(waiting.as_mut()).is_pending());
    sender.abort();
    assert_eq!(block_on(waiting), Err(NotSettled::Failed(FailReason::Closed)));
    assert_eq!(block_on(receiver.recv_with(|_| ())), Err(RecvError::Closed));
    assert!(matches!(block_on(sender.send_settled(CHANNEL, b"two")), Err(NotSettled::Refused(_))));
}

#[test]
fn short_buffer_is_refused_before_a_message_is_taken() {
    short_buffer(full(1));
    short_buffer(small(1));
    short_buffer(tailored(1));
}

fn short_buffer<L: Drive>(mut left: Node<L>) {
    let _turn = clock();
    let (_port, _sender, mut receiver, _events) = left.split();
    let refused = block_on(receiver.recv(&mut [0; 63]));
    assert_eq!(refused, Err(RecvError::BufferTooSmall { needed: 64 }));
}
