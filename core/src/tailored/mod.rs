//! A third endpoint of the same protocol: as able as the program needs, in a third of the full link's flash.
//!
//! [`tailored::Endpoint`](Endpoint) has all of the protocol's features, and each program pays for those that its [`Profile`] has.
//! It is made like the [compact link](crate::compact), which is smaller still where one ordered channel is enough: at most one
//! packet is in flight, and it carries what is not acknowledged, the most urgent first. So it talks to the full
//! [`Link`](crate::Link), to the compact one where that has all that is asked for, and to itself, and keeps the same promise.
//!
//! |  | tailored | full |
//! |---|---|---|
//! | channels, modes, priorities | 1 to 16, all modes, 4 classes, turns within a class | the same |
//! | messages | `MESSAGES` of up to `BYTES` bytes for each channel, each way, in places of their own | storage of your choice |
//! | longer than a packet | [`FRAGMENTS`](Profile::FRAGMENTS): up to 8 KiB | up to 16 MiB |
//! | deadlines, explicit settlement | [`Profile::Deadline`], [`Profile::CHANNELS`] | there |
//! | packets in flight | 1: a message rate of what fits into a packet to a round trip, which RFC 8085 (3.1.2) allows without congestion control | as many as the congestion controller allows |
//! | retransmission | after a probe timeout, doubled up to 5 s | also by what arrived later |
//! | best-effort messages | lost with the first probe timeout | with a loss |
//! | repetition in spare room | none | there |
//! | acknowledgements | at once | held back for `ack_delay` |
//! | messages in the first hello | none | there |
//! | settled above the first that is not | told when the first is | told at once (*settled and more*) |
//! | media | [`Profile::MEDIA`]: framed, datagrams with check and link id, or both | either |
//! | restarts, duplicates, cookies, resets, close, abort | the same | the same |
//! | waiting over datagrams, version answers | [`Profile::SERVES`] | there |
//! | keep-alive, giving up, counters | [`Profile`] | there |
//! | a peer that takes less than this side has | its hellos are dropped: fewer channels, shorter messages than [`MESSAGE_MAX`](Endpoint::MESSAGE_MAX) | what it does not take fails |
//!
//! # Memory
//!
//! In bytes, on a 32-bit processor, with `C` channels, `M` messages and `B` bytes: `C * M * (2 * B + 4)` for messages and their states,
//! `8 * C * M` for deadlines, 44 for the numbers of a channel, 112 for counters, and about 220 for the rest. A link begins as zeros:
//! in a `static` it costs no flash.
//!
//! ```
//! use ackline::tailored::{Endpoint, Media, Profile};
//! use ackline::{Channel, ChannelConfig, Event, Instant, Mode};
//!
//! enum Meter {}
//!
//! impl Profile for Meter {
//!     const MEDIA: Media = Media::Framed;
//!     const CHANNELS: &'static [ChannelConfig] = &[
//!         ChannelConfig::new(Mode::Ordered).settle_explicitly(),
//!         ChannelConfig::new(Mode::Latest).priority(1),
//!     ];
//!     type Deadline = Instant;
//!     type Counters = ();
//! }
//!
//! // Four messages of 64 bytes on each of the two channels each way, frames of 192 bytes.
//! type Node = Endpoint<Meter, 2, 4, 64, 192>;
//!
//! let now = Instant::ZERO;
//! let (mut a, mut b) = (Node::new(), Node::new());
//! a.start(1, 50_000); // the first number must differ at every boot, and from that of the other side
//! b.start(2, 50_000);
//! a.connect(now);
//! let id = a.send_before(now, Channel(0), b"21.5 C", Instant::from_millis(500)).unwrap();
//!
//! let mut buffer = [0; 192];
//! let mut work = None;
//! for _ in 0..4 {
//!     while let Some(len) = a.poll_transmit(now, &mut buffer) {
//!         b.handle_datagram(now, &buffer[..len]); // framing and a line would be in between
//!     }
//!     while let Some(delivery) = b.recv(now) {
//!         work = Some(delivery.id);
//!     }
//!     if let Some(id) = work.take() {
//!         b.settle(now, id).unwrap(); // processed
//!     }
//!     while let Some(len) = b.poll_transmit(now, &mut buffer) {
//!         a.handle_datagram(now, &buffer[..len]);
//!     }
//! }
//! assert_eq!(a.poll_event(), Some(Event::Connected));
//! assert_eq!(a.poll_event(), Some(Event::Settled(id)));
//! ```

mod answers;
mod clock;
mod endpoint;
mod frames;
mod greeting;
mod hello;
mod incoming;
mod outgoing;
mod profile;
mod receive;
mod transmit;

pub use endpoint::Endpoint;
pub use profile::{Counters, Deadline, Media, Profile};
