//! Arguments that many commands share: numbers, entry ids, ends of an interval. As strict as Redis:
//! a number has no sign but a minus, no leading zero, no space; the halves of an id may.

use bytes::Bytes;
use streams::id::EntryId;

use crate::resp::SyntaxError;

/// A request, its name included.
pub(crate) type Args<'a> = &'a [Bytes];

/// Bytes of an id that are looked at; Redis's buffer.
const ID_BYTES_MAX: usize = 127;

/// Whether an argument is this word, in any case.
pub(crate) fn is_word(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// A signed number.
pub(super) fn integer(arg: &[u8]) -> Result<i64, SyntaxError> {
    resp::signed(arg).ok_or(SyntaxError::NotInteger)
}

/// A number, where a negative one counts as 0.
pub(super) fn at_least_zero(arg: &[u8]) -> Result<u64, SyntaxError> {
    integer(arg).map(|value| u64::try_from(value).unwrap_or(0))
}

/// How the sequence of an id was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    Given(u64),
    /// `ms-*`
    Any,
    Missing,
}

/// The two halves of an id, `-` and `+` not among them.
pub(super) fn id_parts(arg: &[u8]) -> Result<(u64, Sequence), SyntaxError> {
    if arg.len() > ID_BYTES_MAX {
        return Err(SyntaxError::InvalidId);
    }
    let (ms, sequence) = match arg.iter().position(|byte| *byte == b'-') {
        Some(dash) => (&arg[..dash], Some(&arg[dash + 1..])),
        None => (arg, None),
    };
    let sequence = match sequence {
        None => Sequence::Missing,
        Some(b"*") => Sequence::Any,
        Some(sequence) => Sequence::Given(unsigned(sequence)?),
    };
    Ok((unsigned(ms)?, sequence))
}

/// One half of an id, or a cursor: Redis lets space, a plus and zeros stand in front of its digits.
pub(super) fn unsigned(text: &[u8]) -> Result<u64, SyntaxError> {
    let is_space = |byte: &u8| matches!(byte, b' ' | 0x09..=0x0d);
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let digits = text[start..].strip_prefix(b"+").unwrap_or(&text[start..]);
    if digits.is_empty() {
        return Err(SyntaxError::InvalidId);
    }
    let digit = |digit: &u8| digit.checked_sub(b'0').filter(|digit| *digit <= 9).map(u64::from);
    let value = digits
        .iter()
        .try_fold(0u64, |value, next| value.checked_mul(10)?.checked_add(digit(next)?));
    value.ok_or(SyntaxError::InvalidId)
}

/// An id; without a sequence it is 0.
pub(super) fn id(arg: &[u8]) -> Result<EntryId, SyntaxError> {
    id_or(arg, 0)
}

fn id_or(arg: &[u8], missing: u64) -> Result<EntryId, SyntaxError> {
    match id_parts(arg)? {
        (ms, Sequence::Given(seq)) => Ok(EntryId::new(ms, seq)),
        (ms, Sequence::Missing) => Ok(EntryId::new(ms, missing)),
        (_, Sequence::Any) => Err(SyntaxError::InvalidId),
    }
}

/// An id, or `-` and `+` for the ends of all there is.
pub(super) fn id_or_end(arg: &[u8], missing: u64) -> Result<EntryId, SyntaxError> {
    match arg {
        b"-" => Ok(EntryId::MIN),
        b"+" => Ok(EntryId::MAX),
        arg => id_or(arg, missing),
    }
}

/// Many ids.
pub(super) fn ids(args: Args<'_>) -> Result<Vec<EntryId>, SyntaxError> {
    args.iter().map(|arg| id(arg)).collect()
}

/// The first id of an interval: `(` in front leaves it out itself.
pub(super) fn interval_start(arg: &[u8]) -> Result<EntryId, SyntaxError> {
    match arg {
        [b'(', exclusive @ ..] if !exclusive.is_empty() => {
            id_or(exclusive, 0)?.next().ok_or(SyntaxError::InvalidStart)
        }
        inclusive => id_or_end(inclusive, 0),
    }
}

/// The last id of an interval: `(` in front leaves it out itself.
pub(super) fn interval_end(arg: &[u8]) -> Result<EntryId, SyntaxError> {
    match arg {
        [b'(', exclusive @ ..] if !exclusive.is_empty() => {
            id_or(exclusive, u64::MAX)?.previous().ok_or(SyntaxError::InvalidEnd)
        }
        inclusive => id_or_end(inclusive, u64::MAX),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request from a line of words.
    pub(crate) fn args(line: &str) -> Vec<Bytes> {
        line.split_whitespace().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect()
    }

    #[test]
    fn an_id_is_two_plain_numbers() {
        assert_eq!(id(b"5-1"), Ok(EntryId::new(5, 1)));
        assert_eq!(id(b"5"), Ok(EntryId::new(5, 0)));
        assert_eq!(id_or_end(b"5", u64::MAX), Ok(EntryId::new(5, u64::MAX)));
        assert_eq!(id_or_end(b"-", 0), Ok(EntryId::MIN));
        assert_eq!(id(b"18446744073709551615-18446744073709551615"), Ok(EntryId::MAX));
        assert_eq!(id_parts(b"5-*"), Ok((5, Sequence::Any)));
        let long = [b'1'; 128];
        let malformed: [&[u8]; 15] = [
            b"", b"-", b"+", b"--", b"abc", b"5-", b"-5", b"+-5", b"++5", b"5 ", b"+ 5", b"0x5",
            b"5-1-1", b"5-*", &long,
        ];
        for text in malformed {
            assert_eq!(id(text), Err(SyntaxError::InvalidId), "{}", text.escape_ascii());
        }
        assert_eq!(id(b"18446744073709551616-0"), Err(SyntaxError::InvalidId));
    }

    #[test]
    fn space_plus_and_zeros_before_the_digits_of_an_id_were_refused_unlike_by_redis() {
        for text in [&b"+5-1"[..], b"005-+1", b" 5-\t1", b" +05-01"] {
            assert_eq!(id(text), Ok(EntryId::new(5, 1)), "{}", text.escape_ascii());
        }
        assert_eq!(id(&[b'0'; 127]), Ok(EntryId::MIN));
    }

    #[test]
    fn the_ends_of_an_interval_may_be_exclusive() {
        assert_eq!(interval_start(b"(5-1"), Ok(EntryId::new(5, 2)));
        assert_eq!(interval_start(b"(5"), Ok(EntryId::new(5, 1)));
        assert_eq!(interval_end(b"(5-0"), Ok(EntryId::new(4, u64::MAX)));
        assert_eq!(interval_end(b"(5"), Ok(EntryId::new(5, u64::MAX - 1)));
        assert_eq!(interval_start(b"(-"), Err(SyntaxError::InvalidId));
        assert_eq!(interval_start(b"("), Err(SyntaxError::InvalidId));
        let greatest = b"(18446744073709551615-18446744073709551615";
        assert_eq!(interval_start(greatest), Err(SyntaxError::InvalidStart));
        assert_eq!(interval_end(b"(0-0"), Err(SyntaxError::InvalidEnd));
    }
}
