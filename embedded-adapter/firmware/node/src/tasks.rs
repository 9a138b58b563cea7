//! The application with tasks: sending, receiving and events wait for each other in nothing.

use ackline_embedded::{Drive, Events, Receiver, Sender};
use embassy_futures::join::join3;
use embassy_time::Timer;
use telemetry::MESSAGE_MAX;

use crate::{CHANNEL, INTERVAL, Node};

/// Opens the link, and runs for ever.
pub async fn run<L: Drive>(
    node: Node,
    sender: Sender<'_, L>,
    mut receiver: Receiver<'_, L>,
    mut events: Events<'_, L>,
) {
    sender.connect();
    let readings = async {
        let mut samples = [0; _];
        while sender
            .send_typed::<MESSAGE_MAX>(CHANNEL, &node.reading(sender.stats(), &mut samples))
            .await
            .is_ok()
        {
            node.on_sent();
            if !node.is_urgent() {
                Timer::after_millis(INTERVAL.as_millis() as u64).await;
            }
        }
    };
    let commands =
        async { while receiver.recv_with(|message| node.on_command(message.payload)).await.is_ok() {} };
    let events = async {
        loop {
            node.on_event(events.next().await);
        }
    };
    let (_, _, ()) = join3(readings, commands, events).await;
}
