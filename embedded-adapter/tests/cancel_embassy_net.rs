//! Every future of the adapter on embassy-net is dropped at every await, and no message is lost or doubled by it.

#![allow(clippy::await_holding_refcell_ref)] // one task each borrows what it holds

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use ackline::Config;
use ackline_embedded::embassy_net_09::Runner;
use common::cable::{Memory, Network, address, cable, socket};
use common::exchange::{
    Amount, CompactDatagrams, Did, Full, Node, Side, TailoredDatagrams, Tested,
    dropped_at_each_await_of_each_task, exchange,
};
use common::{Drops, Task, clock};

fn carrier<'a, L: Tested>(name: &'static str, runner: Runner<'a, L>) -> Task<'a> {
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

fn over_udp<L: Tested>(seed: u64, amount: Amount, drops: &dyn Fn(&'static str) -> Drops) -> Vec<Did> {
    let _turn = clock();
    let (mut memory, mut far_memory) = (Memory::new(), Memory::new());
    let (mut left, mut right) = (Node::<L>::new(), Node::<L>::new());
    let mut config = Config::udp();
    // No probe may hide that something was lost: tasks get their turns at random here, so round trips vary a lot.
    config.granularity = std::time::Duration::from_millis(50);
    // Fast enough that the socket, not the pace, is what the runner waits for.
    left.link().begin(&config, 1_000_000, seed);
    right.link().begin(&config, 1_000_000, seed + 1);
    let (end, far_end) = cable();
    let (stack, near) = socket(&mut memory, end, 1);
    let (far_stack, far) = socket(&mut far_memory, far_end, 2);
    let (port, sender, receiver, events) = left.split();
    let left = Side { sender, receiver, events };
    let (far_port, sender, receiver, events) = right.split();
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
    over_udp::<Full>(1, MANY, &|_| Drops::Never);
    over_udp::<CompactDatagrams>(1, MANY, &|_| Drops::Never);
    over_udp::<TailoredDatagrams>(1, MANY, &|_| Drops::Never);
}

fn dropped_at_random<L: Tested>() {
    for (seed, chance) in [(10, 24), (11, 24), (20, 128), (21, 128), (30, 240)] {
        let did = over_udp::<L>(seed, MANY, &|_| Drops::Chance(chance));
        let is_idle = |name| name == "send_settled" && !L::IS_FULL;
        assert!(
            did.iter().all(|(name, _, dropped)| *dropped > 0 || is_idle(*name)),
            "seed {seed}: one was never dropped: {did:?}"
        );
    }
}

#[test]
fn futures_dropped_at_random_lose_and_double_nothing() {
    dropped_at_random::<Full>();
    dropped_at_random::<CompactDatagrams>();
    dropped_at_random::<TailoredDatagrams>();
}

#[test]
fn future_dropped_at_any_one_await_loses_and_doubles_nothing() {
    let few = Amount { there: 30, back: 10 };
    let full = dropped_at_each_await_of_each_task(|drops| over_udp::<Full>(5, few, drops));
    let compact = dropped_at_each_await_of_each_task(|drops| over_udp::<CompactDatagrams>(5, few, drops));
    let tailored = dropped_at_each_await_of_each_task(|drops| over_udp::<TailoredDatagrams>(5, few, drops));
    let counts = format!("{full}, {compact} and {tailored} awaits");
    println!("{counts}");
    assert!(full > 100 && compact > 50 && tailored > 50, "{counts}");
}
