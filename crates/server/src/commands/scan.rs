//! SCAN, KEYS, RANDOMKEY: going through keys of all shards. A cursor is a plain number: which
//! shard, and the place in it; 0 is the beginning and the end.

use std::sync::atomic::{AtomicU64, Ordering};

use streams::query::Query;

use super::arguments::{Args, integer, is_word, unsigned};
use crate::resp::{Doc, Group, SyntaxError};

/// What Redis looks at in one call without COUNT.
const COUNT_DEFAULT: u64 = 10;

pub(crate) static SCAN: Doc = Doc {
    summary: "Goes through the keys step by step, shard after shard. What is there from the first \
              call to the last is returned; a key comes more than once only when it is made anew.",
    group: Group::Generic,
    since: "2.8.0",
    complexity: "O(N) in COUNT",
};

pub(crate) static KEYS: Doc = Doc {
    summary: "Lists the keys that a pattern covers. Each shard answers at one moment, not all \
              shards together.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(N) in the keys of all shards",
};

pub(crate) static RANDOMKEY: Doc = Doc {
    summary: "Names some key: each call looks elsewhere.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1) for each shard",
};

pub(crate) fn scan(args: Args<'_>) -> Result<Query, SyntaxError> {
    let place = unsigned(&args[1]).map_err(|_| SyntaxError::Cursor)?;
    let (mut count, mut pattern, mut streams) = (COUNT_DEFAULT, None, true);
    let mut options = &args[2..];
    while let [option, value, rest @ ..] = options {
        if is_word(option, "COUNT") {
            count = u64::try_from(integer(value)?).unwrap_or(0);
            if count == 0 {
                return Err(SyntaxError::Syntax);
            }
        } else if is_word(option, "MATCH") {
            pattern = Some(value.clone()).filter(|pattern| pattern != "*");
        } else if is_word(option, "TYPE") {
            streams = is_word(value, "STREAM");
        } else {
            return Err(SyntaxError::Syntax);
        }
        options = rest;
    }
    match (options.is_empty(), streams) {
        (false, _) => Err(SyntaxError::Syntax),
        (true, true) => Ok(Query::Scan { place, count, pattern }),
        // There is no key of another type: the end is behind the last place.
        (true, false) => Ok(Query::Scan { place: u64::MAX, count, pattern }),
    }
}

pub(crate) fn keys(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::Keys { pattern: args[1].clone() })
}

pub(crate) fn random_key(_: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::KeyAt { place: next_place() })
}

/// Spread evenly instead of at random: multiples of the golden ratio leave no gap for long.
fn next_place() -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    calls.wrapping_mul(GOLDEN) >> (u64::BITS - streams::PLACE_BITS)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::commands::args;

    #[test]
    fn options_of_scan_come_in_any_order() {
        let query = |place, count, pattern: Option<&'static str>| {
            Ok(Query::Scan { place, count, pattern: pattern.map(Bytes::from) })
        };
        for (line, expected) in [
            ("SCAN 0", query(0, 10, None)),
            ("SCAN 17 match a* count 5", query(17, 5, Some("a*"))),
            ("SCAN 0 TYPE STREAM MATCH *", query(0, 10, None)),
            ("SCAN 3 COUNT 2 TYPE string", query(u64::MAX, 2, None)),
            ("SCAN x", Err(SyntaxError::Cursor)),
            ("SCAN -1", Err(SyntaxError::Cursor)),
            ("SCAN 18446744073709551616", Err(SyntaxError::Cursor)),
            ("SCAN 0 COUNT 0", Err(SyntaxError::Syntax)),
            ("SCAN 0 COUNT -1", Err(SyntaxError::Syntax)),
            ("SCAN 0 COUNT x", Err(SyntaxError::NotInteger)),
            ("SCAN 0 MATCH", Err(SyntaxError::Syntax)),
            ("SCAN 0 FOO 1", Err(SyntaxError::Syntax)),
        ] {
            assert_eq!(scan(&args(line)), expected, "{line}");
        }
    }

    #[test]
    fn no_quarter_of_the_places_goes_unseen_for_long() {
        let mut seen = [0; 4];
        for _ in 0..40 {
            seen[usize::try_from(next_place() >> (streams::PLACE_BITS - 2)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|times| *times > 4), "{seen:?}");
    }
}
