//! Two applications that exchange messages by every future that the adapter has, and what must hold in the end.
#![allow(clippy::await_holding_refcell_ref)] // one task each borrows what it holds

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ackline::congestion::FixedRate;
use ackline::storage::Inline;
use ackline::tailored::{Endpoint, Media, Profile};
use ackline::{
    Channel, ChannelConfig, CloseReason, Config, DeliveryId, Event, Instant, Mode, Stats, compact,
};
use ackline_embedded::{Deadlines, Drive, Events, Receiver, Sender, State, now};

use super::{Drops, Random, Task, run};

/// The links under test.
pub type Full = ackline::Link<Inline<2, 4, 512, 8>, FixedRate>;
pub type CompactSerial = compact::Serial<4, 64, 192>;
pub type CompactDatagrams = compact::Datagrams<4, 64, 192>;
pub type Tailored<const DATAGRAMS: bool> = Endpoint<Able<DATAGRAMS>, 2, 4, 64, 192>;
pub type TailoredSerial = Tailored<false>;
pub type TailoredDatagrams = Tailored<true>;

/// What the full link is asked for in these tests.
pub enum Able<const DATAGRAMS: bool> {}

impl<const DATAGRAMS: bool> Profile for Able<DATAGRAMS> {
    const MEDIA: Media = if DATAGRAMS { Media::Datagrams } else { Media::Framed };
    const CHANNELS: &'static [ChannelConfig] =
        &[ChannelConfig::new(Mode::Ordered), ChannelConfig::new(Mode::Ordered).settle_explicitly()];
    const SERVES: bool = DATAGRAMS;
    type Deadline = Instant;
    type Counters = Stats;
}

pub type Node<L> = State<L, 192>;

/// What a link of this test can do besides.
#[allow(async_fn_in_trait)]
pub trait Tested: Drive {
    /// Channel 1, settled explicitly, is there; and counters are.
    const IS_FULL: bool;
    /// On the medium of `config`.
    fn begin(&mut self, config: &Config, bytes_per_second: u32, seed: u64);
    /// Sends message `n` back on channel 0, in one of the ways that there are.
    async fn send_back(sender: Sender<'_, Self>, n: u32);
    fn settle(receiver: &mut Receiver<'_, Self>, id: DeliveryId);
}

impl Tested for Full {
    const IS_FULL: bool = true;
    fn begin(&mut self, config: &Config, bytes_per_second: u32, seed: u64) {
        self.start(&configured(config.clone()), FixedRate::new(bytes_per_second), seed);
    }
    async fn send_back(sender: Sender<'_, Self>, n: u32) {
        send_back_either_way(sender, n).await;
    }
    fn settle(receiver: &mut Receiver<'_, Self>, id: DeliveryId) {
        receiver.settle(id).unwrap();
    }
}

impl<const CHECKED: bool> Tested for compact::Link<4, 64, 192, CHECKED> {
    const IS_FULL: bool = false;
    fn begin(&mut self, _config: &Config, _bytes_per_second: u32, seed: u64) {
        // Random turns make round trips vary a lot: a first guess that is far too long keeps probes away.
        self.start(seed, 1_000_000);
    }
    async fn send_back(sender: Sender<'_, Self>, n: u32) {
        sender.send_typed::<8>(PLAIN, &n).await.unwrap();
    }
    fn settle(_receiver: &mut Receiver<'_, Self>, id: DeliveryId) {
        panic!("{id:?} needs no settling")
    }
}

impl<const DATAGRAMS: bool> Tested for Tailored<DATAGRAMS> {
    const IS_FULL: bool = true;
    fn begin(&mut self, _config: &Config, _bytes_per_second: u32, seed: u64) {
        // As for the compact one.
        self.start(seed, 1_000_000);
    }
    async fn send_back(sender: Sender<'_, Self>, n: u32) {
        send_back_either_way(sender, n).await;
    }
    fn settle(receiver: &mut Receiver<'_, Self>, id: DeliveryId) {
        receiver.settle(id).unwrap();
    }
}

async fn send_back_either_way<L: Deadlines>(sender: Sender<'_, L>, n: u32) {
    if n.is_multiple_of(2) {
        sender.send_typed::<8>(PLAIN, &n).await.unwrap();
    } else {
        let mut buffer = [0; 8];
        let payload = ackline_embedded::typed::encode(&n, &mut buffer).unwrap();
        sender.send_before(PLAIN, payload, now() + TTL).await.unwrap();
    }
}

/// Settled as they are taken.
const PLAIN: Channel = Channel(0);
/// Settled explicitly.
const EXPLICIT: Channel = Channel(1);
/// Far beyond the end of any test.
const TTL: std::time::Duration = std::time::Duration::from_secs(3600);

/// Both sides' configuration, on `config`'s medium.
fn configured(mut config: Config) -> Config {
    config.datagram_max = 192;
    config.message_max = 64;
    config.channel(1, ChannelConfig::new(Mode::Ordered).settle_explicitly())
}

/// The application's halves of one side.
pub struct Side<'a, L: Tested> {
    pub sender: Sender<'a, L>,
    pub receiver: Receiver<'a, L>,
    pub events: Events<'a, L>,
}

/// What is sent: `there` messages on each channel by the left side, as many as `back` by the right.
#[derive(Clone, Copy)]
pub struct Amount {
    pub there: u32,
    pub back: u32,
}

/// What one task of an exchange did: its name, how often it was pending, how often it was dropped.
pub type Did = (&'static str, u32, u32);

/// Message `n`: its number, then filling that makes every length from 4 to 64.
pub fn message(n: u32) -> Vec<u8> {
    let mut message = n.to_le_bytes().to_vec();
    message.resize(4 + n as usize % 61, n as u8);
    message
}

/// What happened so far.
#[derive(Default, Debug)]
struct Log {
    /// Left: messages that `send` took.
    sent: Cell<u32>,
    /// Right: messages that `send_before` and `send_typed` took.
    sent_back: Cell<u32>,
    /// Left: outcomes of `send_settled`, returned by it.
    waited: Cell<u32>,
    /// Left: outcomes that came as events, by channel.
    settled: [Cell<u32>; 2],
    /// Right: what arrived, by channel.
    received: [RefCell<Vec<Vec<u8>>>; 2],
    /// Left: what arrived.
    received_back: RefCell<Vec<u32>>,
    settled_back: Cell<u32>,
    closed: [Cell<Option<CloseReason>>; 2],
}

fn bump(count: &Cell<u32>) {
    count.set(count.get() + 1);
}

/// Carries everything through with `runners` under the two sides, and closes. `drops`: what happens to the task of that
/// name, or to all.
pub fn exchange<'a, L: Tested>(
    seed: u64,
    amount: Amount,
    drops: impl Fn(&'static str) -> Drops,
    runners: Vec<Task<'a>>,
    left: Side<'a, L>,
    right: Side<'a, L>,
) -> Vec<Did> {
    let mut random = Random(seed);
    let log = Rc::new(Log::default());
    let there = [amount.there, if L::IS_FULL { amount.there } else { 0 }];
    let (sender, far_sender) = (left.sender, right.sender);
    sender.connect();
    let mut tasks = runners;
    tasks.extend(left_tasks(left, amount, &log));
    tasks.extend(right_tasks(right, amount, &log));
    let mut tasks: Vec<_> = tasks
        .into_iter()
        .map(|task| {
            let drops = drops(task.name());
            task.dropping(drops)
        })
        .collect();
    let is_through = run(&mut tasks, &mut random, || {
        log.settled[0].get() == there[0]
            && log.settled[1].get() + log.waited.get() == there[1]
            && log.settled_back.get() == amount.back
    });
    assert!(is_through, "seed {seed} stands still: {log:?}, {:?}, {:?}", sender.stats(), far_sender.stats());
    sender.close();
    let is_closed = run(&mut tasks, &mut random, || log.closed.iter().all(|closed| closed.get().is_some()));
    assert!(is_closed, "seed {seed} does not close: {log:?}");
    let is_over = run(&mut tasks, &mut random, || true);
    assert!(is_over);
    for (channel, received) in log.received.iter().enumerate() {
        let expected: Vec<_> = (0..there[channel]).map(message).collect();
        assert_eq!(*received.borrow(), expected, "seed {seed}, channel {channel}");
    }
    assert_eq!(*log.received_back.borrow(), (0..amount.back).collect::<Vec<_>>(), "seed {seed}");
    assert_eq!(log.closed.each_ref().map(Cell::get), [Some(CloseReason::Drained), Some(CloseReason::Peer)]);
    for stats in [sender.stats(), far_sender.stats()] {
        let Stats { packets_lost, duplicates, messages_failed, .. } = stats;
        assert_eq!((packets_lost, duplicates, messages_failed), (0, 0, 0), "seed {seed}: {stats:?}");
    }
    tasks.iter().map(|task| (task.name(), task.pending_count, task.dropped_count)).collect()
}

fn left_tasks<'a, L: Tested>(side: Side<'a, L>, amount: Amount, log: &Rc<Log>) -> Vec<Task<'a>> {
    let Side { sender, receiver, events } = side;
    let (receiver, events) = (Rc::new(RefCell::new(receiver)), Rc::new(RefCell::new(events)));
    let (a, b, c, d) = (log.clone(), log.clone(), log.clone(), log.clone());
    vec![
        Task::new("send", move || {
            let log = a.clone();
            async move {
                while log.sent.get() < amount.there {
                    sender.send(PLAIN, &message(log.sent.get())).await.unwrap();
                    bump(&log.sent);
                }
            }
        }),
        Task::new("send_settled", move || {
            let log = b.clone();
            async move {
                // Dropped while it waited for the outcome, it has sent nevertheless.
                let next = || sender.stats().messages_sent - log.sent.get();
                while L::IS_FULL && next() < amount.there {
                    sender.send_settled(EXPLICIT, &message(next())).await.unwrap();
                    bump(&log.waited);
                }
            }
        }),
        Task::new("recv_typed", move || {
            let (log, receiver) = (c.clone(), receiver.clone());
            async move {
                let mut receiver = receiver.borrow_mut();
                while let Ok(message) = receiver.recv_typed::<u32>().await {
                    log.received_back.borrow_mut().push(message.unwrap());
                }
            }
        }),
        Task::new("events", move || {
            let (log, events) = (d.clone(), events.clone());
            async move {
                let mut events = events.borrow_mut();
                loop {
                    match events.next().await {
                        Event::Settled(id) => bump(&log.settled[usize::from(id.channel.0)]),
                        Event::Closed(reason) => log.closed[0].set(Some(reason)),
                        Event::Connected | Event::Writable(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        }),
    ]
}

fn right_tasks<'a, L: Tested>(side: Side<'a, L>, amount: Amount, log: &Rc<Log>) -> Vec<Task<'a>> {
    let Side { sender, receiver, events } = side;
    let (receiver, events) = (Rc::new(RefCell::new(receiver)), Rc::new(RefCell::new(events)));
    let (a, b, c) = (log.clone(), log.clone(), log.clone());
    vec![
        Task::new("send_typed", move || {
            let log = a.clone();
            async move {
                while log.sent_back.get() < amount.back {
                    L::send_back(sender, log.sent_back.get()).await;
                    bump(&log.sent_back);
                }
            }
        }),
        Task::new("recv", move || {
            let (log, receiver) = (b.clone(), receiver.clone());
            async move {
                let (mut receiver, mut buffer) = (receiver.borrow_mut(), [0; 64]);
                while let Ok(got) = receiver.recv(&mut buffer).await {
                    let channel = usize::from(got.channel.0);
                    log.received[channel].borrow_mut().push(buffer[..got.len].to_vec());
                    if got.channel == EXPLICIT {
                        L::settle(&mut receiver, got.id);
                    }
                }
            }
        }),
        Task::new("far events", move || {
            let (log, events) = (c.clone(), events.clone());
            async move {
                let mut events = events.borrow_mut();
                loop {
                    match events.next().await {
                        Event::Settled(_) => bump(&log.settled_back),
                        Event::Closed(reason) => log.closed[1].set(Some(reason)),
                        Event::Connected | Event::Writable(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        }),
    ]
}

/// An exchange without any drop, then two for every task and every poll of it that was pending: it is dropped there, and
/// when it is woken from there. Answers how many exchanges with a drop that were.
pub fn dropped_at_each_await_of_each_task(
    exchange: impl Fn(&dyn Fn(&'static str) -> Drops) -> Vec<Did>,
) -> u32 {
    let undisturbed = exchange(&|_| Drops::Never);
    let mut count = 0;
    for (victim, pending_count, _) in undisturbed {
        for drops in (0..pending_count).flat_map(|n| [Drops::After(n), Drops::Woken(n)]) {
            let did = exchange(&|name| if name == victim { drops } else { Drops::Never });
            let dropped: u32 = did.iter().map(|(_, _, dropped)| dropped).sum();
            // From its last await, a task may never be woken.
            let is_last = matches!(drops, Drops::Woken(n) if n + 1 == pending_count);
            assert!(dropped == 1 || is_last, "{victim} was not dropped: {drops:?}");
            count += dropped;
        }
    }
    count
}
