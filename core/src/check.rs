//! CRC-32C, the check on packets over UDP and on serial frames (protocol.md: polynomial 0x1EDC6F41, reflected, initial
//! value and final XOR all ones; RFC 3720, 12.1). On the wire the four bytes of the sum follow what they cover, least
//! significant first.
//!
//! Who computes it changes speed and flash, never the sum:
//!
//! | features       | pointers | computed by                                    | read-only data |
//! |----------------|----------|------------------------------------------------|----------------|
//! | `hardware-crc` | any      | the processor's instruction, found at run time | crate `crc32c` |
//! | `small-crc`    | any      | eight shifts per byte                          | none           |
//! | neither        | 64 bits  | a table of 16 lanes                            | 16 KiB         |
//! | neither        | shorter  | two steps per byte in a table                  | 64 bytes       |
//!
//! With both features on, `hardware-crc` decides: it needs `std`, and who has that has the flash.

/// A CRC-32C that is fed piece by piece: the sum of the pieces is the sum of the whole.
#[derive(Clone)]
pub(crate) struct Crc32c(implementation::Running);

impl Crc32c {
    /// The sum over nothing yet, which is 0.
    pub(crate) fn new() -> Self {
        Crc32c(implementation::start())
    }

    /// Appends `bytes` to what is summed.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        implementation::append(&mut self.0, bytes);
    }

    /// The sum over everything appended.
    pub(crate) fn finish(self) -> u32 {
        implementation::finish(self.0)
    }
}

/// The CRC-32C of `bytes`.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = Crc32c::new();
    sum.update(bytes);
    sum.finish()
}

#[cfg(all(not(feature = "hardware-crc"), any(feature = "small-crc", target_pointer_width = "64")))]
mod implementation {
    #[cfg(feature = "small-crc")]
    type Table = crc::Table<0>;
    #[cfg(not(feature = "small-crc"))]
    type Table = crc::Table<16>;

    pub(super) type Running = crc::Digest<'static, u32, Table>;

    // The catalogue lists CRC-32C under its first user's name, iSCSI.
    static CRC: crc::Crc<u32, Table> = crc::Crc::<u32, Table>::new(&crc::CRC_32_ISCSI);

    pub(super) fn start() -> Running {
        CRC.digest()
    }

    pub(super) fn append(running: &mut Running, bytes: &[u8]) {
        running.update(bytes);
    }

    pub(super) fn finish(running: Running) -> u32 {
        running.finalize()
    }
}

#[cfg(not(any(feature = "hardware-crc", feature = "small-crc", target_pointer_width = "64")))]
use nibbles as implementation;

/// Four bits at a time: for a sixteenth of the usual table's read-only data, half of its speed. Crate `crc` has nothing
/// between eight shifts per byte and 1 KiB.
#[cfg(any(test, not(any(feature = "hardware-crc", feature = "small-crc", target_pointer_width = "64"))))]
mod nibbles {
    pub(super) type Running = u32;

    static TABLE: [u32; 16] = table();

    const fn table() -> [u32; 16] {
        let mut table = [0; 16];
        let mut i = 0;
        while i < 16 {
            let mut sum = i as u32;
            let mut bit = 0;
            while bit < 4 {
                // The polynomial, reflected.
                sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
                bit += 1;
            }
            table[i] = sum;
            i += 1;
        }
        table
    }

    pub(super) fn start() -> Running {
        !0
    }

    pub(super) fn append(running: &mut Running, bytes: &[u8]) {
        let mut sum = *running;
        for &byte in bytes {
            sum ^= u32::from(byte);
            for _ in 0..2 {
                sum = sum >> 4 ^ TABLE[(sum & 15) as usize];
            }
        }
        *running = sum;
    }

    pub(super) fn finish(running: Running) -> u32 {
        !running
    }
}

#[cfg(feature = "hardware-crc")]
mod implementation {
    pub(super) type Running = u32;

    pub(super) fn start() -> Running {
        0
    }

    pub(super) fn append(running: &mut Running, bytes: &[u8]) {
        *running = crc32c::crc32c_append(*running, bytes);
    }

    pub(super) fn finish(running: Running) -> u32 {
        running
    }
}

#[cfg(test)]
mod tests {
    use super::{Crc32c, crc32c, nibbles};

    fn counted<const N: usize>(value: impl Fn(u8) -> u8) -> [u8; N] {
        core::array::from_fn(|i| value(i as u8))
    }

    /// A SCSI Read (10) command descriptor block in its iSCSI header (RFC 3720, B.4).
    const ISCSI_READ: [u8; 48] = [
        0x01, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x14,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x14, 0x00, 0x00, 0x00, 0x18, 0x28, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn vectors_of_rfc_3720_are_met() {
        // RFC 3720, B.4 prints the sums as bytes on the wire, which is least significant first.
        assert_eq!(crc32c(&[0; 32]).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(crc32c(&[0xff; 32]).to_le_bytes(), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(crc32c(&counted::<32>(|i| i)).to_le_bytes(), [0x4e, 0x79, 0xdd, 0x46]);
        assert_eq!(crc32c(&counted::<32>(|i| 31 - i)).to_le_bytes(), [0x5c, 0xdb, 0x3f, 0x11]);
        assert_eq!(crc32c(&ISCSI_READ).to_le_bytes(), [0x56, 0x3a, 0x96, 0xd9]);
    }

    #[test]
    fn check_value_of_the_catalogue_is_met() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[]), 0);
    }

    #[test]
    fn sum_in_pieces_equals_sum_in_one() {
        // 100 bytes, so that the 16-byte stride of the wide table starts and ends everywhere.
        let bytes = counted::<100>(|i| i.wrapping_mul(37));
        let whole = crc32c(&bytes);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut sum = Crc32c::new();
                sum.update(&bytes[..first]);
                sum.update(&bytes[first..second]);
                sum.update(&bytes[second..]);
                assert_eq!(sum.finish(), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn sum_by_nibbles_is_the_same() {
        let bytes = counted::<100>(|i| i.wrapping_mul(37));
        for len in 0..=bytes.len() {
            let mut sum = nibbles::start();
            nibbles::append(&mut sum, &bytes[..len / 3]);
            nibbles::append(&mut sum, &bytes[len / 3..len]);
            assert_eq!(nibbles::finish(sum), crc32c(&bytes[..len]), "{len}");
        }
    }

    #[test]
    fn every_single_bit_changes_the_sum() {
        let mut bytes = ISCSI_READ;
        let whole = crc32c(&bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(crc32c(&bytes), whole, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
