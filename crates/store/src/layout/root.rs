//! The checkpoint that a shard is at. Writing it is the switch.
//!
//! ```text
//! key:   2
//! value: version (12 bytes) | passed over: count (2, little endian), versions (12 each)
//!        | where the meta is (1: 0 here, 1 in an entry) | the meta, if here
//! ```
//!
//! "Passed over" are versions below this one that were never switched to and may still have records.

use super::fields::Fields;
use super::{Bad, Version};

pub(crate) const KIND: u8 = 2;
pub(crate) const KEY: &[u8] = &[KIND];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootRecord {
    pub(crate) version: Version,
    pub(crate) passed_over: Vec<Version>,
    /// `None`: in the entry of [`super::entry::Name::Meta`].
    pub(crate) meta: Option<Vec<u8>>,
}

impl RootRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let count = u16::try_from(self.passed_over.len()).expect("few versions are passed over");
        let mut payload = self.version.encode().to_vec();
        payload.extend_from_slice(&count.to_le_bytes());
        for version in &self.passed_over {
            payload.extend_from_slice(&version.encode());
        }
        match &self.meta {
            Some(meta) => {
                payload.push(0);
                payload.extend_from_slice(meta);
            }
            None => payload.push(1),
        }
        payload
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, Bad> {
        let mut fields = Fields(payload);
        let version = Version::take(&mut fields)?;
        let count = fields.u16()?;
        let passed_over: Result<_, Bad> = (0..count).map(|_| Version::take(&mut fields)).collect();
        let meta = match fields.u8()? {
            0 => Some(fields.rest().to_vec()),
            1 => None,
            _ => return Err(Bad("has an unknown tag")),
        };
        fields.end()?;
        Ok(Self { version, passed_over: passed_over?, meta })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(root: &RootRecord, golden: &str) {
        let payload = root.encode();
        assert_eq!(payload.escape_ascii().to_string(), golden);
        assert_eq!(RootRecord::decode(&payload).as_ref(), Ok(root));
        for length in 0..14 {
            assert!(RootRecord::decode(&payload[..length]).is_err());
        }
    }

    #[test]
    fn golden() {
        let version = Version { number: 258, life: 3 };
        let meta = Some(b"meta".to_vec());
        check(
            &RootRecord { version, passed_over: Vec::new(), meta },
            r"\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x03\x00\x00\x00meta",
        );
        let passed_over = vec![Version { number: 7, life: 0 }];
        check(
            &RootRecord { version, passed_over, meta: None },
            r"\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x03\x01\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x01",
        );
    }
}
