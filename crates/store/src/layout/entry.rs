//! A part under the version that wrote it.
//!
//! ```text
//! key:   5 | name, escaped: 00 as 00 FF | 00 00 | version, inverted (12 bytes)
//! name:  1 | key of the part      or      2 (the meta of the checkpoint)
//! value: 0                                                   removed
//!        1 | the part                                        here, up to 512 bytes
//!        2 | sequence (4, little endian) | chunks (4) | bytes (4)   in chunks
//! ```
//!
//! The escape keeps the order of names although versions follow them; the inversion puts the newest
//! version first.

use std::ops::Bound;

use super::fields::Fields;
use super::version::VERSION_BYTES;
use super::{Bad, Version};

pub(crate) const KIND: u8 = 5;

const PART: u8 = 1;
const META: u8 = 2;

/// The name of a part.
pub(crate) fn part_name(key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(1 + key.len());
    name.push(PART);
    name.extend_from_slice(key);
    name
}

/// The name of a checkpoint's meta.
pub(crate) fn meta_name() -> Vec<u8> {
    vec![META]
}

/// The part's key, if it is the name of a part.
pub(crate) fn part_key(name: &[u8]) -> Option<&[u8]> {
    name.strip_prefix(&[PART])
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Removed,
    Here(Vec<u8>),
    Chunks { sequence: u32, chunks: u32, bytes: u32 },
}

/// The front of all entries whose name starts so.
pub(crate) fn prefix(name_prefix: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(name_prefix.len() + 32);
    key.push(KIND);
    for byte in name_prefix {
        key.push(*byte);
        if *byte == 0 {
            key.push(0xff);
        }
    }
    key
}

/// The front of all entries of a name.
pub(crate) fn prefix_of(name: &[u8]) -> Vec<u8> {
    let mut key = prefix(name);
    key.extend_from_slice(&[0, 0]);
    key
}

pub(crate) fn key(name: &[u8], version: Version) -> Vec<u8> {
    let mut key = prefix_of(name);
    key.extend_from_slice(&version.encode_newest_first());
    key
}

/// Where the entries of all names after this one start.
pub(crate) fn after(name: &[u8]) -> Bound<Vec<u8>> {
    let mut key = prefix_of(name);
    key.extend_from_slice(&[0xff; VERSION_BYTES]);
    Bound::Excluded(key)
}

/// Name and version.
pub(crate) fn decode_key(key: &[u8]) -> Result<(Vec<u8>, Version), Bad> {
    let Some((front, version)) = key.split_last_chunk::<VERSION_BYTES>() else {
        return Err(Bad("key too short"));
    };
    let (Some((&KIND, escaped)), version) = (front.split_first(), *version) else {
        return Err(Bad("key of another kind"));
    };
    let mut name = Vec::with_capacity(escaped.len());
    let mut bytes = escaped.iter();
    loop {
        match bytes.next() {
            Some(0) => match bytes.next() {
                Some(0xff) => name.push(0),
                Some(0) if bytes.as_slice().is_empty() => break,
                _ => return Err(Bad("key badly escaped")),
            },
            Some(byte) => name.push(*byte),
            None => return Err(Bad("key without an end")),
        }
    }
    Ok((name, Version::decode_newest_first(version)))
}

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Entry::Removed => vec![0],
            Entry::Here(value) => [&[1], value.as_slice()].concat(),
            Entry::Chunks { sequence, chunks, bytes } => {
                let numbers = [sequence, chunks, bytes].map(|number| number.to_le_bytes());
                [&[2], numbers.as_flattened()].concat()
            }
        }
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Bad> {
        let mut fields = Fields(payload);
        let entry = match fields.u8()? {
            0 => Entry::Removed,
            1 => Entry::Here(fields.rest().to_vec()),
            2 => Entry::Chunks {
                sequence: fields.u32()?,
                chunks: fields.u32()?,
                bytes: fields.u32()?,
            },
            _ => return Err(Bad("has an unknown tag")),
        };
        fields.end()?;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VERSION: Version = Version { number: 258, life: 3 };

    #[test]
    fn golden_keys() {
        let check = |name: &[u8], golden: &str| {
            let key = key(name, VERSION);
            assert_eq!(key.escape_ascii().to_string(), golden);
            assert_eq!(decode_key(&key), Ok((name.to_vec(), VERSION)));
        };
        check(
            &part_name(b"k\0y"),
            r"\x05\x01k\x00\xffy\x00\x00\xff\xff\xff\xff\xff\xff\xfe\xfd\xff\xff\xff\xfc",
        );
        check(&meta_name(), r"\x05\x02\x00\x00\xff\xff\xff\xff\xff\xff\xfe\xfd\xff\xff\xff\xfc");
    }

    #[test]
    fn golden_values() {
        let check = |entry: Entry, golden: &str| {
            let payload = entry.encode();
            assert_eq!(payload.escape_ascii().to_string(), golden);
            assert_eq!(Entry::decode(&payload), Ok(entry));
        };
        check(Entry::Removed, r"\x00");
        check(Entry::Here(b"value".to_vec()), r"\x01value");
        check(
            Entry::Chunks { sequence: 1, chunks: 2, bytes: 7000 },
            r"\x02\x01\x00\x00\x00\x02\x00\x00\x00X\x1b\x00\x00",
        );
    }

    proptest! {
        #[test]
        fn bytes_are_ordered_as_names_then_newest_first(
            a in proptest::collection::vec(0u8..3, 0..5), a_number in 0u64..300,
            b in proptest::collection::vec(0u8..3, 0..5), b_number in 0u64..300,
        ) {
            let of = |name: &[u8], number| key(name, Version { number, life: 0 });
            let order = a.cmp(&b).then(b_number.cmp(&a_number));
            prop_assert_eq!(of(&a, a_number).cmp(&of(&b, b_number)), order);
            prop_assert_eq!(of(&a, a_number).starts_with(&prefix(&b)), a.starts_with(&b));
            let (name, version) = decode_key(&of(&a, a_number)).unwrap();
            prop_assert_eq!((name, version.number), (a, a_number));
        }

        #[test]
        fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = decode_key(&bytes);
            let _ = Entry::decode(&bytes);
            let _ = super::super::change::decode(&bytes);
            let _ = super::super::root::RootRecord::decode(&bytes);
        }
    }
}
