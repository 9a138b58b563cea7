//! The network's side of a shared link, for runners.

use core::task::{Context, Poll};

use ackline::Receipt;
use embassy_sync::blocking_mutex::raw::{NoopRawMutex, RawMutex};

use crate::state::Shared;
use crate::{Drive, clock, now};

/// The side of the link that faces the network. The runners of this crate take it; write your own runner around it for
/// another transport.
pub struct Port<'a, L, M = NoopRawMutex> {
    pub(crate) shared: &'a Shared<L, M>,
    pub(crate) received: &'a mut [u8],
    pub(crate) transmit: &'a mut [u8],
}

impl<'a, L: Drive, M: RawMutex> Port<'a, L, M> {
    /// The state's two buffers, for what arrives and for what is to leave. Empty when they were taken before.
    pub fn take_buffers(&mut self) -> (&'a mut [u8], &'a mut [u8]) {
        (core::mem::take(&mut self.received), core::mem::take(&mut self.transmit))
    }

    /// Passes a datagram to the link, and wakes whom it concerns.
    pub fn handle_datagram(&self, datagram: &[u8]) -> Receipt {
        self.shared.with(|guarded| {
            let receipt = guarded.link.handle_datagram(now(), datagram);
            if matches!(receipt, Receipt::Accepted) {
                guarded.on_datagram();
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
        self.shared.with(|guarded| {
            if guarded.gives_way() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            guarded.runner.register(cx.waker());
            let now = now();
            if guarded.link.poll_timeout().is_some_and(|deadline| deadline <= now) {
                guarded.link.handle_timeout(now);
            }
            let len = guarded.link.poll_transmit(now, buffer);
            guarded.pass_events();
            match len {
                Some(len) => Poll::Ready(Some(len)),
                None if guarded.link.is_closed() => Poll::Ready(None),
                None => {
                    if let Some(deadline) = guarded.link.poll_timeout() {
                        clock::wake_at(deadline, cx);
                    }
                    Poll::Pending
                }
            }
        })
    }
}
