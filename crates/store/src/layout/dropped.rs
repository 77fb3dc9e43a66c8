//! A prefix that a version dropped: older parts under it are gone for readers at or above it.
//!
//! ```text
//! key:   4 | version (12 bytes) | sequence (4, big endian)
//! value: prefix
//! ```

use super::fields::Fields;
use super::version;
use super::{Bad, Version};

pub(crate) const KIND: u8 = 4;

pub(crate) fn key(version: Version, sequence: u32) -> Vec<u8> {
    version::key(KIND, version, sequence)
}

/// The front of all drops of a version.
pub(crate) fn prefix(version: Version) -> Vec<u8> {
    version::prefix(KIND, version)
}

pub(crate) fn decode_key(key: &[u8]) -> Result<(Version, u32), Bad> {
    let mut fields = Fields(key);
    let numbered = version::take_key(&mut fields)?;
    fields.end()?;
    Ok(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let version = Version { number: 258, life: 3 };
        let key = key(version, 9);
        assert_eq!(
            key.escape_ascii().to_string(),
            r"\x04\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x03\x00\x00\x00\t"
        );
        assert_eq!(decode_key(&key), Ok((version, 9)));
    }
}
