//! One direction of the link as the arena uses it: a simulated [`Path`], fragmentation for protocols that cannot make
//! their datagrams small enough, and frames where the link is a serial line.

use ackline_tests::endpoint::Micros;
use ackline_tests::link::stream_framing;
use ackline_tests::net::{Arrival, Framing, Path, PathConfig, PathStats};
use ackline_tests::random::Random;

/// What became of a datagram.
pub struct Fate {
    /// When it arrives, and as what; empty if it is lost.
    pub arrivals: Vec<Arrival>,
    /// When it arrives, or would have.
    pub due: Micros,
}

/// One direction of a link.
pub struct Carrier {
    path: Path,
    /// The receiving end of a serial line.
    decoder: Option<Box<dyn Framing>>,
    mtu: usize,
    dropped_bytes: u64,
}

impl Carrier {
    /// A carrier like `config`, with the random sequence of `seed` and `direction`.
    pub fn new(config: PathConfig, seed: u64, direction: u64) -> Self {
        let is_serial = config.serial.is_some();
        let mtu = config.mtu;
        // The path is given pieces that fit.
        let mut path = Path::new(PathConfig { mtu: usize::MAX, ..config }, Random::labelled(seed, direction));
        if is_serial {
            path.set_framing(stream_framing());
        }
        Carrier { path, decoder: is_serial.then(stream_framing), mtu, dropped_bytes: 0 }
    }

    /// Counters of the path.
    pub fn stats(&self) -> PathStats {
        self.path.stats()
    }

    /// Bytes that were on the wire: those that the queue dropped were not.
    pub fn wire_bytes(&self) -> u64 {
        self.path.stats().wire_bytes - self.dropped_bytes
    }

    /// Sends a datagram. One that is larger than the link allows goes in pieces, as 6LoWPAN and IP would send it, and
    /// arrives if all of them do.
    pub fn send(&mut self, now: Micros, datagram: &[u8]) -> Fate {
        if datagram.len() <= self.mtu {
            return self.send_piece(now, datagram);
        }
        let mut whole = Fate { arrivals: Vec::new(), due: now };
        let mut arrival = Some(Arrival { at: now, bytes: Vec::with_capacity(datagram.len()) });
        for piece in datagram.chunks(self.mtu) {
            let fate = self.send_piece(now, piece);
            whole.due = whole.due.max(fate.due);
            arrival = arrival.zip(fate.arrivals.into_iter().next()).map(|(mut so_far, piece)| {
                so_far.at = so_far.at.max(piece.at);
                so_far.bytes.extend(piece.bytes);
                so_far
            });
        }
        whole.arrivals.extend(arrival);
        whole
    }

    fn send_piece(&mut self, now: Micros, piece: &[u8]) -> Fate {
        let before = self.path.stats();
        let mut arrivals = Vec::new();
        let decoder = &mut self.decoder;
        let due = self.path.transmit(now, piece, &mut |Arrival { at, bytes }| match decoder {
            // A serial line keeps the order, so that its bytes can be decoded as they are emitted.
            Some(decoder) => {
                decoder.decode(&bytes, &mut |frame| arrivals.push(Arrival { at, bytes: frame.to_vec() }));
            }
            None => arrivals.push(Arrival { at, bytes }),
        });
        let after = self.path.stats();
        if after.dropped_queue > before.dropped_queue {
            self.dropped_bytes += after.wire_bytes - before.wire_bytes;
        }
        Fate { arrivals, due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ackline_tests::net::{Loss, Serial};

    #[test]
    fn pieces_arrive_together_or_not_at_all() {
        let config = PathConfig { mtu: 100, loss: Loss::Independent(0.3), ..PathConfig::default() };
        let mut carrier = Carrier::new(config, 1, 0);
        let sent: Vec<u8> = (0..250).map(|i| i as u8).collect();
        let arrived: Vec<_> = (0..1_000).filter_map(|i| carrier.send(i, &sent).arrivals.pop()).collect();
        assert!(arrived.iter().all(|a| a.bytes == sent));
        // Three pieces with 70 % each: 34 %.
        assert!((300..390).contains(&arrived.len()), "{}", arrived.len());
        assert_eq!(carrier.stats().packets, 3_000);
    }

    #[test]
    fn damaged_frames_do_not_arrive_and_hardly_touch_their_neighbours() {
        let serial = Some(Serial { damage_frame: 0.1, ..Serial::default() });
        let mut carrier = Carrier::new(PathConfig { serial, ..PathConfig::serial(115_200) }, 1, 0);
        let arrived: usize = (0..1_000).map(|i| carrier.send(i, &[7; 50]).arrivals.len()).sum();
        assert!((850..920).contains(&arrived), "{arrived}");
    }

    #[test]
    fn what_the_queue_drops_was_not_on_the_wire() {
        let config = PathConfig { rate: 8_000, queue: 200, ..PathConfig::default() };
        let mut carrier = Carrier::new(config, 1, 0);
        for _ in 0..3 {
            carrier.send(0, &[0; 72]);
        }
        assert_eq!((carrier.stats().wire_bytes, carrier.wire_bytes()), (300, 200));
    }
}
