//! A worked example: how to fuzz a protocol of your own that stands on ackline. See the README beside this folder.
//!
//! A controller sends orders, a dispenser drops one portion for each and settles the order when the portion is out. The
//! invariant of this little protocol is not ackline's but its own: **one portion for each order**. ackline hands an order out
//! at most once in one life of the dispenser; but if its power goes after the portion fell and before the controller heard
//! of it, the order comes again, flagged `redelivered`, and then it is up to the application. A dispenser that keeps a
//! journal knows which orders it has served; one that does not ([`Journal::Forgotten`], the planted bug) drops a second
//! portion.

use std::cell::RefCell;
use std::rc::Rc;

use ackline::congestion::NewReno;
use ackline::storage::Heap;
use ackline::{ChannelConfig, Config, DeliveryId, Link, MessageId, Mode};
use ackline_tests::endpoint::{Boot, Endpoint, Factory, Micros, Notice, Refusal, Taken};
use ackline_tests::link::{PROBE_WAIT_MAX, contract, stream_framing};
use ackline_tests::net::Framing;
use ackline_tests::oracle::Contract;
use ackline_tests::random::{Map, Set};
use ackline_tests::schedule::{Carrier, NodePlan, Schedule, Subject, play};
use ackline_tests::world::Drive;

/// Bytes of an [`Order`] in front of its payload.
const ORDER_LEN: usize = 12;

/// Names an order: which life of its controller gave it, and which one it was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Order {
    life: u64,
    number: u32,
}

impl Order {
    fn encode(self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = self.life.to_le_bytes().to_vec();
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<(Order, &[u8])> {
        let (life, rest) = bytes.split_first_chunk()?;
        let (number, payload) = rest.split_first_chunk()?;
        Some((Order { life: u64::from_le_bytes(*life), number: u32::from_le_bytes(*number) }, payload))
    }
}

/// Whether the dispenser remembers across its power cuts what it has served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Journal {
    /// It does: the right version.
    Kept,
    /// It does not: the planted bug.
    Forgotten,
}

/// What outlives the electronics: the portions that fell, and the journal.
#[derive(Default, Debug)]
pub struct Hardware {
    portions: Map<Order, u32>,
    journal: Set<Order>,
}

/// Controller or dispenser: the protocol on top of a [`Link`].
pub struct Machine {
    link: Link<Heap, NewReno>,
    life: u64,
    next_number: u32,
    journal: Journal,
    hardware: Rc<RefCell<Hardware>>,
}

impl Machine {
    fn serve(&mut self, order: Order) {
        let mut hardware = self.hardware.borrow_mut();
        if self.journal == Journal::Kept && !hardware.journal.insert(order) {
            return;
        }
        *hardware.portions.entry(order).or_default() += 1;
    }
}

/// What the simulator asks of a protocol: most of it is the link's. The orders are made in `send`, and served in `recv`.
impl Endpoint for Machine {
    type MessageId = MessageId;
    type DeliveryId = DeliveryId;

    fn connect(&mut self, now: Micros) {
        Endpoint::connect(&mut self.link, now);
    }

    fn send(
        &mut self,
        now: Micros,
        channel: u8,
        payload: &[u8],
        deadline: Option<Micros>,
    ) -> Result<MessageId, Refusal> {
        if channel > 0 {
            return Err(Refusal::NoSuchChannel);
        }
        let order = Order { life: self.life, number: self.next_number };
        let id = Endpoint::send(&mut self.link, now, channel, &order.encode(payload), deadline)?;
        self.next_number += 1;
        Ok(id)
    }

    fn recv(&mut self, now: Micros, payload: &mut Vec<u8>) -> Option<Taken<DeliveryId>> {
        let taken = Endpoint::recv(&mut self.link, now, payload)?;
        let (order, _) = Order::decode(payload).expect("only orders are sent");
        self.serve(order);
        payload.drain(..ORDER_LEN);
        Some(taken)
    }

    fn settle(&mut self, now: Micros, delivery: DeliveryId) -> bool {
        Endpoint::settle(&mut self.link, now, delivery)
    }

    fn poll_event(&mut self) -> Option<Notice<MessageId>> {
        Endpoint::poll_event(&mut self.link)
    }

    fn close(&mut self, now: Micros) {
        Endpoint::close(&mut self.link, now);
    }

    fn abort(&mut self, now: Micros) {
        Endpoint::abort(&mut self.link, now);
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) -> bool {
        Endpoint::handle_datagram(&mut self.link, now, datagram)
    }

    fn handle_timeout(&mut self, now: Micros) {
        Endpoint::handle_timeout(&mut self.link, now);
    }

    fn poll_transmit(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        Endpoint::poll_transmit(&mut self.link, now, buffer)
    }

    fn poll_timeout(&self) -> Option<Micros> {
        Endpoint::poll_timeout(&self.link)
    }

    fn is_connected(&self) -> bool {
        Endpoint::is_connected(&self.link)
    }

    fn is_closed(&self) -> bool {
        Endpoint::is_closed(&self.link)
    }
}

/// The two machines under a schedule.
struct Kitchen {
    journal: Journal,
    hardware: Rc<RefCell<Hardware>>,
}

fn config(carrier: Carrier) -> Config {
    let config = match carrier {
        Carrier::Datagrams { .. } => Config::udp(),
        Carrier::Serial { baud } => Config::serial(baud),
    };
    // An order is settled when its portion is out, not when it is read.
    config.channel(0, ChannelConfig::new(Mode::Ordered).settle_explicitly())
}

/// Switches machines on. Without memory only the hardware is as it was.
struct Switch {
    carrier: Carrier,
    journal: Journal,
    hardware: Rc<RefCell<Hardware>>,
}

impl Factory for Switch {
    type Endpoint = Machine;

    fn boot(&mut self, boot: Boot<Machine>) -> Machine {
        boot.memory.unwrap_or_else(|| Machine {
            link: Link::new(&config(self.carrier), NewReno::new(), boot.seed),
            life: boot.seed,
            next_number: 0,
            journal: self.journal,
            hardware: self.hardware.clone(),
        })
    }
}

impl Subject for Kitchen {
    type Factory = Switch;

    fn factory(&self, schedule: &Schedule) -> Switch {
        Switch { carrier: schedule.carrier, journal: self.journal, hardware: self.hardware.clone() }
    }

    fn contract(&self, _: &NodePlan) -> Contract {
        let mut contract = contract(&config(Carrier::Serial { baud: 0 }));
        contract.modes.truncate(1);
        contract.is_explicit.truncate(1);
        contract
    }

    fn framing(&self) -> fn() -> Box<dyn Framing> {
        stream_framing
    }

    fn probe_wait_max(&self) -> Micros {
        PROBE_WAIT_MAX
    }
}

/// Plays `schedule`; the oracle watches ackline's promise, and in the end the portions are counted.
///
/// # Panics
///
/// If a promise or the invariant is broken.
pub fn run(schedule: &Schedule, journal: Journal) {
    let kitchen = Kitchen { journal, hardware: Rc::default() };
    if let Err(violation) = play(&kitchen, schedule, Drive::Deadlines) {
        panic!("{violation}\n{schedule:#?}");
    }
    for (order, portions) in &kitchen.hardware.borrow().portions {
        assert_eq!(*portions, 1, "{order:?} was served {portions} times\n{schedule:#?}");
    }
}
