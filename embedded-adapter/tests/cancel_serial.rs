//! Every future of the serial adapter is dropped at every await, and no message and no byte is lost or doubled by it.

#![allow(clippy::await_holding_refcell_ref)] // one task each borrows what it holds

mod common;

use std::cell::{Cell, RefCell};

use ackline::congestion::FixedRate;
use ackline::framing::FrameCheck;
use ackline::storage::Inline;
use ackline::{Channel, Config, Event};
use ackline_embedded::State;
use ackline_embedded::serial::Runner;
use common::{Random, Restarting, Wire, clock, run};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;

type Node = State<NoopRawMutex, Inline<1, 4, 512, 8>, FixedRate>;
const MESSAGES: u32 = 300;
const CHANNEL: Channel = Channel(0);

fn config() -> Config {
    let mut config = Config::serial(115_200);
    config.datagram_max = 192;
    config.message_max = 64;
    config
}

/// Message `n`: its number, then filling that makes every length from 4 to 64.
fn message(n: u32) -> Vec<u8> {
    let mut message = n.to_le_bytes().to_vec();
    message.resize(4 + n as usize % 61, n as u8);
    message
}

/// Both ends, all their futures, dropped with `chance` in 256 at every poll that is pending.
fn exchange(seed: u64, chance: u64) {
    let _turn = clock();
    let mut random = Random(seed);
    let (mut left, mut right) = (Node::new(), Node::new());
    let rate = FixedRate::new(11_520);
    let (left_port, sender, left_receiver, left_events) = left.open(&config(), rate, seed);
    let (right_port, right_sender, receiver, right_events) = right.open(&config(), rate, seed + 1);
    drop((left_receiver, right_events));
    let (there, back) = (Wire::default(), Wire::default());
    let left_runner = RefCell::new(Runner::<_, _, _, _, _, 192>::new(
        left_port,
        back.clone(),
        there.clone(),
        FrameCheck::Crc32,
    ));
    let right_runner = RefCell::new(Runner::<_, _, _, _, _, 192>::new(
        right_port,
        there.clone(),
        back.clone(),
        FrameCheck::Crc32,
    ));
    let (receiver, left_events) = (RefCell::new(receiver), RefCell::new(left_events));
    let (sent, settled) = (Cell::new(0), Cell::new(0));
    let received = RefCell::new(Vec::new());
    sender.connect();
    let mut tasks = [
        Restarting::new(|| async {
            left_runner.borrow_mut().run().await.unwrap();
        }),
        Restarting::new(|| async {
            right_runner.borrow_mut().run().await.unwrap();
        }),
        Restarting::new(|| async {
            while sent.get() < MESSAGES {
                sender.send(CHANNEL, &message(sent.get())).await.unwrap();
                sent.set(sent.get() + 1);
            }
        }),
        Restarting::new(|| async {
            let mut buffer = [0; 64];
            loop {
                let got = receiver.borrow_mut().recv(&mut buffer).await.unwrap();
                received.borrow_mut().push(buffer[..got.len].to_vec());
            }
        }),
        Restarting::new(|| async {
            loop {
                if let Event::Settled(_) = left_events.borrow_mut().next().await {
                    settled.set(settled.get() + 1);
                }
            }
        }),
    ];
    let is_done = run(&mut tasks, &mut random, chance, || settled.get() == MESSAGES);
    let dropped: Vec<u32> = tasks.iter().map(|task| task.dropped).collect();
    drop(tasks);
    let received_count = received.borrow().len();
    let counts = (sent.get(), received_count, settled.get());
    let both = (sender.stats(), right_sender.stats());
    assert!(is_done, "seed {seed} stands still at (sent, received, settled) {counts:?}: {both:#?}");
    let expected: Vec<_> = (0..MESSAGES).map(message).collect();
    assert_eq!(*received.borrow(), expected, "seed {seed}");
    for runner in [&left_runner, &right_runner] {
        let stats = runner.borrow().stats();
        assert_eq!(
            (stats.frames_bad, stats.frames_too_long, stats.bytes_skipped),
            (0, 0, 0),
            "seed {seed}: {stats:?}"
        );
    }
    let stats = sender.stats();
    assert_eq!(stats.packets_lost, 0, "seed {seed}: {stats:?}");
    if chance > 0 {
        assert!(
            dropped.iter().all(|&count| count > 5),
            "seed {seed}: a future was hardly ever dropped: {dropped:?}"
        );
    }
}

#[test]
fn undisturbed_futures_deliver_everything_once_and_in_order() {
    exchange(1, 0);
}

#[test]
fn futures_dropped_now_and_then_lose_and_double_nothing() {
    for seed in 10..14 {
        exchange(seed, 24);
    }
}

#[test]
fn futures_dropped_at_every_other_poll_lose_and_double_nothing() {
    for seed in 20..24 {
        exchange(seed, 128);
    }
}
