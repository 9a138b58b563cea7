//! A connection that runs allocates nothing: what it needs, it has after the first messages.

use std::alloc::System;
use std::time::Duration;

use ackline_std::{Channel, Config, Connection, Endpoint, Messages};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PATIENCE: Duration = Duration::from_secs(60);
/// Before and while allocations are counted.
const MESSAGES: u64 = 20_000;
/// How far the sender may be ahead of the receiver, so that both parts of the test need the same memory.
const AHEAD: u64 = 200;

/// Sends `MESSAGES`, some at a time, and takes them; every other time in batches.
fn stream(client: &Connection, server: &Connection, payload: &[u8]) {
    let (mut received, mut messages) = (Vec::with_capacity(payload.len()), Messages::new());
    let payloads = vec![payload; AHEAD as usize];
    for turn in 0..MESSAGES / AHEAD {
        let mut taken = 0;
        if turn % 2 == 0 {
            for payload in &payloads {
                client.send(Channel(0), payload).unwrap();
            }
            while taken < AHEAD {
                server.recv_into(&mut received).unwrap();
                assert_eq!(received, payload);
                taken += 1;
            }
        } else {
            client.send_many(Channel(0), &payloads).unwrap();
            while taken < AHEAD {
                server.recv_many(&mut messages).unwrap();
                assert!(messages.iter().all(|message| message.payload == payload));
                taken += messages.len() as u64;
            }
        }
    }
    assert_eq!(client.drain(PATIENCE).outstanding, 0);
}

#[test]
fn running_connection_allocates_nothing() {
    // One connection after the other: the allocator counts for the whole process.
    for len in [64, 1000, 3000] {
        let server = Endpoint::bind("127.0.0.1:0", &Config::udp()).unwrap();
        let client = ackline_std::connect(server.local_addr(), &Config::udp()).unwrap();
        client.wait_connected(PATIENCE).unwrap();
        let accepted = server.accept_timeout(PATIENCE).unwrap();
        let payload = vec![0x5a; len];
        stream(&client, &accepted, &payload);
        let region = Region::new(ALLOCATOR);
        stream(&client, &accepted, &payload);
        let change = region.change();
        let count = (change.allocations + change.reallocations) as u64;
        println!("{count} allocations for {MESSAGES} messages of {len} bytes");
        // The test's own buffers, and queues that grow after an unusual delay.
        assert!(count <= MESSAGES / 200, "{change:?} for {MESSAGES} messages of {len} bytes");
    }
}
