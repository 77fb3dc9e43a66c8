//! How many bytes an entry would take in a listpack of Redis. It decides where a block ends, which
//! clients see in what `~` trimming leaves. Never a listpack itself.
//!
//! ```text
//! node:  header 6 | count 1 | deleted 1 | fields count | field ... | 0 | entry ... | end 1
//! entry: flags | ms − node's | seq − node's | [fields count, names unless equal to the node's]
//!        | values | elements count
//! ```
//! Every element is its encoding (integers get short ones) and its length written backwards.

use bytes::Bytes;

use crate::id::EntryId;

/// Bytes of a node with its first entry.
pub(crate) fn node_bytes(fields: &[Bytes]) -> u32 {
    const HEADER_AND_END: u32 = 7;
    const COUNTS: u32 = 2 * 2;
    const TERMINATOR: u32 = 2;
    let pairs = (fields.len() / 2) as i64;
    let names: u32 = fields.iter().step_by(2).map(|name| text_bytes(name)).fold(0, add);
    let master = HEADER_AND_END + COUNTS + integer_bytes(pairs) + TERMINATOR;
    add(add(master, names), entry_bytes(fields, true, EntryId::MIN, EntryId::MIN))
}

/// Bytes that an entry adds to a node whose first entry ever has the id `base`.
pub(crate) fn entry_bytes(fields: &[Bytes], same_names: bool, base: EntryId, id: EntryId) -> u32 {
    const FLAGS: u32 = 2;
    let pairs = (fields.len() / 2) as i64;
    let ms = integer_bytes(id.ms.wrapping_sub(base.ms) as i64);
    let seq = integer_bytes(id.seq.wrapping_sub(base.seq) as i64);
    let values: u32 = fields.iter().skip(1).step_by(2).map(|value| text_bytes(value)).fold(0, add);
    let fixed = FLAGS + ms + seq;
    if same_names {
        return add(fixed + integer_bytes(pairs + 3), values);
    }
    let names: u32 = fields.iter().step_by(2).map(|name| text_bytes(name)).fold(0, add);
    let counts = integer_bytes(pairs) + integer_bytes(2 * pairs + 4);
    add(add(fixed + counts, values), names)
}

fn add(a: u32, b: u32) -> u32 {
    a.saturating_add(b)
}

fn text_bytes(text: &[u8]) -> u32 {
    if let Some(value) = as_integer(text) {
        return integer_bytes(value);
    }
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let header = match length {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    };
    with_back_length(add(length, header))
}

fn integer_bytes(value: i64) -> u32 {
    let encoded = match value {
        0..=127 => 1,
        -4096..=4095 => 2,
        -32_768..=32_767 => 3,
        -8_388_608..=8_388_607 => 4,
        -2_147_483_648..=2_147_483_647 => 5,
        _ => 9,
    };
    with_back_length(encoded)
}

fn with_back_length(encoded: u32) -> u32 {
    let back = match encoded {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        2_097_152..=268_435_455 => 4,
        _ => 5,
    };
    add(encoded, back)
}

/// The number that a text is the only decimal spelling of.
fn as_integer(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.len() < 19 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_take_what_a_listpack_takes() {
        assert_eq!(text_bytes(b""), 2);
        assert_eq!(text_bytes(b"item"), 6);
        assert_eq!(text_bytes(b"7"), 2);
        assert_eq!(text_bytes(b"07"), 4);
        assert_eq!(text_bytes(b"-1"), 3);
        assert_eq!(text_bytes(b"4096"), 4);
        assert_eq!(text_bytes(b"9223372036854775807"), 10);
        assert_eq!(text_bytes(b"9223372036854775808"), 21);
        assert_eq!(text_bytes(&[b'x'; 63]), 65);
        assert_eq!(text_bytes(&[b'x'; 100]), 103);
        assert_eq!(text_bytes(&[b'x'; 200]), 204);
        assert_eq!(text_bytes(&[b'x'; 5000]), 5007);
    }

    #[test]
    fn numbers_are_told_from_texts() {
        assert_eq!(as_integer(b"-9223372036854775808"), Some(i64::MIN));
        for text in [&b"-0"[..], b"00", b"", b"-", b"+1", b"1 ", b"9223372036854775808"] {
            assert_eq!(as_integer(text), None);
        }
    }
}
