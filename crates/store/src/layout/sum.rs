//! How many records a shard's tree must hold, so that a silent loss is noticed.
//!
//! ```text
//! key:   1
//! value: count (8 bytes, little endian) | sum of XXH3-64 of every key, wrapping (8)
//! ```
//!
//! Counts the records of kinds 2 to 5. It is written in every batch that adds or removes one, so it
//! is right after every crash.

use super::fields::Fields;
use super::{Bad, change, dropped, entry, root};

pub(crate) const KEY: &[u8] = &[1];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) hashes: u64,
}

impl Sum {
    /// Whether records with this key are counted.
    pub(crate) fn counts(key: &[u8]) -> bool {
        let kinds = [root::KIND, change::KIND, dropped::KIND, entry::KIND];
        key.first().is_some_and(|kind| kinds.contains(kind))
    }

    pub(crate) fn add(&mut self, key: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.hashes = self.hashes.wrapping_add(hash(key));
    }

    pub(crate) fn subtract(&mut self, key: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.hashes = self.hashes.wrapping_sub(hash(key));
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let mut payload = self.count.to_le_bytes().to_vec();
        payload.extend_from_slice(&self.hashes.to_le_bytes());
        payload
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Bad> {
        let mut fields = Fields(payload);
        let sum = Self { count: fields.u64()?, hashes: fields.u64()? };
        fields.end()?;
        Ok(sum)
    }
}

fn hash(key: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let mut sum = Sum::default();
        sum.add(b"key");
        assert_eq!(
            sum.encode().escape_ascii().to_string(),
            r"\x01\x00\x00\x00\x00\x00\x00\x00\xe3eQ\xa0c\r\xea\xbb"
        );
        assert_eq!(Sum::decode(&sum.encode()), Ok(sum));
        sum.add(b"other");
        sum.subtract(b"key");
        sum.subtract(b"other");
        assert_eq!(sum, Sum::default());
    }
}
