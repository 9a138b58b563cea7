//! SCTP (sctp-proto, which carries WebRTC data channels), without the DTLS that usually surrounds it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ackline_tests::endpoint::Micros;
use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier, ReliabilityType, ServerConfig, StreamEvent, TransportConfig,
};

use crate::peer::{Datagram, Pair, Peer, Setting};

struct End {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    epoch: Instant,
    remote: SocketAddr,
    is_unordered: bool,
    has_stream: bool,
    is_connected: bool,
    buffered_max: usize,
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
    failure: Option<String>,
}

const STREAM: u16 = 1;
/// Common header and header of a DATA chunk (RFC 9260, 3 and 3.3.1).
const HEADERS_LEN: usize = 12 + 16;

/// Ordered, defaults.
pub fn ordered(setting: &Setting) -> Pair {
    pair(setting, false, None)
}

/// Unordered, defaults.
pub fn unordered(setting: &Setting) -> Pair {
    pair(setting, true, None)
}

/// Unordered, with the RTO.Min of 50 ms that data centres and some WebRTC stacks use instead of 1 s.
pub fn fast(setting: &Setting) -> Pair {
    pair(setting, true, Some(50))
}

fn transport(setting: &Setting, rto_min_ms: Option<u64>) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default()
        .with_max_receive_buffer_size((4 * setting.link.bdp() as u32).max(1 << 20))
        .with_max_init_retransmits(None);
    if let Some(least) = rto_min_ms {
        transport = transport.with_rto_min_ms(least).with_rto_initial_ms(200);
    }
    Arc::new(transport)
}

fn pair(setting: &Setting, is_unordered: bool, rto_min_ms: Option<u64>) -> Pair {
    let address = |host| SocketAddr::from(([10, 0, 0, host], 5000));
    let end = |other, server: Option<Arc<ServerConfig>>| {
        let mut config = EndpointConfig::new();
        // Chunks are padded to four bytes.
        config.max_payload_size(((setting.mtu - HEADERS_LEN) & !3) as u32);
        End {
            endpoint: Endpoint::new(Arc::new(config), server),
            association: None,
            epoch: Instant::now(),
            remote: address(other),
            is_unordered,
            has_stream: false,
            is_connected: false,
            buffered_max: (4 * setting.link.bdp()).max(256 * 1024),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            failure: None,
        }
    };
    let mut server = ServerConfig::new();
    server.transport = transport(setting, rto_min_ms);
    let mut client = ClientConfig::new();
    client.transport = transport(setting, rto_min_ms);
    let mut active = end(2, None);
    active.association =
        Some(active.endpoint.connect(client, address(2)).expect("the configuration is complete"));
    [Box::new(active), Box::new(end(1, Some(Arc::new(server))))]
}

impl End {
    fn at(&self, now: Micros) -> Instant {
        self.epoch + Duration::from_micros(now)
    }

    fn process(&mut self) {
        let Some((_, association)) = &mut self.association else { return };
        while let Some(event) = association.poll() {
            match event {
                Event::Connected => self.is_connected = true,
                Event::HandshakeFailed { reason } | Event::AssociationLost { reason } => {
                    self.failure = Some(format!("{reason:?}"));
                }
                Event::Stream(StreamEvent::Readable { id }) => {
                    let Ok(mut stream) = association.stream(id) else { continue };
                    while let Ok(Some(chunks)) = stream.read() {
                        let mut message = vec![0; chunks.len()];
                        if chunks.read(&mut message).is_ok() {
                            self.incoming.push_back(message);
                        }
                    }
                }
                _ => {}
            }
        }
        while association.poll_endpoint_event().is_some() {}
    }
}

impl Peer for End {
    fn send(&mut self, _: Micros, message: &[u8]) -> bool {
        let Some((_, association)) = &mut self.association else { return false };
        if !self.has_stream {
            self.has_stream = true;
            // An error says that the other side has opened it already.
            let _ = association.open_stream(STREAM, PayloadProtocolIdentifier::Binary);
            if let Ok(mut stream) = association.stream(STREAM) {
                let _ = stream.set_reliability_params(self.is_unordered, ReliabilityType::Reliable, 0);
            }
        }
        let Ok(mut stream) = association.stream(STREAM) else { return false };
        if stream.buffered_amount().unwrap_or(0) >= self.buffered_max {
            return false;
        }
        stream.write_with_ppi(message, PayloadProtocolIdentifier::Binary).is_ok()
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) {
        let now = self.at(now);
        match self.endpoint.handle(now, self.remote, None, None, Bytes::copy_from_slice(datagram)) {
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.association = Some((handle, association));
            }
            None => {}
        }
        self.process();
    }

    fn handle_timeout(&mut self, now: Micros) {
        let now = self.at(now);
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.process();
    }

    fn poll_transmit(&mut self, now: Micros) -> Option<Datagram> {
        let now = self.at(now);
        while self.outgoing.is_empty() {
            let transmit = match self.endpoint.poll_transmit() {
                Some(transmit) => transmit,
                None => self.association.as_mut()?.1.poll_transmit(now)?,
            };
            if let Payload::RawEncode(datagrams) = transmit.payload {
                self.outgoing.extend(datagrams.into_iter().map(|datagram| datagram.to_vec()));
            }
        }
        self.outgoing.pop_front().map(Datagram::from)
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        self.incoming.pop_front()
    }

    fn poll_timeout(&mut self, _: Micros) -> Option<Micros> {
        let (_, association) = self.association.as_ref()?;
        let wait = association.poll_timeout()?.saturating_duration_since(self.epoch);
        // Up, so that the deadline has passed when the clock shows it.
        Some(wait.as_nanos().div_ceil(1_000) as Micros)
    }

    fn is_ready(&self) -> bool {
        self.is_connected
    }

    fn failure(&self) -> Option<String> {
        self.failure.clone()
    }
}
