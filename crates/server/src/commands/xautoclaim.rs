//! XAUTOCLAIM.

use streams::command::{AutoClaim, Command};

use super::arguments::{Args, interval_start, is_word};
use crate::resp::{Doc, Group, SyntaxError};

/// Entries claimed at most when COUNT isn't given; Redis's.
const COUNT_DEFAULT: u64 = 100;

/// The greatest COUNT that Redis takes: what it scans is ten times that, and more would overflow
/// (CVE-2022-35951).
const COUNT_MAX: i64 = i64::MAX / 16;

pub(crate) static DOC: Doc = Doc {
    summary: "Hands pending entries that were idle for long to another consumer, from an id on.",
    group: Group::Stream,
    since: "6.2.0",
    complexity: "O(1) where COUNT is small",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Command, SyntaxError> {
    let min_idle = resp::signed(&args[4]).ok_or(SyntaxError::MinIdle("XAUTOCLAIM"))?;
    let start = interval_start(&args[5])?;
    let (mut count, mut just_id) = (COUNT_DEFAULT, false);
    let mut options = &args[6..];
    loop {
        options = match options {
            [] => break,
            [option, value, rest @ ..] if is_word(option, "COUNT") => {
                let given = resp::signed(value).filter(|count| (1..=COUNT_MAX).contains(count));
                count = given.ok_or(SyntaxError::AutoClaimCount)?.unsigned_abs();
                rest
            }
            [option, rest @ ..] if is_word(option, "JUSTID") => {
                just_id = true;
                rest
            }
            _ => return Err(SyntaxError::Syntax),
        };
    }
    Ok(Command::AutoClaim(AutoClaim {
        key: args[1].clone(),
        group: args[2].clone(),
        consumer: args[3].clone(),
        min_idle_ms: u64::try_from(min_idle).unwrap_or(0),
        start,
        count,
        just_id,
    }))
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    fn check(line: &str, expected: Result<(u64, EntryId, u64, bool), SyntaxError>) {
        let expected = expected.map(|(min_idle_ms, start, count, just_id)| {
            let (key, group, consumer) = ("s".into(), "g".into(), "c".into());
            Command::AutoClaim(AutoClaim {
                key,
                group,
                consumer,
                min_idle_ms,
                start,
                count,
                just_id,
            })
        });
        assert_eq!(parse(&args(line)), expected, "{line}");
    }

    #[test]
    fn entries_are_claimed_from_an_id_on() {
        check("XAUTOCLAIM s g c 0 0", Ok((0, EntryId::MIN, 100, false)));
        check("XAUTOCLAIM s g c -7 - JUSTID", Ok((0, EntryId::MIN, 100, true)));
        check("XAUTOCLAIM s g c 7 (5-1 count 3", Ok((7, EntryId::new(5, 2), 3, false)));
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        check("XAUTOCLAIM s g c x y", Err(SyntaxError::MinIdle("XAUTOCLAIM")));
        check("XAUTOCLAIM s g c 0 y FOO", Err(SyntaxError::InvalidId));
        check("XAUTOCLAIM s g c 0 0 FOO", Err(SyntaxError::Syntax));
        check("XAUTOCLAIM s g c 0 0 COUNT", Err(SyntaxError::Syntax));
        check("XAUTOCLAIM s g c 0 0 COUNT 0", Err(SyntaxError::AutoClaimCount));
        // CVE-2022-35951: a count near the greatest number overflowed.
        let overflow = "XAUTOCLAIM s g c 0 0 COUNT 9223372036854775807";
        check(overflow, Err(SyntaxError::AutoClaimCount));
        check("XAUTOCLAIM s g c 0 0 COUNT 18446744073709551616", Err(SyntaxError::AutoClaimCount));
    }
}
