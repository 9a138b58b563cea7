//! The network's side of a shared link, for runners.

use core::task::{Context, Poll};

use ackline::Receipt;
use ackline::congestion::Controller;
use ackline::storage::Storage;
use embassy_sync::blocking_mutex::raw::RawMutex;

use crate::state::State;
use crate::{clock, now};

/// The side of the link that faces the network. The runners of this crate take it; write your own runner around it for
/// another transport.
pub struct Port<'a, M: RawMutex, S: Storage, C: Controller> {
    pub(crate) state: &'a State<M, S, C>,
}

impl<M: RawMutex, S: Storage, C: Controller> Port<'_, M, S, C> {
    /// Passes a datagram to the link, and wakes whom it concerns.
    pub fn handle_datagram(&self, datagram: &[u8]) -> Receipt {
        self.state.with(|shared| {
            let receipt = shared.link().handle_datagram(now(), datagram);
            if matches!(receipt, Receipt::Accepted) {
                shared.receiver.wake();
                shared.pass_events();
            }
            receipt
        })
    }

    /// The next datagram to send, written to the start of `buffer`: its length, or `None` when the link is closed and
    /// everything was sent. Pending, it wakes the task of `cx` when there may be one; it does so too when time passes, so
    /// nothing else has to watch the clock.
    ///
    /// Ask only when the transport has taken the datagram before: the link's timers start now.
    pub fn poll_transmit(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Option<usize>> {
        self.state.with(|shared| {
            shared.runner.register(cx.waker());
            let now = now();
            if shared.link().poll_timeout().is_some_and(|deadline| deadline <= now) {
                shared.link().handle_timeout(now);
            }
            let len = shared.link().poll_transmit(now, buffer);
            shared.pass_events();
            match len {
                Some(len) => Poll::Ready(Some(len)),
                None if shared.link().is_closed() => Poll::Ready(None),
                None => {
                    if let Some(deadline) = shared.link().poll_timeout() {
                        clock::wake_at(deadline, cx);
                    }
                    Poll::Pending
                }
            }
        })
    }
}
