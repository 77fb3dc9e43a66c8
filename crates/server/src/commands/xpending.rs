//! XPENDING.

use streams::query::Query;

use super::arguments::{Args, at_least_zero, interval_end, interval_start, is_word};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Tells what a group was given and has not acknowledged: a summary, or line by line.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) for the summary, O(N) in the lines",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Query, SyntaxError> {
    let (key, group) = (args[1].clone(), args[2].clone());
    if args.len() == 3 {
        return Ok(Query::PendingSummary { key, group });
    }
    if !(6..=9).contains(&args.len()) {
        return Err(SyntaxError::Syntax);
    }
    let (min_idle_ms, range) = if is_word(&args[3], "IDLE") {
        let min_idle_ms = at_least_zero(&args[4])?;
        (min_idle_ms, args.get(5..).filter(|range| range.len() >= 3).ok_or(SyntaxError::Syntax)?)
    } else {
        (0, &args[3..])
    };
    let count = at_least_zero(&range[2])?;
    let (start, end) = (interval_start(&range[0])?, interval_end(&range[1])?);
    let consumer = range.get(3).cloned();
    Ok(Query::PendingRange { key, group, min_idle_ms, start, end, count, consumer })
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    #[test]
    fn pending_entries_are_summed_up_or_listed() {
        let (key, group) = ("s".into(), "g".into());
        assert_eq!(parse(&args("XPENDING s g")), Ok(Query::PendingSummary { key, group }));
        let listed = |min_idle_ms, consumer: Option<&'static str>| Query::PendingRange {
            key: "s".into(),
            group: "g".into(),
            min_idle_ms,
            start: EntryId::MIN,
            end: EntryId::new(5, 0),
            count: 10,
            consumer: consumer.map(Into::into),
        };
        assert_eq!(parse(&args("XPENDING s g - 5-0 10")), Ok(listed(0, None)));
        assert_eq!(parse(&args("XPENDING s g - 5-0 10 c")), Ok(listed(0, Some("c"))));
        assert_eq!(parse(&args("XPENDING s g idle 7 - (5-1 10 c")), Ok(listed(7, Some("c"))));
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        for (line, error) in [
            ("XPENDING s g IDLE 1", SyntaxError::Syntax),
            ("XPENDING s g - +", SyntaxError::Syntax),
            ("XPENDING s g IDLE x - +", SyntaxError::NotInteger),
            ("XPENDING s g IDLE 1 - +", SyntaxError::Syntax),
            ("XPENDING s g x + y", SyntaxError::NotInteger),
            ("XPENDING s g x + 10", SyntaxError::InvalidId),
            ("XPENDING s g - (0-0 10", SyntaxError::InvalidEnd),
            ("XPENDING s g IDLE 1 - + 10 c x", SyntaxError::Syntax),
        ] {
            assert_eq!(parse(&args(line)), Err(error), "{line}");
        }
    }
}
