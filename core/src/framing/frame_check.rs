//! The check at the end of every frame, by which damage is seen.

use crate::check::crc32c;

/// Which check the frames of a line carry. Both ends must be set to the same one: frames with the other are counted as
/// bad and dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrameCheck {
    /// CRC-32C, 4 bytes: one damaged frame in 2^32 passes. The default, and what the promises of this crate assume.
    #[default]
    Crc32,
    /// CRC-16/IBM-SDLC (the check of HDLC and X.25), 2 bytes: one damaged frame in 65,536 passes. For frames of a few
    /// bytes on a slow and quiet line where two more bytes per frame hurt: at one damaged frame per minute, a false one
    /// passes every 46 days.
    Crc16,
}

impl FrameCheck {
    /// The length of the check in bytes: 4 or 2.
    #[allow(clippy::len_without_is_empty)] // a check is never empty
    pub const fn len(self) -> usize {
        match self {
            FrameCheck::Crc32 => 4,
            FrameCheck::Crc16 => 2,
        }
    }

    /// The sum over `datagram`, in the low [`len`](Self::len) bytes.
    pub(super) fn sum(self, datagram: &[u8]) -> u32 {
        match self {
            FrameCheck::Crc32 => crc32c(datagram),
            FrameCheck::Crc16 => u32::from(CRC_16.checksum(datagram)),
        }
    }
}

/// Without a table: the frames this is for are too short to repay 512 bytes of flash.
static CRC_16: crc::Crc<u16, crc::Table<0>> = crc::Crc::<u16, crc::Table<0>>::new(&crc::CRC_16_IBM_SDLC);
