//! What happens to the link and to its messages.

use core::future::poll_fn;
use core::task::Poll;

use ackline::Event;
use embassy_sync::blocking_mutex::raw::{NoopRawMutex, RawMutex};

use crate::Drive;
use crate::state::{NextEvent, Shared};

/// Hands out events, in one task. While it exists, events wait for it; drop it if nobody listens.
pub struct Events<'a, L: Drive, M: RawMutex = NoopRawMutex> {
    pub(crate) shared: &'a Shared<L, M>,
}

impl<L: Drive, M: RawMutex> Events<'_, L, M> {
    /// The next event. Dropped before it is ready, it has taken none.
    pub async fn next(&mut self) -> Event {
        poll_fn(|cx| {
            self.shared.with(|guarded| {
                guarded.pass_events();
                match core::mem::replace(&mut guarded.next_event, NextEvent::None) {
                    NextEvent::Some(event) => {
                        guarded.pass_events();
                        Poll::Ready(event)
                    }
                    NextEvent::None => {
                        guarded.events.register(cx.waker());
                        Poll::Pending
                    }
                }
            })
        })
        .await
    }
}

impl<L: Drive, M: RawMutex> Drop for Events<'_, L, M> {
    fn drop(&mut self) {
        self.shared.with(|guarded| {
            guarded.has_events = false;
            guarded.next_event = NextEvent::None;
            guarded.pass_events();
        });
    }
}
