//! Every future of the adapter on a serial line is dropped at every await, and no message and no byte is lost or doubled
//! by it.

#![allow(clippy::await_holding_refcell_ref)] // one task each borrows what it holds

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use ackline::Config;
use ackline::framing::FrameCheck;
use ackline_embedded::Port;
use ackline_embedded::serial::Runner;
use common::exchange::{
    Amount, CompactSerial, Did, Full, Node, Side, TailoredSerial, Tested, dropped_at_each_await_of_each_task,
    exchange,
};
use common::{Drops, Task, Wire, clock};

type Line<'a, L> = Runner<'a, L, Wire, Wire>;

fn task<'a, L: Tested>(name: &'static str, runner: &Rc<RefCell<Line<'a, L>>>) -> Task<'a> {
    let runner = runner.clone();
    Task::new(name, move || {
        let runner = runner.clone();
        async move { runner.borrow_mut().run().await.unwrap() }
    })
}

fn runner<'a, L: Tested>(port: Port<'a, L>, from: &Wire, to: &Wire) -> Rc<RefCell<Line<'a, L>>> {
    Rc::new(RefCell::new(Runner::new(port, from.clone(), to.clone(), FrameCheck::Crc32)))
}

fn over_serial<L: Tested>(seed: u64, amount: Amount, drops: &dyn Fn(&'static str) -> Drops) -> Vec<Did> {
    let _turn = clock();
    let (mut left, mut right) = (Node::<L>::new(), Node::<L>::new());
    left.link().begin(&Config::serial(115_200), 11_520, seed);
    right.link().begin(&Config::serial(115_200), 11_520, seed + 1);
    let (port, sender, receiver, events) = left.split();
    let left = Side { sender, receiver, events };
    let (far_port, sender, receiver, events) = right.split();
    let right = Side { sender, receiver, events };
    let (there, back) = (Wire::default(), Wire::default());
    let lines = [runner(port, &back, &there), runner(far_port, &there, &back)];
    let runners = vec![task("runner", &lines[0]), task("far runner", &lines[1])];
    let did = exchange(seed, amount, drops, runners, left, right);
    for line in lines {
        let stats = line.borrow().stats();
        let bad = (stats.frames_bad, stats.frames_too_long, stats.bytes_skipped);
        assert_eq!(bad, (0, 0, 0), "seed {seed}: {stats:?}");
    }
    did
}

const MANY: Amount = Amount { there: 200, back: 100 };

#[test]
fn undisturbed_futures_deliver_everything_once_and_in_order() {
    over_serial::<Full>(1, MANY, &|_| Drops::Never);
    over_serial::<CompactSerial>(1, MANY, &|_| Drops::Never);
    over_serial::<TailoredSerial>(1, MANY, &|_| Drops::Never);
}

fn dropped_at_random<L: Tested>() {
    for (seed, chance) in [(10, 24), (11, 24), (20, 128), (21, 128), (30, 240)] {
        let did = over_serial::<L>(seed, MANY, &|_| Drops::Chance(chance));
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
    dropped_at_random::<CompactSerial>();
    dropped_at_random::<TailoredSerial>();
}

#[test]
fn future_dropped_at_any_one_await_loses_and_doubles_nothing() {
    let few = Amount { there: 12, back: 6 };
    let full = dropped_at_each_await_of_each_task(|drops| over_serial::<Full>(5, few, drops));
    let compact = dropped_at_each_await_of_each_task(|drops| over_serial::<CompactSerial>(5, few, drops));
    let tailored = dropped_at_each_await_of_each_task(|drops| over_serial::<TailoredSerial>(5, few, drops));
    let counts = format!("{full}, {compact} and {tailored} awaits");
    println!("{counts}");
    assert!(full > 300 && compact > 150 && tailored > 300, "{counts}");
}
