//! Which keys a version wrote. Stands there before the first of their entries does, and goes when
//! everything that those entries made old is gone; or, where the version was never switched to, when
//! all of its own records are.
//!
//! ```text
//! key:   3 | version (12 bytes) | sequence (4, big endian)
//! value: { length (2, little endian) | name }*
//! ```

use super::fields::Fields;
use super::version::{self, VERSION_BYTES};
use super::{Bad, Version};
use crate::limits::CHUNK_BYTES;

pub(crate) const KIND: u8 = 3;

pub(crate) fn key(version: Version, sequence: u32) -> Vec<u8> {
    version::key(KIND, version, sequence)
}

/// The front of all change records of a version.
pub(crate) fn prefix(version: Version) -> Vec<u8> {
    version::prefix(KIND, version)
}

pub(crate) fn decode_key(key: &[u8]) -> Result<Version, Bad> {
    let mut fields = Fields(key);
    let (version, _) = version::take_key(&mut fields)?;
    fields.end()?;
    Ok(version)
}

/// Packs names into as few records as fit.
pub(crate) fn encode(names: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut records = vec![Vec::new()];
    for name in names {
        let last = records.last().expect("there is one from the start");
        if last.len() + 2 + name.len() > CHUNK_BYTES {
            records.push(Vec::new());
        }
        let length = u16::try_from(name.len()).expect("a name is short");
        let record = records.last_mut().expect("there is one from the start");
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(name);
    }
    records
}

pub(crate) fn decode(payload: &[u8]) -> Result<Vec<Vec<u8>>, Bad> {
    let mut fields = Fields(payload);
    let mut names = Vec::new();
    while fields.end().is_err() {
        let length = fields.u16()?;
        names.push(fields.slice(usize::from(length))?.to_vec());
    }
    Ok(names)
}

const _: () = assert!(VERSION_BYTES == 12);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let version = Version { number: 258, life: 3 };
        let key = key(version, 9);
        assert_eq!(
            key.escape_ascii().to_string(),
            r"\x03\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x03\x00\x00\x00\t"
        );
        assert_eq!(decode_key(&key), Ok(version));
        let names = vec![b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let records = encode(&names);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].escape_ascii().to_string(), r"\x03\x00one\x00\x00\x05\x00three");
        assert_eq!(decode(&records[0]), Ok(names));
    }

    #[test]
    fn long_names_take_more_records_and_none_is_too_long() {
        let names: Vec<Vec<u8>> = (0..100u8).map(|at| vec![at; 128]).collect();
        let records = encode(&names);
        assert!(records.iter().all(|record| record.len() <= CHUNK_BYTES));
        let back: Vec<Vec<u8>> = records.iter().flat_map(|r| decode(r).unwrap()).collect();
        assert_eq!(back, names);
        assert!(decode(&[5, 0, 1]).is_err());
    }
}
