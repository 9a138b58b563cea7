//! What happens to the link and to its messages.

use core::future::poll_fn;
use core::task::Poll;

use ackline::Event;
use ackline::congestion::Controller;
use ackline::storage::Storage;
use embassy_sync::blocking_mutex::raw::RawMutex;

use crate::state::State;

/// Hands out events, in one task. While it exists, events wait for it; drop it if nobody listens.
pub struct Events<'a, M: RawMutex, S: Storage, C: Controller> {
    pub(crate) state: &'a State<M, S, C>,
}

impl<M: RawMutex, S: Storage, C: Controller> Events<'_, M, S, C> {
    /// The next event. Dropped before it is ready, it has taken none.
    pub async fn next(&mut self) -> Event {
        poll_fn(|cx| {
            self.state.with(|shared| {
                shared.pass_events();
                match shared.next_event.take() {
                    Some(event) => {
                        shared.pass_events();
                        Poll::Ready(event)
                    }
                    None => {
                        shared.events.register(cx.waker());
                        Poll::Pending
                    }
                }
            })
        })
        .await
    }
}

impl<M: RawMutex, S: Storage, C: Controller> Drop for Events<'_, M, S, C> {
    fn drop(&mut self) {
        self.state.with(|shared| {
            shared.has_events = false;
            shared.next_event = None;
            shared.pass_events();
        });
    }
}
