//! QUIC (quinn-proto): ordered on one stream per direction, or unordered with a stream per message.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ackline_tests::endpoint::Micros;
use bytes::BytesMut;
use quinn_proto::congestion::{BbrConfig, ControllerFactory, CubicConfig};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event,
    ServerConfig, StreamEvent, StreamId, TransportConfig, VarInt,
};

use super::prefixed::Prefixed;
use crate::peer::{Datagram, Pair, Peer, Setting};

/// What is read from one stream so far.
enum Incoming {
    /// Messages with their lengths.
    Shared(Prefixed),
    /// One message.
    Single(Vec<u8>),
}

struct End {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    epoch: Instant,
    remote: SocketAddr,
    stream_per_message: bool,
    stream: Option<StreamId>,
    /// Taken from the application, not yet by the stream: where to, what, and from which byte on.
    unsent: Option<(StreamId, Vec<u8>, usize)>,
    streams: HashMap<StreamId, Incoming>,
    incoming: VecDeque<Vec<u8>>,
    replies: VecDeque<Vec<u8>>,
    is_connected: bool,
    failure: Option<String>,
}

/// One stream, CUBIC.
pub fn stream_cubic(setting: &Setting) -> Pair {
    pair(setting, false, Arc::new(CubicConfig::default()))
}

/// One stream, BBR.
pub fn stream_bbr(setting: &Setting) -> Pair {
    pair(setting, false, Arc::new(BbrConfig::default()))
}

/// A stream per message, CUBIC.
pub fn streams_cubic(setting: &Setting) -> Pair {
    pair(setting, true, Arc::new(CubicConfig::default()))
}

/// A stream per message, BBR.
pub fn streams_bbr(setting: &Setting) -> Pair {
    pair(setting, true, Arc::new(BbrConfig::default()))
}

fn transport(setting: &Setting, control: Arc<dyn ControllerFactory + Send + Sync>) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(None)
        .max_concurrent_uni_streams(VarInt::from_u32(16_384))
        .send_window((4 * setting.link.bdp() as u64).max(256 * 1024))
        // The other protocols are told the size of the datagrams, too.
        .initial_mtu(setting.mtu as u16)
        .mtu_discovery_config(None)
        .congestion_controller_factory(control);
    Arc::new(transport)
}

fn configurations(transport: Arc<TransportConfig>) -> (ServerConfig, ClientConfig) {
    let identity = rcgen::generate_simple_self_signed(vec!["peer".into()]).expect("the name is valid");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(identity.signing_key.serialize_der().into());
    let certificate = identity.cert.der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("the key belongs to the certificate");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("a valid certificate");
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring knows TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let crypto = QuicServerConfig::try_from(server).expect("a cipher suite for the first packets");
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server.transport_config(transport.clone());
    let crypto = QuicClientConfig::try_from(client).expect("a cipher suite for the first packets");
    let mut client = ClientConfig::new(Arc::new(crypto));
    client.transport_config(transport);
    (server, client)
}

fn pair(
    setting: &Setting,
    stream_per_message: bool,
    control: Arc<dyn ControllerFactory + Send + Sync>,
) -> Pair {
    let (server, client) = configurations(transport(setting, control));
    let epoch = Instant::now();
    let address = |host| SocketAddr::from(([10, 0, 0, host], 4433));
    let end = |host: u8, other, server| {
        let mut config = EndpointConfig::default();
        let mut seed = [host; 32];
        seed[..8].copy_from_slice(&setting.seed.to_le_bytes());
        config.rng_seed(Some(seed));
        config.max_udp_payload_size(setting.mtu.max(1200) as u16).expect("at least 1200");
        End {
            endpoint: Endpoint::new(Arc::new(config), server, true, None),
            connection: None,
            epoch,
            remote: address(other),
            stream_per_message,
            stream: None,
            unsent: None,
            streams: HashMap::new(),
            incoming: VecDeque::new(),
            replies: VecDeque::new(),
            is_connected: false,
            failure: None,
        }
    };
    let mut active = end(1, 2, None);
    active.connection =
        Some(active.endpoint.connect(epoch, client, address(2), "peer").expect("a valid name"));
    [Box::new(active), Box::new(end(2, 1, Some(Arc::new(server))))]
}

impl End {
    fn at(&self, now: Micros) -> Instant {
        self.epoch + Duration::from_micros(now)
    }

    fn process(&mut self) {
        let Some((handle, connection)) = &mut self.connection else { return };
        loop {
            let mut is_idle = true;
            while let Some(event) = connection.poll_endpoint_events() {
                is_idle = false;
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    connection.handle_event(event);
                }
            }
            let mut readable = Vec::new();
            while let Some(event) = connection.poll() {
                is_idle = false;
                match event {
                    Event::Connected => self.is_connected = true,
                    Event::ConnectionLost { reason } => self.failure = Some(reason.to_string()),
                    Event::Stream(StreamEvent::Opened { .. }) => {
                        readable.extend(std::iter::from_fn(|| connection.streams().accept(Dir::Uni)));
                    }
                    Event::Stream(StreamEvent::Readable { id }) => readable.push(id),
                    _ => {}
                }
            }
            for id in readable {
                let is_single = self.stream_per_message;
                let so_far = self.streams.entry(id).or_insert_with(|| match is_single {
                    true => Incoming::Single(Vec::new()),
                    false => Incoming::Shared(Prefixed::default()),
                });
                if read(connection, id, so_far, &mut self.incoming) {
                    self.streams.remove(&id);
                }
            }
            if is_idle {
                break;
            }
        }
    }

    fn write(&mut self) {
        let Some((_, connection)) = &mut self.connection else { return };
        let Some((id, bytes, from)) = &mut self.unsent else { return };
        let mut stream = connection.send_stream(*id);
        // An error is a full window: later.
        *from += stream.write(&bytes[*from..]).unwrap_or(0);
        if *from == bytes.len() {
            if self.stream_per_message {
                let _ = stream.finish();
            }
            self.unsent = None;
        }
    }
}

/// Reads what a stream has. True if it has ended.
fn read(
    connection: &mut Connection,
    id: StreamId,
    so_far: &mut Incoming,
    messages: &mut VecDeque<Vec<u8>>,
) -> bool {
    let mut stream = connection.recv_stream(id);
    let Ok(mut chunks) = stream.read(true) else { return false };
    let mut has_ended = false;
    loop {
        match chunks.next(usize::MAX) {
            Ok(Some(chunk)) => match so_far {
                Incoming::Shared(prefixed) => prefixed.push(&chunk.bytes),
                Incoming::Single(message) => message.extend_from_slice(&chunk.bytes),
            },
            Ok(None) => has_ended = true,
            Err(_) => break,
        }
        if has_ended {
            break;
        }
    }
    let _ = chunks.finalize();
    match so_far {
        Incoming::Shared(prefixed) => messages.extend(std::iter::from_fn(|| prefixed.take())),
        Incoming::Single(message) if has_ended => messages.push_back(std::mem::take(message)),
        Incoming::Single(_) => {}
    }
    has_ended
}

impl Peer for End {
    fn send(&mut self, _: Micros, message: &[u8]) -> bool {
        self.write();
        if self.unsent.is_some() {
            return false;
        }
        let Some((_, connection)) = &mut self.connection else { return false };
        let reused = self.stream.filter(|_| !self.stream_per_message);
        let Some(id) = reused.or_else(|| connection.streams().open(Dir::Uni)) else { return false };
        self.stream = Some(id);
        let len = (message.len() as u32).to_le_bytes();
        let prefix = if self.stream_per_message { &[][..] } else { &len };
        self.unsent = Some((id, [prefix, message].concat(), 0));
        self.write();
        true
    }

    fn handle_datagram(&mut self, now: Micros, datagram: &[u8]) {
        let now = self.at(now);
        let mut reply = Vec::new();
        match self.endpoint.handle(now, self.remote, None, None, BytesMut::from(datagram), &mut reply) {
            Some(DatagramEvent::ConnectionEvent(_, event)) => {
                if let Some((_, connection)) = &mut self.connection {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                self.connection = self.endpoint.accept(incoming, now, &mut reply, None).ok();
            }
            Some(DatagramEvent::Response(transmit)) => {
                self.replies.push_back(reply[..transmit.size].to_vec())
            }
            None => {}
        }
        self.process();
        self.write();
    }

    fn handle_timeout(&mut self, now: Micros) {
        let now = self.at(now);
        if let Some((_, connection)) = &mut self.connection {
            connection.handle_timeout(now);
        }
        self.process();
        self.write();
    }

    fn poll_transmit(&mut self, now: Micros) -> Option<Datagram> {
        if let Some(reply) = self.replies.pop_front() {
            return Some(reply.into());
        }
        let now = self.at(now);
        let mut buffer = Vec::with_capacity(2048);
        let transmit = self.connection.as_mut()?.1.poll_transmit(now, 1, &mut buffer)?;
        buffer.truncate(transmit.size);
        Some(buffer.into())
    }

    fn recv(&mut self, _: Micros) -> Option<Vec<u8>> {
        self.incoming.pop_front()
    }

    fn poll_timeout(&mut self, _: Micros) -> Option<Micros> {
        let epoch = self.epoch;
        let wait = self.connection.as_mut()?.1.poll_timeout()?.saturating_duration_since(epoch);
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
