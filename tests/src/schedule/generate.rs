//! The strategy that draws schedules. Simple schedules come first in every choice, so that shrinking ends there.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{Carrier, Fault, Flow, NodePlan, Schedule, Step, Weather};

/// Longest fault phase in milliseconds.
const PHASE: u16 = 4_000;

fn carriers() -> impl Strategy<Value = Carrier> {
    let datagrams = (
        prop_oneof![3 => Just(0u32), 1 => 128u32..2_000, 1 => 2_000u32..50_000],
        prop_oneof![2 => 500u32..20_000, 1 => 20u32..500, 1 => 20_000u32..150_000],
    );
    prop_oneof![
        3 => datagrams.prop_map(|(rate, delay)| Carrier::Datagrams { rate, delay }),
        1 => prop_oneof![Just(115_200u32), Just(921_600u32)].prop_map(|baud| Carrier::Serial { baud }),
    ]
}

fn permille(often: u16, rarely: u16) -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(0u16), 3 => 0..=often, 1 => often..=rarely]
}

fn weathers() -> impl Strategy<Value = Weather> {
    (
        permille(200, 500),
        any::<bool>(),
        permille(100, 500),
        permille(150, 500),
        1u16..60,
        permille(50, 200),
        permille(30, 100),
        prop_oneof![2 => Just(0u16), 1 => 0u16..10_000],
    )
        .prop_map(|(loss, is_bursty, duplicate, reorder, reorder_by, corrupt, truncate, jitter)| {
            Weather { loss, is_bursty, duplicate, reorder, reorder_by, corrupt, truncate, jitter }
        })
}

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        2 => (0u8..12).prop_map(Fault::LoseNth),
        2 => weathers().prop_map(Fault::Weather),
        2 => (1u16..1_500).prop_map(Fault::Outage),
        1 => (60u16..1_500, 1u16..800).prop_map(|(mtu, lasting)| Fault::Mtu { mtu, lasting }),
        4 => (1u16..400).prop_map(Fault::Reboot),
        1 => (1u16..800).prop_map(Fault::Sleep),
        1 => (1u16..300).prop_map(Fault::Stall),
        1 => (1i16..2_000).prop_map(Fault::StepClock),
        1 => (-200i16..0).prop_map(Fault::StepClock),
        1 => (1u16..600).prop_map(Fault::PauseReader),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    (0..PHASE, 0u8..2, faults()).prop_map(|(at, node, fault)| Step { at, node, fault })
}

fn flows() -> impl Strategy<Value = Flow> {
    let len = prop_oneof![4 => 12u16..100, 2 => 100u16..1_200, 1 => 1_200u16..6_000];
    (
        (0u8..2, 0u8..6, 0..PHASE / 2),
        prop_oneof![1 => Just(0u16), 3 => 1u16..60],
        1u16..60,
        (12u16..100, len),
        option::weighted(0.25, 1u16..1_000),
    )
        .prop_map(|((node, channel, start), period, count, (low, high), deadline)| Flow {
            node,
            channel,
            start,
            period,
            count,
            len_min: low.min(high),
            len_max: high,
            deadline,
        })
}

fn node_plans() -> impl Strategy<Value = NodePlan> {
    (
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop_oneof![2 => Just(0u16), 1 => 1u16..40],
        prop_oneof![1 => Just(0u16), 1 => 1u16..80],
    )
        .prop_map(|(connects, is_small, reads_every, settles_after)| NodePlan {
            connects,
            is_small,
            reads_every,
            settles_after,
            ..NodePlan::default()
        })
}

/// The first seed of the second generator.
pub const WIDE: u64 = 10_000_000_000;

/// What the second generator adds to a node.
fn wide_node_plans() -> impl Strategy<Value = NodePlan> {
    let first_numbers = (0u32..400, 0u32..400).prop_map(|(m, p)| (u32::MAX - m, u32::MAX - p));
    (
        node_plans(),
        option::weighted(0.2, 50u16..2_000),
        option::weighted(0.25, 1_500u16..6_000),
        option::weighted(0.3, 260u16..700),
        option::weighted(0.5, first_numbers),
        any::<bool>(),
    )
        .prop_map(|(plan, keep_alive, give_up, datagram_max, first_numbers, asks_for_cookie)| NodePlan {
            keep_alive,
            give_up,
            datagram_max,
            first_numbers,
            asks_for_cookie,
            ..plan
        })
}

/// More flows than the first generator has, on all channels.
fn wide_flows() -> impl Strategy<Value = Vec<Flow>> {
    let flow = (flows(), 0u8..16).prop_map(|(flow, channel)| Flow { channel, ..flow });
    prop_oneof![1 => vec(flows(), 1..6), 1 => vec(flow, 1..14)]
}

/// All schedules of the second generator.
pub fn wide_schedules() -> impl Strategy<Value = Schedule> {
    // Long enough that somebody gives up, one way or both.
    let outage = (0..PHASE, 0u8..2, 1_500u16..8_000).prop_map(|(at, node, lasting)| Step {
        at,
        node,
        fault: Fault::Outage(lasting),
    });
    let outages = prop_oneof![3 => Just(Vec::new()), 1 => vec(outage, 1..3)];
    (schedules(), wide_node_plans(), wide_node_plans(), wide_flows(), outages).prop_map(
        |(schedule, mut a, b, mut flows, outages)| {
            let mut steps = schedule.steps;
            steps.extend(outages);
            steps.sort_by_key(|s| s.at);
            a.connects |= !b.connects;
            if a.is_small || b.is_small {
                // The small storage has six channels.
                flows.iter_mut().for_each(|flow| flow.channel %= 6);
            }
            // Whoever gave up has no link to close.
            let closes = schedule.closes.filter(|_| a.give_up.or(b.give_up).is_none());
            Schedule { nodes: [a, b], flows, steps, closes, ..schedule }
        },
    )
}

/// All schedules.
pub fn schedules() -> impl Strategy<Value = Schedule> {
    (
        any::<u64>(),
        carriers(),
        any::<bool>(),
        (node_plans(), node_plans()),
        (weathers(), weathers()),
        vec(flows(), 1..6),
        vec(steps(), 0..8),
        option::weighted(0.3, 0u8..2),
    )
        .prop_map(|(seed, carrier, repeats, (mut a, b), weather, flows, mut steps, closes)| {
            // One of the two has to make the beginning.
            a.connects |= !b.connects;
            steps.sort_by_key(|s| s.at);
            let weather = [weather.0, weather.1];
            Schedule { seed, carrier, repeats, nodes: [a, b], weather, flows, steps, closes }
        })
}
