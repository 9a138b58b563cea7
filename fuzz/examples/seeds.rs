//! Writes the seed corpora `seeds/<target>/vector-*`: the test vectors of `core/docs/vectors`, each as the input by which its
//! target reads it. `cargo run --release --example seeds`, after the vectors have changed.

use std::error::Error;
use std::fs;
use std::path::Path;

use ackline_fuzz::wire::{crc32c, seal_long};

/// What `arbitrary` reads back as the value that was put in.
#[derive(Default, Clone)]
struct Input(Vec<u8>);

impl Input {
    fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// Variant `index` of `count`: the derived code maps 32 bits to it.
    fn variant(self, index: u64, count: u64) -> Self {
        let scaled = (index << 32).div_ceil(count) as u32;
        self.bytes(&scaled.to_le_bytes())
    }

    /// A `Vec<u8>`: every element is announced, and so is the end.
    fn vec(mut self, bytes: &[u8]) -> Self {
        for &b in bytes {
            self = self.u8(1).u8(b);
        }
        self.u8(0)
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex = if hex == "-" { "" } else { hex };
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal")).collect()
}

/// The place in `fuzz_targets/parse.rs` of the reader for this kind of vector, and the bytes that it reads.
fn parse(words: &[&str], is_rejected: bool) -> Option<Vec<u8>> {
    let (selector, data) = match words[0] {
        "frames" => (0, bytes(words[1])),
        "ack" => (1 | (bytes(words[1])[0] & 31) << 3, bytes(words[2])),
        "varint" | "truncated" if is_rejected => (if words[0] == "varint" { 5 } else { 6 }, bytes(words[1])),
        "short" | "packet" => {
            let data = bytes(words[2]);
            let id_len: usize = words[1].parse().ok()?;
            (2, [&data[..1], &data[1 + id_len..]].concat())
        }
        "hello" => (3, bytes(words[1])),
        "retry" | "reset" | "version" | "long" => (4, bytes(words[1])),
        "varint" => (5, bytes(words[2])),
        "truncated" => (6, bytes(words.last()?)),
        _ => return None,
    };
    Some(Input::default().u8(selector).bytes(&data).0)
}

/// As `Input` of `fuzz_targets/canonical.rs`.
fn canonical(words: &[&str]) -> Option<Vec<u8>> {
    let variant = |index| Input::default().variant(index, 5);
    let input = match words[0] {
        "frames" => variant(0).vec(&bytes(words[1])),
        "ack" => variant(1).u8(bytes(words[1])[0]).vec(&bytes(words[2])),
        "short" => variant(2).u8(words[1].parse().ok()?).vec(&bytes(words[2])),
        "hello" => variant(3).vec(&bytes(words[1])),
        _ => return None,
    };
    Some(input.0)
}

/// As `Input` of `fuzz_targets/stream.rs`: the frame as noise, and its datagram as a frame; in pieces of 3 bytes.
fn stream(words: &[&str]) -> Option<Vec<u8>> {
    if words[0] != "stream" || words.len() < 4 || words[2].len() > 600 {
        return None;
    }
    let check = u64::from(words[1] == "crc16");
    let steps = Input::default()
        .variant(check, 2)
        .u8(1)
        .variant(0, 7)
        .vec(&bytes(words[2]))
        .u8(1)
        .variant(2, 7)
        .vec(&bytes(words[3]))
        .u8(0);
    Some(steps.u8(1).u8(2).u8(1).u8(2).0)
}

/// As `Input` of `fuzz_targets/hostile.rs`: the packet, with a right check, to a link of each carrier.
fn hostile(words: &[&str], carrier: u64) -> Option<Vec<u8>> {
    let data = match words[0] {
        "short" => bytes(words[2]),
        "hello" | "retry" | "reset" | "version" if words.len() > 2 => bytes(words[1]),
        _ => return None,
    };
    let data = if carrier == 2 || data[0] < 0x80 { data } else { seal_long(data) };
    let seat = Input::default()
        .variant(carrier, 3)
        .variant(carrier, 3)
        .u8(3) // link id
        .bytes(&1_104u16.to_le_bytes()) // datagram_max
        .bytes(&4_095u16.to_le_bytes()) // message_max
        .u8(31) // window
        .bytes(&8_192u16.to_le_bytes()) // buffer
        .bytes(&[0, 1, 2, 3]) // modes
        .u8(0b1000) // settled explicitly
        .bytes(&1_000u16.to_le_bytes()) // ack_delay
        .u8(0) // no keep-alive
        .u8(0) // never gives up
        .u8(1); // repeats
    Some(seat.u8(1).u8(0).u8(1).variant(0, 12).vec(&data).u8(0).0)
}

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    let mut write = |target: &str, input: Option<Vec<u8>>| -> Result<(), Box<dyn Error>> {
        if let Some(input) = input {
            let folder = here.join("seeds").join(target);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("vector-{:08x}", crc32c(&input))), input)?;
            count += 1;
        }
        Ok(())
    };
    for file in ["integers", "acks", "frames", "packets", "streams", "rejected"] {
        let text = fs::read_to_string(here.join(format!("../core/docs/vectors/{file}.txt")))?;
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            let words: Vec<_> = line.split(' ').collect();
            write("parse", parse(&words, file == "rejected"))?;
            if file != "rejected" {
                write("canonical", canonical(&words))?;
                write("stream", stream(&words))?;
                for carrier in 0..3 {
                    write("hostile", hostile(&words, carrier))?;
                }
            }
        }
    }
    println!("{count} seeds");
    Ok(())
}
