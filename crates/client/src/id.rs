//! The id of an entry.

use std::fmt;
use std::str::FromStr;

use rpc::v1;

/// Unix milliseconds and a sequence number, ordered as a pair. Written `ms-seq`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub ms: u64,
    pub seq: u64,
}

impl EntryId {
    pub const MIN: EntryId = EntryId { ms: 0, seq: 0 };
    pub const MAX: EntryId = EntryId { ms: u64::MAX, seq: u64::MAX };

    /// An id from its two halves.
    pub const fn new(ms: u64, seq: u64) -> Self {
        Self { ms, seq }
    }

    /// The id right after this one; `None` after the greatest.
    pub fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Self { ms, seq: 0 }),
        }
    }

    /// The id right before this one; `None` before the smallest.
    pub fn previous(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Self { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Self { ms, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an entry id: write milliseconds-sequence, as 1526919030474-0")]
pub struct EntryIdError(String);

impl FromStr for EntryId {
    type Err = EntryIdError;

    fn from_str(text: &str) -> Result<Self, EntryIdError> {
        let wrong = || EntryIdError(text.to_owned());
        let (ms, seq) = text.split_once('-').ok_or_else(wrong)?;
        let half = |half: &str| half.parse().map_err(|_| wrong());
        Ok(Self { ms: half(ms)?, seq: half(seq)? })
    }
}

impl From<v1::EntryId> for EntryId {
    fn from(id: v1::EntryId) -> Self {
        Self { ms: id.ms, seq: id.seq }
    }
}

impl From<EntryId> for v1::EntryId {
    fn from(id: EntryId) -> Self {
        Self { ms: id.ms, seq: id.seq }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        for id in [EntryId::MIN, EntryId::new(5, 7), EntryId::MAX] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "5", "5-", "-5", "5-7-9", "5-x", "18446744073709551616-0"] {
            assert!(text.parse::<EntryId>().is_err(), "{text}");
        }
    }

    #[test]
    fn neighbours_carry_between_the_halves() {
        assert_eq!(EntryId::new(1, u64::MAX).next(), Some(EntryId::new(2, 0)));
        assert_eq!(EntryId::new(2, 0).previous(), Some(EntryId::new(1, u64::MAX)));
        assert_eq!((EntryId::MAX.next(), EntryId::MIN.previous()), (None, None));
    }
}
