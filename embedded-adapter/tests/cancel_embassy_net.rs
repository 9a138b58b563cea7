//! Every future of the adapter on embassy-net is dropped at every await, and no message is lost or doubled by it.

#![allow(clippy::await_holding_refcell_ref)] // one task each borrows what it holds

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use ackline::Config;
use ackline::congestion::FixedRate;
use ackline_embedded::embassy_net_09::Runner;
use common::cable::{Memory, Network, address, cable, socket};
use common::exchange::{
    Amount, Did, Mutex, Node, Side, Storage, configured, dropped_at_each_await_of_each_task, exchange,
};
use common::{Drops, Task, clock};

type Udp<'a> = Runner<'a, Mutex, Storage, FixedRate, 192>;

fn carrier<'a>(name: &'static str, runner: Udp<'a>) -> Task<'a> {
    let runner = Rc::new(RefCell::new(runner));
    Task::new(name, move || {
        let runner = runner.clone();
        async move { runner.borrow_mut().run().await.unwrap() }
    })
}

/// embassy-net's own task.
fn network<'a>(name: &'static str, network: Network<'a>) -> Task<'a> {
    let network = Rc::new(RefCell::new(network));
    Task::new(name, move || {
        let network = network.clone();
        async move { network.borrow_mut().run().await }
    })
}

fn over_udp(seed: u64, amount: Amount, drops: &dyn Fn(&'static str) -> Drops) -> Vec<Did> {
    let _turn = clock();
    let (mut memory, mut far_memory) = (Memory::new(), Memory::new());
    let (mut left, mut right) = (Node::new(), Node::new());
    // Fast enough that the socket, not the pace, is what the runner waits for.
    let (rate, mut config) = (FixedRate::new(1_000_000), configured(Config::udp()));
    // No probe may hide that something was lost: tasks get their turns at random here, so round trips vary a lot.
    config.granularity = std::time::Duration::from_millis(50);
    let (end, far_end) = cable();
    let (stack, near) = socket(&mut memory, end, 1);
    let (far_stack, far) = socket(&mut far_memory, far_end, 2);
    let (port, sender, receiver, events) = left.open(&config, rate, seed);
    let left = Side { sender, receiver, events };
    let (far_port, sender, receiver, events) = right.open(&config, rate, seed + 1);
    let right = Side { sender, receiver, events };
    let runners = vec![
        network("network", stack),
        network("far network", far_stack),
        carrier("runner", Runner::new(port, near, Some(address(2)))),
        carrier("far runner", Runner::new(far_port, far, None)),
    ];
    exchange(seed, amount, drops, runners, left, right)
}

const MANY: Amount = Amount { there: 200, back: 100 };

#[test]
fn undisturbed_futures_deliver_everything_once_and_in_order() {
    over_udp(1, MANY, &|_| Drops::Never);
}

#[test]
fn futures_dropped_at_random_lose_and_double_nothing() {
    for (seed, chance) in [(10, 24), (11, 24), (20, 128), (21, 128), (30, 240)] {
        let did = over_udp(seed, MANY, &|_| Drops::Chance(chance));
        assert!(
            did.iter().all(|(_, _, dropped)| *dropped > 0),
            "seed {seed}: one was never dropped: {did:?}"
        );
    }
}

#[test]
fn future_dropped_at_any_one_await_loses_and_doubles_nothing() {
    let few = Amount { there: 30, back: 10 };
    let count = dropped_at_each_await_of_each_task(|drops| over_udp(5, few, drops));
    println!("{count} awaits");
    assert!(count > 100, "{count} awaits");
}
