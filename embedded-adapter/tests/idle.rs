//! An idle link asks for nothing, and a short visit is short.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use ackline::congestion::FixedRate;
use ackline::framing::FrameCheck;
use ackline::storage::Inline;
use ackline::{Channel, Config};
use ackline_embedded::State;
use ackline_embedded::serial::Runner;
use common::{Counter, Wire, clock};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::{Duration, MockDriver};

type Node = State<NoopRawMutex, Inline<1, 4, 512, 8>, FixedRate>;

fn config() -> Config {
    let mut config = Config::serial(0);
    config.datagram_max = 192;
    config.message_max = 64;
    config
}

#[test]
fn idle_link_wakes_its_runner_zero_times_in_an_hour() {
    let _turn = clock();
    let (mut left, mut right) = (Node::new(), Node::new());
    let rate = FixedRate::new(100_000);
    let (left_port, sender, _left_receiver, left_events) = left.open(&config(), rate, 1);
    let (right_port, _right_sender, mut receiver, right_events) = right.open(&config(), rate, 2);
    drop((left_events, right_events));
    let (there, back) = (Wire::default(), Wire::default());
    let mut left_runner =
        Runner::<_, _, _, _, _, 192>::new(left_port, back.clone(), there.clone(), FrameCheck::Crc32);
    let mut right_runner =
        Runner::<_, _, _, _, _, 192>::new(right_port, there.clone(), back.clone(), FrameCheck::Crc32);
    let (mut left_run, mut right_run) = (pin!(left_runner.run()), pin!(right_runner.run()));
    sender.connect();
    sender.try_send(Channel(0), b"hello").unwrap();
    let wakes = [Arc::new(Counter::default()), Arc::new(Counter::default())];
    let wakers = [Waker::from(wakes[0].clone()), Waker::from(wakes[1].clone())];
    let mut received = false;
    for _ in 0..20_000 {
        assert!(left_run.as_mut().poll(&mut Context::from_waker(&wakers[0])).is_pending());
        assert!(right_run.as_mut().poll(&mut Context::from_waker(&wakers[1])).is_pending());
        let mut cx = Context::from_waker(Waker::noop());
        received |= matches!(pin!(receiver.recv_with(|_| ())).poll(&mut cx), Poll::Ready(Ok(())));
        MockDriver::get().advance(Duration::from_micros(100));
    }
    assert!(received);
    assert_eq!(sender.stats().messages_settled, 1);
    let before = wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed));
    for _ in 0..3600 {
        MockDriver::get().advance(Duration::from_secs(1));
    }
    let after = wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed));
    assert_eq!(before, after);
}

#[test]
fn visit_costs_a_round_trip_and_two_datagrams() {
    let _turn = clock();
    let (mut left, mut right) = (Node::new(), Node::new());
    let rate = FixedRate::new(100_000);
    let (left_port, sender, _left_receiver, _left_events) = left.open(&config(), rate, 1);
    let (right_port, _right_sender, mut receiver, _right_events) = right.open(&config(), rate, 2);
    let mut cx = Context::from_waker(Waker::noop());
    let mut buffer = [0; 192];
    for visit in 0..3 {
        // Wake, send ...
        if visit == 0 {
            sender.connect();
        }
        sender.try_send(Channel(0), b"21.5 C").unwrap();
        let Poll::Ready(Some(len)) = left_port.poll_transmit(&mut cx, &mut buffer) else {
            panic!("nothing to send")
        };
        assert!(
            left_port.poll_transmit(&mut cx, &mut [0; 192]).is_pending(),
            "visit {visit}: a second datagram"
        );
        right_port.handle_datagram(&buffer[..len]);
        assert!(
            matches!(pin!(receiver.recv_with(|_| ())).poll(&mut cx), Poll::Ready(Ok(()))),
            "visit {visit}"
        );
        // ... hear the settlement, sleep.
        MockDriver::get().advance(Duration::from_millis(2));
        let Poll::Ready(Some(len)) = right_port.poll_transmit(&mut cx, &mut buffer) else {
            panic!("visit {visit}: no answer")
        };
        left_port.handle_datagram(&buffer[..len]);
        assert_eq!(sender.stats().messages_settled, visit + 1);
        // What the first visit's handshake still owes is not part of the visit.
        for _ in 0..100 {
            for (from, to) in [(&left_port, &right_port), (&right_port, &left_port)] {
                while let Poll::Ready(Some(len)) = from.poll_transmit(&mut cx, &mut buffer) {
                    assert!(visit == 0, "visit {visit}: a datagram too many");
                    to.handle_datagram(&buffer[..len]);
                }
            }
            MockDriver::get().advance(Duration::from_millis(5));
        }
    }
}
