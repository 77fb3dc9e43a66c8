//! Which checkpoint wrote something, and in which life of its number.
//!
//! ```text
//! number (8 bytes, big endian) | life (4, big endian)
//! ```
//!
//! A crash or an abandoned transfer leaves records of a number behind that may be used again; the
//! life tells the two apart. Byte order is the order of versions.

use super::Bad;
use super::fields::Fields;

/// Ordered by number, then life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Version {
    pub(crate) number: u64,
    pub(crate) life: u32,
}

/// Bytes of a version.
pub(crate) const VERSION_BYTES: usize = 12;

impl Version {
    pub(crate) fn encode(self) -> [u8; VERSION_BYTES] {
        let mut bytes = [0; VERSION_BYTES];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.life.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: [u8; VERSION_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        Self {
            number: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            life: u32::from_be_bytes([i, j, k, l]),
        }
    }

    pub(crate) fn take(fields: &mut Fields<'_>) -> Result<Self, Bad> {
        fields.bytes().map(Self::decode)
    }

    /// So that of the entries of one key the newest comes first.
    pub(crate) fn encode_newest_first(self) -> [u8; VERSION_BYTES] {
        self.encode().map(|byte| !byte)
    }

    pub(crate) fn decode_newest_first(bytes: [u8; VERSION_BYTES]) -> Self {
        Self::decode(bytes.map(|byte| !byte))
    }
}

/// `kind | version`, the front of every record that belongs to a version.
pub(crate) fn prefix(kind: u8, version: Version) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + VERSION_BYTES + 8);
    key.push(kind);
    key.extend_from_slice(&version.encode());
    key
}

/// `kind | version | sequence (4, big endian)`, the key of one of a version's records.
pub(crate) fn key(kind: u8, version: Version, sequence: u32) -> Vec<u8> {
    let mut key = prefix(kind, version);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// Version and sequence of such a key, off its front.
pub(crate) fn take_key(fields: &mut Fields<'_>) -> Result<(Version, u32), Bad> {
    fields.u8()?;
    Ok((Version::take(fields)?, fields.bytes().map(u32::from_be_bytes)?))
}
