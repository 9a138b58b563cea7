//! An idle link asks for nothing, and a short visit is short.

mod common;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use ackline::compact::Serial;
use ackline::congestion::FixedRate;
use ackline::framing::FrameCheck;
use ackline::storage::Inline;
use ackline::{Channel, Config, Event, Link};
use ackline_embedded::serial::Runner;
use ackline_embedded::{Drive, State, embassy_net_09};
use common::cable::{Memory, address, cable, socket};
use common::exchange::TailoredSerial;
use common::{Counter, Wire, clock};
use embassy_time::{Duration, MockDriver};

type Node = State<Link<Inline<1, 4, 512, 8>, FixedRate>, 192>;
type Woken<'a> = (Pin<Box<dyn Future<Output = ()> + 'a>>, Arc<Counter>);

fn task<'a>(future: impl Future<Output = ()> + 'a) -> Woken<'a> {
    (Box::pin(future), Arc::default())
}

/// Polls `tasks` whenever they were woken, for two virtual seconds; then lets an hour pass. Answers how often they were
/// woken in that hour.
fn wakes_in_an_hour(tasks: &mut [Woken<'_>]) -> u32 {
    for step in 0..20_000 {
        for (future, wakes) in tasks.iter_mut() {
            if step == 0 || wakes.0.swap(0, Ordering::Relaxed) > 0 {
                let waker = Waker::from(wakes.clone());
                assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            }
        }
        MockDriver::get().advance(Duration::from_micros(100));
    }
    for _ in 0..3600 {
        MockDriver::get().advance(Duration::from_secs(1));
    }
    tasks.iter().map(|(_, wakes)| wakes.0.load(Ordering::Relaxed)).sum()
}

fn config() -> Config {
    let mut config = Config::serial(0);
    config.datagram_max = 192;
    config.message_max = 64;
    config
}

/// Two nodes, started.
fn pair(config: &Config) -> (Node, Node) {
    let (mut left, mut right) = (Node::new(), Node::new());
    left.link().start(config, FixedRate::new(100_000), 1);
    right.link().start(config, FixedRate::new(100_000), 2);
    (left, right)
}

#[test]
fn idle_link_on_a_serial_line_wakes_nobody_in_an_hour() {
    let _turn = clock();
    let (mut left, mut right) = pair(&config());
    let (left_port, sender, _left_receiver, mut left_events) = left.split();
    let (right_port, far_sender, mut receiver, mut right_events) = right.split();
    let (there, back) = (Wire::default(), Wire::default());
    let mut left_runner = Runner::new(left_port, back.clone(), there.clone(), FrameCheck::Crc32);
    let mut right_runner = Runner::new(right_port, there.clone(), back.clone(), FrameCheck::Crc32);
    sender.connect();
    sender.try_send(Channel(0), b"hello").unwrap();
    let mut tasks = [
        task(async { left_runner.run().await.unwrap() }),
        task(async { right_runner.run().await.unwrap() }),
        task(async { while receiver.recv_with(|_| ()).await.is_ok() {} }),
        task(async { while left_events.next().await != Event::PeerRestarted {} }),
        task(async { while right_events.next().await != Event::PeerRestarted {} }),
    ];
    assert_eq!(wakes_in_an_hour(&mut tasks), 0);
    assert_eq!((sender.stats().messages_settled, far_sender.stats().messages_received), (1, 1));
}

#[test]
fn idle_link_on_embassy_net_wakes_nobody_in_an_hour() {
    let _turn = clock();
    let mut config = Config::udp();
    config.datagram_max = 192;
    config.message_max = 64;
    let (mut memory, mut far_memory) = (Memory::new(), Memory::new());
    let (mut left, mut right) = pair(&config);
    let (left_port, sender, _left_receiver, mut left_events) = left.split();
    let (right_port, far_sender, mut receiver, mut right_events) = right.split();
    let (end, far_end) = cable();
    let (sent, far_sent) = (end.sent.clone(), far_end.sent.clone());
    let (mut network, near) = socket(&mut memory, end, 1);
    let (mut far_network, far) = socket(&mut far_memory, far_end, 2);
    let mut left_runner = embassy_net_09::Runner::new(left_port, near, Some(address(2)));
    let mut right_runner = embassy_net_09::Runner::new(right_port, far, None);
    sender.connect();
    sender.try_send(Channel(0), b"hello").unwrap();
    let mut tasks = [
        task(async { network.run().await }),
        task(async { far_network.run().await }),
        task(async { left_runner.run().await.unwrap() }),
        task(async { right_runner.run().await.unwrap() }),
        task(async { while receiver.recv_with(|_| ()).await.is_ok() {} }),
        task(async { while left_events.next().await != Event::PeerRestarted {} }),
        task(async { while right_events.next().await != Event::PeerRestarted {} }),
    ];
    assert_eq!(wakes_in_an_hour(&mut tasks), 0);
    assert_eq!((sender.stats().messages_settled, far_sender.stats().messages_received), (1, 1));
    // Hello with the message, hello with the settlement, and the confirmation of that.
    assert_eq!((sent.get(), far_sent.get()), (2, 1));
}

#[test]
fn visit_costs_a_round_trip_and_two_datagrams() {
    let _turn = clock();
    let (mut left, mut right) = pair(&config());
    let (left_port, sender, _left_receiver, _left_events) = left.split();
    let (right_port, _right_sender, mut receiver, _right_events) = right.split();
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

#[test]
fn settlement_rides_with_the_acknowledgement_whichever_task_is_first() {
    let (left, right) = pair(&config());
    runner_before_receiver(left, right);
    type Compact = State<Serial<4, 64, 192>, 192>;
    let (mut left, mut right) = (Compact::new(), Compact::new());
    left.link().start(1, 50_000);
    right.link().start(2, 50_000);
    runner_before_receiver(left, right);
    type Tailored = State<TailoredSerial, 192>;
    let (mut left, mut right) = (Tailored::new(), Tailored::new());
    left.link().start(1, 50_000);
    right.link().start(2, 50_000);
    runner_before_receiver(left, right);
}

fn runner_before_receiver<L: Drive>(mut left: State<L, 192>, mut right: State<L, 192>) {
    let _turn = clock();
    let (left_port, sender, _left_receiver, mut left_events) = left.split();
    let (right_port, _right_sender, mut receiver, _right_events) = right.split();
    let mut cx = Context::from_waker(Waker::noop());
    let carry = || {
        let (mut buffer, mut cx) = ([0; 192], Context::from_waker(Waker::noop()));
        let mut count = 0;
        for _ in 0..500 {
            for (from, to) in [(&right_port, &left_port), (&left_port, &right_port)] {
                while let Poll::Ready(Some(len)) = from.poll_transmit(&mut cx, &mut buffer) {
                    to.handle_datagram(&buffer[..len]);
                    count += 1;
                }
            }
            MockDriver::get().advance(Duration::from_millis(1));
        }
        count
    };
    sender.connect();
    carry();
    assert_eq!(pin!(left_events.next()).poll(&mut cx), Poll::Ready(Event::Connected));
    for visit in 0..3 {
        let mut taking = pin!(receiver.recv_with(|_| ()));
        assert!(taking.as_mut().poll(&mut cx).is_pending());
        sender.try_send(Channel(0), b"21.5 C").unwrap();
        let mut buffer = [0; 192];
        let Poll::Ready(Some(len)) = left_port.poll_transmit(&mut cx, &mut buffer) else {
            panic!("visit {visit}: nothing to send")
        };
        right_port.handle_datagram(&buffer[..len]);
        assert!(right_port.poll_transmit(&mut cx, &mut buffer).is_pending(), "visit {visit}");
        assert!(taking.poll(&mut cx).is_ready(), "visit {visit}: nothing to take");
        assert_eq!(carry(), 1, "visit {visit}: more than the answer");
        let settled = pin!(left_events.next()).poll(&mut cx);
        assert!(matches!(settled, Poll::Ready(Event::Settled(_))), "visit {visit}: {settled:?}");
    }
}
