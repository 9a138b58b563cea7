//! The engine's bytes to schedules of the simulator: the same ranges as those of `ackline_tests::schedule::schedules`, but
//! drawn by what the engine found to reach new code.

use ackline_tests::schedule::{Carrier, Fault, Flow, NodePlan, Schedule, Step, Weather};
use arbitrary::{Result, Unstructured};

/// Longest fault phase in milliseconds.
const PHASE: u16 = 4_000;

fn carrier(u: &mut Unstructured<'_>) -> Result<Carrier> {
    Ok(match u.int_in_range(0..=5u8)? {
        0 => Carrier::Serial { baud: if u.arbitrary()? { 115_200 } else { 921_600 } },
        1 => Carrier::Datagrams { rate: u.int_in_range(128..=50_000)?, delay: u.int_in_range(20..=150_000)? },
        _ => Carrier::Datagrams { rate: 0, delay: u.int_in_range(20..=30_000)? },
    })
}

fn permille(u: &mut Unstructured<'_>, max: u16) -> Result<u16> {
    if u.ratio(2, 5)? { Ok(0) } else { u.int_in_range(0..=max) }
}

fn weather(u: &mut Unstructured<'_>) -> Result<Weather> {
    Ok(Weather {
        loss: permille(u, 500)?,
        is_bursty: u.arbitrary()?,
        duplicate: permille(u, 500)?,
        reorder: permille(u, 500)?,
        reorder_by: u.int_in_range(1..=59)?,
        corrupt: permille(u, 200)?,
        truncate: permille(u, 100)?,
        jitter: permille(u, 10_000)?,
    })
}

fn fault(u: &mut Unstructured<'_>) -> Result<Fault> {
    Ok(match u.int_in_range(0..=13u8)? {
        0 | 1 => Fault::LoseNth(u.int_in_range(0..=11)?),
        2 | 3 => Fault::Weather(weather(u)?),
        4 | 5 => Fault::Outage(u.int_in_range(1..=1_499)?),
        6 => Fault::Mtu { mtu: u.int_in_range(60..=1_499)?, lasting: u.int_in_range(1..=799)? },
        7 => Fault::Sleep(u.int_in_range(1..=799)?),
        8 => Fault::Stall(u.int_in_range(1..=299)?),
        9 => Fault::StepClock(u.int_in_range(-200..=1_999)?),
        10 => Fault::PauseReader(u.int_in_range(1..=599)?),
        _ => Fault::Reboot(u.int_in_range(1..=399)?),
    })
}

fn flow(u: &mut Unstructured<'_>) -> Result<Flow> {
    let longest = if u.ratio(1, 5)? { 6_000 } else { 1_200 };
    let (low, high) = (u.int_in_range(12..=99)?, u.int_in_range(12..=longest)?);
    Ok(Flow {
        node: u.int_in_range(0..=1)?,
        channel: u.int_in_range(0..=5)?,
        start: u.int_in_range(0..=PHASE / 2)?,
        period: if u.ratio(1, 4)? { 0 } else { u.int_in_range(1..=59)? },
        count: u.int_in_range(1..=59)?,
        len_min: low.min(high),
        len_max: high,
        deadline: if u.ratio(1, 4)? { Some(u.int_in_range(1..=999)?) } else { None },
    })
}

fn node(u: &mut Unstructured<'_>) -> Result<NodePlan> {
    Ok(NodePlan {
        connects: u.arbitrary()?,
        is_small: u.ratio(1, 3)?,
        reads_every: if u.arbitrary()? { 0 } else { u.int_in_range(0..=39)? },
        settles_after: if u.arbitrary()? { 0 } else { u.int_in_range(0..=79)? },
        ..NodePlan::default()
    })
}

/// A schedule. Whatever the bytes, it is a valid one; when they run out, it is a calm one.
pub fn schedule(u: &mut Unstructured<'_>) -> Result<Schedule> {
    let mut schedule = Schedule {
        seed: u.arbitrary()?,
        carrier: carrier(u)?,
        repeats: u.arbitrary()?,
        nodes: [node(u)?, node(u)?],
        weather: [weather(u)?, weather(u)?],
        flows: Vec::new(),
        steps: Vec::new(),
        closes: if u.ratio(1, 3)? { Some(u.int_in_range(0..=1)?) } else { None },
    };
    // One of the two has to make the beginning.
    schedule.nodes[0].connects |= !schedule.nodes[1].connects;
    for _ in 0..u.int_in_range(1..=5u8)? {
        schedule.flows.push(flow(u)?);
    }
    for _ in 0..u.int_in_range(0..=8u8)? {
        schedule.steps.push(Step {
            at: u.int_in_range(0..=PHASE)?,
            node: u.int_in_range(0..=1)?,
            fault: fault(u)?,
        });
    }
    schedule.steps.sort_by_key(|s| s.at);
    Ok(schedule)
}
