//! XRANGE and XREVRANGE.

use bytes::Bytes;
use streams::query::Query;

use super::arguments::{Args, at_least_zero, interval_end, interval_start, is_word};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static XRANGE: Doc = Doc {
    summary: "Reads the entries of a stream between two ids, oldest first.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) in the entries read",
};

pub(crate) static XREVRANGE: Doc = Doc {
    summary: "Reads the entries of a stream between two ids, newest first.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) in the entries read",
};

pub(crate) fn forward(args: Args<'_>) -> Result<Query, SyntaxError> {
    parse(args, &args[2], &args[3], false)
}

pub(crate) fn reverse(args: Args<'_>) -> Result<Query, SyntaxError> {
    parse(args, &args[3], &args[2], true)
}

fn parse(args: Args<'_>, start: &Bytes, end: &Bytes, reverse: bool) -> Result<Query, SyntaxError> {
    let (start, end) = (interval_start(start)?, interval_end(end)?);
    let mut count = None;
    let mut options = &args[4..];
    while let [option, value, rest @ ..] = options {
        if !is_word(option, "COUNT") {
            return Err(SyntaxError::Syntax);
        }
        count = Some(at_least_zero(value)?);
        options = rest;
    }
    match options {
        [] => Ok(Query::Range { key: args[1].clone(), start, end, count, reverse }),
        _ => Err(SyntaxError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    fn check(line: &str, expected: Result<(EntryId, EntryId, Option<u64>), SyntaxError>) {
        let reverse = line.starts_with("XREV");
        let parsed = if reverse { super::reverse(&args(line)) } else { forward(&args(line)) };
        let expected = expected.map(|(start, end, count)| Query::Range {
            key: "s".into(),
            start,
            end,
            count,
            reverse,
        });
        assert_eq!(parsed, expected, "{line}");
    }

    #[test]
    fn a_range_has_two_ends_and_perhaps_a_count() {
        let all = |count| Ok((EntryId::MIN, EntryId::MAX, count));
        check("XRANGE s - +", all(None));
        check("XREVRANGE s + - COUNT 1", all(Some(1)));
        check("XRANGE s - + count 5 COUNT 0", all(Some(0)));
        check("XRANGE s - + COUNT -3", all(Some(0)));
        let five = (EntryId::new(5, 0), EntryId::new(5, u64::MAX), None);
        check("XRANGE s 5 5", Ok(five));
        check("XREVRANGE s 5 5", Ok(five));
        check("XRANGE s (5-1 +", Ok((EntryId::new(5, 2), EntryId::MAX, None)));
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        check("XRANGE s (- x FOO", Err(SyntaxError::InvalidId));
        check("XRANGE s - (0-0 FOO", Err(SyntaxError::InvalidEnd));
        check("XRANGE s - + FOO 1", Err(SyntaxError::Syntax));
        check("XRANGE s - + COUNT", Err(SyntaxError::Syntax));
        check("XRANGE s - + COUNT x", Err(SyntaxError::NotInteger));
    }
}
