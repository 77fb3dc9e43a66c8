//! A piece of a part's value, at most 5,995 bytes.
//!
//! ```text
//! key:   6 | version (12 bytes) | sequence of the part (4, big endian) | chunk (4, big endian)
//! value: bytes
//! ```
//!
//! In the order in which they are written, so that sled's pages fill up and stay.

use super::fields::Fields;
use super::version;
use super::{Bad, Version};

pub(crate) const KIND: u8 = 6;

pub(crate) fn key(version: Version, sequence: u32, chunk: u32) -> Vec<u8> {
    let mut key = version::key(KIND, version, sequence);
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

/// Version, sequence, chunk.
pub(crate) fn decode_key(key: &[u8]) -> Result<(Version, u32, u32), Bad> {
    let mut fields = Fields(key);
    let (version, sequence) = version::take_key(&mut fields)?;
    let chunk = fields.bytes().map(u32::from_be_bytes)?;
    fields.end()?;
    Ok((version, sequence, chunk))
}

/// The front of all chunks of a version.
pub(crate) fn prefix(version: Version) -> Vec<u8> {
    version::prefix(KIND, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let version = Version { number: 258, life: 3 };
        let key = key(version, 4, 5);
        assert_eq!(decode_key(&key), Ok((version, 4, 5)));
        assert_eq!(
            key.escape_ascii().to_string(),
            r"\x06\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05"
        );
    }
}
