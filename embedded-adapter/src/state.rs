//! A link that several tasks share.

use core::cell::RefCell;
use core::task::{Context, Waker};

use ackline::congestion::Controller;
use ackline::storage::Storage;
use ackline::{Config, Event, Link, MessageId, SendError};
use embassy_sync::blocking_mutex::{Mutex, raw::RawMutex};
use embassy_sync::waitqueue::{MultiWakerRegistration, WakerRegistration};

use crate::{Events, Port, Receiver, Sender};

/// Calls of [`Sender::send_settled`] that can wait at one time; further ones wait for a place. Chosen: a place costs 20
/// bytes, and tasks that wait for their own message are few.
pub const WAITERS_MAX: usize = 4;

/// A link and the tasks that wait for it. Put it in a `static`, then [`open`](State::open) it.
///
/// `M` guards it: [`NoopRawMutex`](embassy_sync::blocking_mutex::raw::NoopRawMutex) when all tasks run on one executor, which
/// costs nothing, or [`CriticalSectionRawMutex`](embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex) when they run
/// on several; interrupts are then masked while the link handles a datagram.
pub struct State<M: RawMutex, S: Storage, C: Controller> {
    shared: Mutex<M, RefCell<Shared<S, C>>>,
}

/// What the mutex guards.
pub(crate) struct Shared<S: Storage, C: Controller> {
    /// Present while the halves exist: `open` makes them and it together.
    link: Option<Link<S, C>>,
    /// The longest message that can arrive, in bytes.
    pub(crate) message_max: usize,
    pub(crate) runner: WakerRegistration,
    pub(crate) receiver: WakerRegistration,
    pub(crate) events: WakerRegistration,
    /// Tasks that wait for room in an outbox, for a place among `waiting`, or for the outcome of a message.
    pub(crate) senders: MultiWakerRegistration<{ 2 * WAITERS_MAX }>,
    waiting: [Waiting; WAITERS_MAX],
    /// The next event for [`Events`], if it is alive.
    pub(crate) next_event: Option<Event>,
    pub(crate) has_events: bool,
}

/// A place of [`Sender::send_settled`].
#[derive(Clone, Copy)]
enum Waiting {
    Free,
    For(MessageId),
    Done(Event),
    /// Its waiter has the outcome, and is about to leave.
    Told,
    /// The outcome came, and its waiter was dropped before it looked: it goes to [`Events`].
    Left(Event),
}

impl<M: RawMutex, S: Storage, C: Controller> State<M, S, C> {
    /// A state without a link.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        State {
            shared: Mutex::new(RefCell::new(Shared {
                link: None,
                message_max: 0,
                runner: WakerRegistration::new(),
                receiver: WakerRegistration::new(),
                events: WakerRegistration::new(),
                senders: MultiWakerRegistration::new(),
                waiting: [Waiting::Free; WAITERS_MAX],
                next_event: None,
                has_events: true,
            })),
        }
    }

    /// A new link, as its four owners. It waits for its peer; [`Sender::connect`] makes it the one that opens. `seed` must
    /// differ at every boot.
    ///
    /// Drop [`Events`] if nobody listens: while it exists, events wait for it, and outboxes fill up behind them.
    #[allow(clippy::type_complexity)]
    pub fn open(
        &mut self,
        config: &Config,
        congestion: C,
        seed: u64,
    ) -> (Port<'_, M, S, C>, Sender<'_, M, S, C>, Receiver<'_, M, S, C>, Events<'_, M, S, C>) {
        let shared = self.shared.get_mut().get_mut();
        shared.link = Some(Link::new(config, congestion, seed));
        shared.message_max = (config.message_max as usize).min(S::BYTES_MAX);
        shared.waiting = [Waiting::Free; WAITERS_MAX];
        shared.next_event = None;
        shared.has_events = true;
        let state = &*self;
        (Port { state }, Sender { state }, Receiver { state }, Events { state })
    }

    /// The only way to the link: no await can come between taking and giving it back.
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(&mut Shared<S, C>) -> R) -> R {
        self.shared.lock(|shared| use_it(&mut shared.borrow_mut()))
    }
}

impl<S: Storage, C: Controller> Shared<S, C> {
    pub(crate) fn link(&mut self) -> &mut Link<S, C> {
        self.link.as_mut().expect("only the halves come here, and they have a link")
    }

    /// Passes on what happened, until an event must wait for [`Events`] to take it.
    pub(crate) fn pass_events(&mut self) {
        while self.next_event.is_none() {
            let Some(event) = self.take_left().or_else(|| self.link().poll_event()) else { return };
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
                self.next_event = Some(event);
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

    /// After the application did something that the runner may have to act on.
    pub(crate) fn on_application(&mut self) {
        self.pass_events();
        self.runner.wake();
    }

    /// Sends, or registers the task for when there is room.
    pub(crate) fn send_or_wait(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(&mut Link<S, C>) -> Result<MessageId, SendError>,
    ) -> Option<Result<MessageId, SendError>> {
        match send(self.link()) {
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
