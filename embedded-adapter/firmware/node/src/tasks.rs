//! The node's turns as tasks of an executor: sending, receiving and events wait for each other in nothing.

use ackline::Config;
use ackline::congestion::Controller;
use ackline_embedded::{Events, Port, Receiver, Sender, State};
use embassy_futures::join::join3;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_time::Timer;
use telemetry::MESSAGE_MAX;

use crate::{CHANNEL, INTERVAL, Node, Storage};

/// Everything runs on one executor.
pub type Mutex = NoopRawMutex;

/// The node and its halves of the link.
pub struct Application<C: Controller + 'static> {
    node: Node,
    sender: Sender<'static, Mutex, Storage, C>,
    receiver: Receiver<'static, Mutex, Storage, C>,
    events: Events<'static, Mutex, Storage, C>,
}

/// Opens the link to the desktop. The port is for the runner of its transport.
pub fn open<C: Controller>(
    state: &'static mut State<Mutex, Storage, C>,
    config: &Config,
    congestion: C,
) -> (Port<'static, Mutex, Storage, C>, Application<C>) {
    let seed = board::entropy::seed();
    let (port, sender, receiver, events) = state.open(config, congestion, seed);
    sender.connect();
    (port, Application { node: Node::new(seed), sender, receiver, events })
}

impl<C: Controller> Application<C> {
    /// Runs for ever.
    pub async fn run(self) {
        let Application { node, sender, mut receiver, mut events } = self;
        let readings = async {
            let mut buffer = [0; MESSAGE_MAX];
            while sender.send(CHANNEL, node.reading(sender.stats(), &mut buffer)).await.is_ok() {
                node.on_sent();
                if !node.is_urgent() {
                    Timer::after_millis(INTERVAL.as_millis() as u64).await;
                }
            }
        };
        let commands =
            async { while receiver.recv_with(|delivery| node.on_command(delivery.payload)).await.is_ok() {} };
        let events = async {
            loop {
                node.on_event(events.next().await);
            }
        };
        let (_, _, ()) = join3(readings, commands, events).await;
    }
}
