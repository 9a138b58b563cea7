//! A peer made by hand: says whatever a test wants it to say, right down to the byte, and reads what a link answers.
//!
//! Packets are written from the tables of protocol.md without the core's encoders; numbers always take four bytes. What a
//! link emits is read with the core's parsers, which the test vectors hold to the tables.

use ackline::congestion::FixedWindow;
use ackline::sequence::Sequence;
use ackline::storage::Heap;
use ackline::wire::{Frame, Frames, Hello, Reader, Short};
use ackline::{Config, Instant, Link, LinkId, Medium, Receipt};

/// The link under test.
pub type Subject = Link<Heap, FixedWindow>;

/// The id that the forged peer chose.
pub const OWN_ID: [u8; 2] = [0xab, 0xcd];
/// The incarnation of the forged peer.
pub const INCARNATION: u64 = 0x1122_3344_5566_7788;

/// Frames of a packet, and the numbers that its check binds.
#[derive(Clone, Debug, Default)]
pub struct Said {
    bytes: Vec<u8>,
    bound: Vec<u32>,
}

fn varint(mut value: u32, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn number(value: u32, bytes: &mut Vec<u8>) {
    bytes.extend((0..4).map(|i| (value >> (7 * i)) as u8 & 0x7f | if i < 3 { 0x80 } else { 0 }));
}

impl Said {
    /// No frame yet.
    pub fn new() -> Self {
        Said::default()
    }

    /// These bytes.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    fn numbered(mut self, kind: u8, n: u32) -> Self {
        self.bytes.push(kind);
        number(n, &mut self.bytes);
        self.bound.push(n);
        self
    }

    fn value(mut self, value: u32) -> Self {
        varint(value, &mut self.bytes);
        self
    }

    /// These frames before.
    pub fn prefixed(self, mut first: Said) -> Self {
        first.bytes.extend(self.bytes);
        first.bound.extend(self.bound);
        first
    }

    /// Binds a number that `raw` bytes say.
    pub fn bind(mut self, n: u32) -> Self {
        self.bound.push(n);
        self
    }

    /// Asks for an acknowledgement.
    pub fn ping(self) -> Self {
        self.raw(&[0x01])
    }

    /// The peer may have so many bytes unsettled.
    pub fn credit(self, bytes: u32) -> Self {
        self.raw(&[0x02]).value(bytes)
    }

    /// How to acknowledge.
    pub fn ack_rate(self, packets: u32, delay: u32) -> Self {
        self.raw(&[0x03]).value(packets).value(delay)
    }

    /// Nothing before `n` needs an acknowledgement.
    pub fn floor(self, n: u32) -> Self {
        self.numbered(0x04, n)
    }

    /// The end.
    pub fn close(self, code: u8) -> Self {
        self.raw(&[0x05, code])
    }

    /// A whole message that ends the packet.
    pub fn whole(self, channel: u8, n: u32, payload: &[u8]) -> Self {
        self.numbered(0x80 + channel, n).raw(payload)
    }

    /// A whole message with a length.
    pub fn whole_with_length(self, channel: u8, n: u32, payload: &[u8]) -> Self {
        self.numbered(0xc0 + channel, n).value(payload.len() as u32).raw(payload)
    }

    /// A whole message that ends the packet, flagged redelivered.
    pub fn redelivered(self, channel: u8, n: u32, payload: &[u8]) -> Self {
        self.numbered(0x90 + channel, n).raw(payload)
    }

    /// The next message, to the end of the packet. Its number `n` is bound, not written.
    pub fn next(mut self, n: u32, payload: &[u8]) -> Self {
        self.bound.push(n);
        self.raw(&[0x06]).raw(payload)
    }

    /// Messages as long as the one before, to the end of the packet. Their numbers `n` are bound, not written.
    pub fn series(mut self, n: &[u32], payloads: &[u8]) -> Self {
        self.bound.extend(n);
        self.raw(&[0x08]).raw(payloads)
    }

    /// A fragment from byte `offset` on of a message of less than 4096 bytes, at the end of the packet.
    pub fn fragment(self, channel: u8, n: u32, offset: u32, total: u32, payload: &[u8]) -> Self {
        self.numbered(0xa0 + channel, n).value(offset / 4).value(total).raw(payload)
    }

    /// These will not come.
    pub fn skip(self, channel: u8, n: u32, count: u32) -> Self {
        self.numbered(0x60 + channel, n).value(count - 1)
    }

    /// All before `n` are settled.
    pub fn settled(self, channel: u8, n: u32) -> Self {
        self.numbered(0x40 + channel, n)
    }

    /// All before `n`, and ranges above: (gap, run) as written.
    pub fn settled_more(self, channel: u8, n: u32, more: &[(u32, u32)]) -> Self {
        let start = self.numbered(0x50 + channel, n).raw(&[more.len() as u8]);
        more.iter().fold(start, |said, (gap, run)| said.value(*gap).value(*run))
    }
}

/// Acknowledgement fields.
#[derive(Clone, Debug)]
pub struct Acked {
    /// The largest number.
    pub largest: u32,
    /// How many directly below.
    pub first: u32,
    /// In units of 8 µs.
    pub delay: u32,
}

/// `largest` and all below down to 0 or `largest - first`.
pub fn acked(largest: u32, first: u32) -> Option<Acked> {
    Some(Acked { largest, first, delay: 0 })
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |s, _| s >> 1 ^ if s & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// `body` with the check of a long packet.
pub fn sealed_long(mut body: Vec<u8>) -> Vec<u8> {
    let sum = crc32c(&body);
    body.extend(sum.to_le_bytes());
    body
}

/// A hello to be.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// Link id of the receiver.
    pub to: Vec<u8>,
    /// Link id of the sender.
    pub from: Vec<u8>,
    /// Incarnation of the sender.
    pub incarnation: u64,
    /// Incarnation of the receiver.
    pub yours: u64,
    /// Flags of section 7.2.
    pub flags: u8,
    /// Packet number.
    pub number: u32,
    /// Encoded parameters.
    pub params: Vec<u8>,
    /// With the flag ACK.
    pub acked: Option<Acked>,
    /// The frames.
    pub frames: Vec<u8>,
}

impl Greeting {
    /// The first hello of [`INCARNATION`], with these frames.
    pub fn first(said: Said) -> Self {
        Greeting {
            to: Vec::new(),
            from: OWN_ID.to_vec(),
            incarnation: INCARNATION,
            yours: 0,
            flags: 0,
            number: 0,
            params: Vec::new(),
            acked: None,
            frames: said.bytes,
        }
    }

    /// The datagram, with its check.
    pub fn datagram(&self) -> Vec<u8> {
        sealed_long(self.body())
    }

    /// The same without a check, for framed media.
    pub fn body(&self) -> Vec<u8> {
        let mut body = vec![0x80, 1, self.to.len() as u8];
        body.extend(&self.to);
        body.push(self.from.len() as u8);
        body.extend(&self.from);
        body.extend(self.incarnation.to_le_bytes());
        body.extend(self.yours.to_le_bytes());
        body.push(self.flags | if self.acked.is_some() { 2 } else { 0 });
        body.extend(self.number.to_le_bytes());
        varint(self.params.len() as u32, &mut body);
        body.extend(&self.params);
        if let Some(acked) = &self.acked {
            body.push(u8::from(acked.delay > 0) << 4);
            write_acked(acked, &mut body);
        }
        body.extend(&self.frames);
        body
    }
}

fn write_acked(acked: &Acked, body: &mut Vec<u8>) {
    number(acked.largest, body);
    if acked.delay > 0 {
        varint(acked.delay, body);
    }
    varint(acked.first, body);
}

/// One parameter of a hello.
pub fn parameter(id: u32, value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoded = Vec::new();
    varint(value, &mut encoded);
    varint(id, &mut bytes);
    varint(encoded.len() as u32, &mut bytes);
    bytes.extend(encoded);
    bytes
}

/// The forged peer of one link.
#[derive(Clone, Debug)]
pub struct Forger {
    /// Its own incarnation.
    pub incarnation: u64,
    /// That of the link.
    pub link: u64,
    /// The id that the link chose.
    pub to: LinkId,
    /// Whether short packets carry a check.
    pub has_check: bool,
    /// The next packet number.
    pub next: u32,
}

/// What a link emitted.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The datagram without its check.
    pub body: Vec<u8>,
    /// With it.
    pub len: usize,
}

impl Heard {
    /// It, as a hello.
    pub fn hello(&self) -> Option<Hello<'_>> {
        (self.body[0] == 0x80).then(|| Hello::parse(&self.body).expect("links say well-formed hellos"))
    }

    fn short(&self) -> Option<Short<'_>> {
        let rest = self.body.get(1 + OWN_ID.len()..).filter(|_| self.body[0] < 0x80)?;
        Some(Short::parse(self.body[0], &mut Reader::new(rest)).expect("links emit well-formed packets"))
    }

    /// Its packet number (the low bits) and their length in bytes.
    pub fn number(&self) -> Option<(u32, u8)> {
        self.short().and_then(|s| s.number)
    }

    /// What it acknowledges: first and last numbers, newest first. Right while numbers are below 128.
    pub fn acked(&self) -> Option<Vec<(u32, u32)>> {
        let ack = match self.hello() {
            Some(hello) => hello.ack?,
            None => self.short()?.ack?,
        };
        Some(ack.ranges(Sequence(ack.largest.0)).map(|r| (r.first.0, r.last.0)).collect())
    }

    /// Its frames.
    pub fn frames(&self) -> Vec<Frame<'_>> {
        let bytes = match self.hello() {
            Some(hello) => hello.frames,
            None => self.short().map_or(&[][..], |s| s.frames),
        };
        Frames::new(bytes).map(|f| f.expect("links emit well-formed frames")).collect()
    }

    /// Channel, number and length of the payload of its message frames.
    pub fn messages(&self) -> Vec<(u8, Option<u32>, usize)> {
        let of = |frame: &Frame<'_>| match frame {
            Frame::Message(m) => Some((m.channel, m.number.map(|n| n.0), m.payload.len())),
            _ => None,
        };
        self.frames().iter().filter_map(of).collect()
    }

    /// Channel and number of its settled frames.
    pub fn settled(&self) -> Vec<(u8, u32)> {
        let of = |frame: &Frame<'_>| match frame {
            Frame::Settled { channel, number, .. } => Some((*channel, number.0)),
            _ => None,
        };
        self.frames().iter().filter_map(of).collect()
    }
}

/// Milliseconds on the link's clock.
pub fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A link whose window and pacing never hold anything back, and that repeats nothing unasked.
pub fn subject(config: Config) -> Subject {
    let mut config = config;
    config.repetition = false;
    Link::new(&config, FixedWindow::new(1 << 24), 7)
}

/// A link that waited, and the peer that has opened: the handshake is over, packet numbers 0 and 1 of the forged peer are
/// used.
pub fn established(config: Config) -> (Subject, Forger) {
    established_with(config, &[])
}

/// The same with encoded parameters in the forged hello.
pub fn established_with(config: Config, params: &[u8]) -> (Subject, Forger) {
    let is_framed = matches!(config.medium, Medium::Framed { .. });
    let mut link = subject(config);
    let greeting = Greeting { params: params.to_vec(), ..Greeting::first(Said::new().ping()) };
    let first = if is_framed { greeting.body() } else { greeting.datagram() };
    assert_eq!(link.handle_datagram(at(0), &first), Receipt::Accepted);
    let mut forger = Forger {
        incarnation: INCARNATION,
        link: link.incarnation(),
        to: link.local_link_id(),
        has_check: !is_framed,
        next: 1,
    };
    forger.listen(&mut link, at(0));
    assert_eq!(forger.say(&mut link, at(0), acked(0, 0), Said::new().ping()), Receipt::Accepted);
    assert!(link.is_validated());
    forger.listen(&mut link, at(2));
    while link.poll_event().is_some() {}
    (link, forger)
}

impl Forger {
    /// A short packet, with its check.
    pub fn packet(&self, number_said: Option<u32>, acked: Option<Acked>, said: &Said) -> Vec<u8> {
        let bits = u8::from(acked.as_ref().is_some_and(|a| a.delay > 0)) << 4;
        let mut body = vec![match (number_said, &acked) {
            (Some(_), None) => 0x00,
            (Some(_), Some(_)) => 0x20 | bits,
            (None, _) => 0x60 | bits,
        }];
        body.extend(self.to.as_bytes());
        let mut binding = 0u32;
        if let Some(n) = number_said {
            number(n, &mut body);
            binding = binding.wrapping_add(n.wrapping_mul(0x9e37_79b1));
        }
        if let Some(acked) = &acked {
            write_acked(acked, &mut body);
            binding = binding.wrapping_add(acked.largest.wrapping_mul(0x85eb_ca77));
        }
        for n in &said.bound {
            binding = binding.wrapping_add(n.wrapping_mul(0xc2b2_ae3d));
        }
        body.extend(&said.bytes);
        if self.has_check {
            let m = self.incarnation.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ self.link.rotate_left(32).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
            let sum = crc32c(&body) ^ (m ^ m >> 32) as u32 ^ binding;
            body.extend(sum.to_le_bytes());
        }
        body
    }

    /// Says it in the next numbered packet.
    pub fn say(&mut self, link: &mut Subject, now: Instant, acked: Option<Acked>, said: Said) -> Receipt {
        let datagram = self.packet(Some(self.next), acked, &said);
        self.next += 1;
        link.handle_datagram(now, &datagram)
    }

    /// Everything that the link emits now.
    pub fn listen(&self, link: &mut Subject, now: Instant) -> Vec<Heard> {
        link.handle_timeout(now);
        let mut buffer = [0; 65_536];
        let mut heard = Vec::new();
        while let Some(len) = link.poll_transmit(now, &mut buffer) {
            assert!(heard.len() < 10_000, "the link emits without end");
            let cut = if self.has_check || buffer[0] >= 0x80 && self.is_datagram() { 4 } else { 0 };
            heard.push(Heard { body: buffer[..len - cut].to_vec(), len });
        }
        heard
    }

    fn is_datagram(&self) -> bool {
        !self.to.as_bytes().is_empty()
    }
}

/// The payloads that an application can take now.
pub fn taken(link: &mut Subject, now: Instant) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(delivery) = link.recv(now) {
        all.push(delivery.payload.to_vec());
    }
    all
}
