//! A link that several tasks share.

use core::cell::RefCell;
use core::task::{Context, Waker};

use ackline::{Event, MessageId, SendError};
use embassy_sync::blocking_mutex::{
    Mutex,
    raw::{NoopRawMutex, RawMutex},
};
use embassy_sync::waitqueue::{MultiWakerRegistration, WakerRegistration};

use crate::{Drive, Events, Port, Receiver, Sender};

/// Calls of [`Sender::send_settled`] that can wait at one time; further ones wait for a place. Chosen: a place costs 20
/// bytes, and tasks that wait for their own message are few.
pub const WAITERS_MAX: usize = 4;

/// Polls of the runner in which it sends nothing, because the receiver is to take a message first: what is settled then rides
/// with the acknowledgement. Chosen: when both are woken together, executors poll them in either order.
const TURNS: u8 = 2;

/// A link, the buffers of its transport, and the tasks that wait for it. Put it in a `static` (it is all zeros and takes no
/// flash), start its [`link`](State::link), then [`split`](State::split) it.
///
/// `N` is the length of each of the two buffers: that of the link's longest datagram or more.
///
/// `M` guards the link: [`NoopRawMutex`] as long as all tasks run on one executor, which costs nothing, or
/// [`CriticalSectionRawMutex`](embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex) when they run
/// on several; interrupts are then masked while the link handles a datagram.
pub struct State<L, const N: usize, M = NoopRawMutex> {
    shared: Shared<L, M>,
    received: [u8; N],
    transmit: [u8; N],
}

/// A link behind its mutex.
pub(crate) struct Shared<L, M>(Mutex<M, RefCell<Guarded<L>>>);

/// What the mutex guards.
pub(crate) struct Guarded<L> {
    pub(crate) link: L,
    pub(crate) runner: WakerRegistration,
    pub(crate) receiver: WakerRegistration,
    /// How often the runner still gives way to the receiver.
    pub(crate) turns: u8,
    pub(crate) events: WakerRegistration,
    /// Tasks that wait for room in an outbox, for a place among `waiting`, or for the outcome of a message.
    pub(crate) senders: MultiWakerRegistration<{ 2 * WAITERS_MAX }>,
    waiting: [Waiting; WAITERS_MAX],
    /// The next event for [`Events`], if it is alive.
    pub(crate) next_event: NextEvent,
    pub(crate) has_events: bool,
}

/// A place of [`Sender::send_settled`].
// Numbered, as what is free must be all zeros.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Waiting {
    Free = 0,
    For(MessageId) = 1,
    Done(Event) = 2,
    /// Its waiter has the outcome, and is about to leave.
    Told = 3,
    /// The outcome came, and its waiter was dropped before it looked: it goes to [`Events`].
    Left(Event) = 4,
}

/// An `Option` of which `None` is all zeros.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum NextEvent {
    None = 0,
    Some(Event) = 1,
}

impl<L: Drive, const N: usize, M: RawMutex> State<L, N, M> {
    /// A state with a link that is not started.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        State {
            shared: Shared(Mutex::new(RefCell::new(Guarded {
                link: L::UNSTARTED,
                runner: WakerRegistration::new(),
                receiver: WakerRegistration::new(),
                turns: 0,
                events: WakerRegistration::new(),
                senders: MultiWakerRegistration::new(),
                waiting: [Waiting::Free; WAITERS_MAX],
                next_event: NextEvent::None,
                has_events: false,
            }))),
            received: [0; N],
            transmit: [0; N],
        }
    }

    /// The link, to be started.
    pub fn link(&mut self) -> &mut L {
        &mut self.shared.0.get_mut().get_mut().link
    }

    /// The four owners of a link that was started. It waits for its peer; [`Sender::connect`] makes it the one that opens.
    ///
    /// Drop [`Events`] if nobody listens: while it exists, events wait for it, and outboxes fill up behind them.
    #[allow(clippy::type_complexity)]
    pub fn split(&mut self) -> (Port<'_, L, M>, Sender<'_, L, M>, Receiver<'_, L, M>, Events<'_, L, M>) {
        let State { shared, received, transmit } = self;
        let guarded = shared.0.get_mut().get_mut();
        guarded.waiting = [Waiting::Free; WAITERS_MAX];
        guarded.next_event = NextEvent::None;
        guarded.has_events = true;
        let shared = &*shared;
        (Port { shared, received, transmit }, Sender { shared }, Receiver { shared }, Events { shared })
    }
}

impl<L, M: RawMutex> Shared<L, M> {
    /// The only way to the link: no await can come between taking and giving it back.
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(&mut Guarded<L>) -> R) -> R {
        self.0.lock(|guarded| use_it(&mut guarded.borrow_mut()))
    }
}

impl<L: Drive> Guarded<L> {
    /// Passes on what happened, until an event must wait for [`Events`] to take it.
    pub(crate) fn pass_events(&mut self) {
        while matches!(self.next_event, NextEvent::None) {
            let Some(event) = self.take_left().or_else(|| self.link.poll_event()) else { return };
            if let Some(id) = decided(&event) {
                // An outcome makes room in the outbox, whoever asked for it.
                self.senders.wake();
                if self.is_awaited(id, event) {
                    continue;
                }
            }
            #[cfg(feature = "defmt-1")]
            log(&event);
            if matches!(event, Event::Closed(_)) {
                self.senders.wake();
                self.receiver.wake();
            }
            if self.has_events {
                self.next_event = NextEvent::Some(event);
                self.events.wake();
            }
        }
    }

    /// An outcome that nobody waits for any more. Its place is free now.
    fn take_left(&mut self) -> Option<Event> {
        self.waiting.iter_mut().find_map(|place| match *place {
            Waiting::Left(event) => {
                *place = Waiting::Free;
                Some(event)
            }
            _ => None,
        })
    }

    fn is_awaited(&mut self, id: MessageId, outcome: Event) -> bool {
        let place = self.waiting.iter_mut().find(|place| matches!(place, Waiting::For(i) if *i == id));
        match place {
            Some(place) => {
                *place = Waiting::Done(outcome);
                true
            }
            None => false,
        }
    }

    /// A place among those that wait for an outcome.
    pub(crate) fn free_place(&self) -> Option<usize> {
        self.waiting.iter().position(|place| matches!(place, Waiting::Free))
    }

    pub(crate) fn wait_in(&mut self, place: usize, id: MessageId) {
        self.waiting[place] = Waiting::For(id);
    }

    /// Takes the outcome that came to `place`.
    pub(crate) fn take_outcome(&mut self, place: usize) -> Option<Event> {
        let Waiting::Done(outcome) = self.waiting[place] else { return None };
        self.waiting[place] = Waiting::Told;
        Some(outcome)
    }

    /// Nobody waits in `place` any more. What had come there was not looked at.
    pub(crate) fn leave(&mut self, place: usize) {
        self.waiting[place] = match self.waiting[place] {
            Waiting::Done(outcome) => Waiting::Left(outcome),
            _ => Waiting::Free,
        };
        self.pass_events();
        self.senders.wake();
    }

    /// A datagram was accepted.
    pub(crate) fn on_datagram(&mut self) {
        if self.receiver.occupied() && self.link.has_delivery() {
            self.turns = TURNS;
        }
        self.receiver.wake();
        self.pass_events();
    }

    /// Whether the runner has to wait for the receiver.
    pub(crate) fn gives_way(&mut self) -> bool {
        let gives_way = self.turns > 0;
        self.turns = self.turns.saturating_sub(1);
        gives_way
    }

    /// After the application did something that the runner may have to act on.
    pub(crate) fn on_application(&mut self) {
        self.pass_events();
        self.runner.wake();
    }

    /// Sends, or registers the task for when there is room.
    pub(crate) fn send_or_wait(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut L) -> Result<MessageId, SendError>,
    ) -> Option<Result<MessageId, SendError>> {
        match send(&mut self.link) {
            Err(SendError::Full) => {
                self.wait_with_senders(cx.waker());
                None
            }
            result => Some(result),
        }
    }

    pub(crate) fn wait_with_senders(&mut self, waker: &Waker) {
        self.senders.register(waker);
    }
}

/// The message whose outcome `event` is.
fn decided(event: &Event) -> Option<MessageId> {
    match *event {
        Event::Settled(id) | Event::Expired(id) | Event::Failed(id, _) => Some(id),
        _ => None,
    }
}

/// Outcomes come with every message; what happens to the link is rare enough to say.
#[cfg(feature = "defmt-1")]
fn log(event: &Event) {
    match event {
        Event::Settled(_) | Event::Writable(_) => {}
        Event::Expired(_) | Event::Failed(..) => defmt::debug!("{}", event),
        _ => defmt::info!("{}", event),
    }
}
