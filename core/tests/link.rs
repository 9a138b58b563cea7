//! What an application can ask of a full link besides sending and receiving: a life that begins in a `static`, memory given
//! back, errors that say what to do.

use ackline::congestion::FixedRate;
use ackline::storage::Inline;
use ackline::{Channel, Config, DeliveryId, Event, Instant, Link, SendError};

type Small = Link<Inline<2, 4, 1024, 8>, FixedRate>;

/// Carries what each side has to say until neither has anything.
fn carry<A, B>(a: &mut Link<A, FixedRate>, b: &mut Link<B, FixedRate>, now: Instant)
where
    A: ackline::storage::Storage,
    B: ackline::storage::Storage,
{
    let mut buffer = [0; 1_200];
    loop {
        let mut is_quiet = true;
        while let Some(len) = a.poll_transmit(now, &mut buffer) {
            b.handle_datagram(now, &buffer[..len]);
            is_quiet = false;
        }
        while let Some(len) = b.poll_transmit(now, &mut buffer) {
            a.handle_datagram(now, &buffer[..len]);
            is_quiet = false;
        }
        if is_quiet {
            return;
        }
    }
}

fn events(link: &mut Small) -> Vec<Event> {
    std::iter::from_fn(|| link.poll_event()).collect()
}

#[test]
fn link_that_begins_in_a_static_says_what_a_new_one_says() {
    static BLANK: std::sync::Mutex<Small> = std::sync::Mutex::new(Small::unstarted());
    let config = Config::udp();
    let mut in_static = BLANK.lock().unwrap();
    in_static.start(&config, FixedRate::new(100_000), 7);
    let mut new = Small::new(&config, FixedRate::new(100_000), 7);
    let (mut left, mut right) = ([0; 1_200], [0; 1_200]);
    for link in [&mut *in_static, &mut new] {
        link.connect(Instant::ZERO);
        link.send(Instant::ZERO, Channel(1), b"first").unwrap();
    }
    let len = in_static.poll_transmit(Instant::ZERO, &mut left).unwrap();
    assert_eq!(new.poll_transmit(Instant::ZERO, &mut right), Some(len));
    assert_eq!(left[..len], right[..len]);
    // A quarter of what its storage holds, as the configuration allows more.
    assert_eq!(in_static.message_max(), 256);
}

#[cfg(feature = "alloc")]
#[test]
fn link_that_gave_its_memory_back_goes_on() {
    let config = Config::udp();
    let mut heap = Link::<ackline::storage::Heap, _>::new(&config, FixedRate::new(1_000_000), 1);
    let mut small = Small::new(&config, FixedRate::new(1_000_000), 2);
    heap.connect(Instant::ZERO);
    for round in 0..20u64 {
        let now = Instant::from_millis(round * 100);
        heap.handle_timeout(now);
        small.handle_timeout(now);
        let id = heap.send(now, Channel(0), &[round as u8; 40]).unwrap();
        assert_eq!(heap.unsent_len(), 40);
        carry(&mut heap, &mut small, now);
        assert_eq!(heap.unsent_len(), 0);
        assert_eq!(small.recv(now).unwrap().payload, [round as u8; 40]);
        // An acknowledgement may be held back.
        let later = Instant::from_millis(round * 100 + 50);
        small.handle_timeout(later);
        carry(&mut heap, &mut small, later);
        assert!(std::iter::from_fn(|| heap.poll_event()).any(|e| e == Event::Settled(id)), "round {round}");
        assert!(heap.is_drained());
        heap.trim();
        small.trim();
    }
    assert_eq!(small.stats().messages_received, 20);
}

#[test]
fn delivery_that_is_unknown_is_an_error_that_says_why() {
    let config = Config::udp();
    let mut links = [1, 2].map(|seed| Small::new(&config, FixedRate::new(1_000_000), seed));
    let [a, b] = &mut links;
    a.connect(Instant::ZERO);
    a.send(Instant::ZERO, Channel(0), b"taken is settled").unwrap();
    carry(a, b, Instant::ZERO);
    let id: DeliveryId = b.recv(Instant::ZERO).unwrap().id;
    let error = b.settle(Instant::ZERO, id).unwrap_err();
    assert!(error.to_string().contains("settled before"), "{error}");
    carry(a, b, Instant::ZERO);
    assert!(events(a).iter().any(|e| matches!(e, Event::Settled(_))));
}

#[test]
fn errors_of_send_say_what_to_do() {
    let mut config = Config::udp();
    config.message_max = 100;
    let mut link = Small::new(&config, FixedRate::new(100_000), 1);
    let now = Instant::ZERO;
    let refused = |result: Result<_, SendError>, remedy: &str| {
        let error = result.err().unwrap();
        assert!(error.to_string().contains(remedy), "{error}");
    };
    refused(link.send(now, Channel(0), &[0; 101]).map(|_| ()), "at most 100 bytes");
    refused(link.send(now, Channel(2), b"x").map(|_| ()), "fewer channels");
    while link.send(now, Channel(0), b"x").is_ok() {}
    refused(link.send(now, Channel(0), b"x").map(|_| ()), "wait until it is writable");
    link.abort(now);
    refused(link.send(now, Channel(0), b"x").map(|_| ()), "closed");
}
