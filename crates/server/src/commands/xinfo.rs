//! XINFO and its subcommands.

use streams::query::Query;

use super::arguments::{Args, integer, is_word};
use crate::resp::{Doc, Echo, Group, SyntaxError};

/// Entries shown of each list when FULL comes without COUNT; Redis's.
const FULL_COUNT_DEFAULT: u64 = 10;

pub(crate) static DOC: Doc = Doc {
    summary: "Describes streams, groups and consumers.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "Depends on the subcommand",
};

pub(crate) static STREAM: Doc = Doc {
    summary: "Describes a stream; with FULL also its entries, groups and what is pending.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1), with FULL O(N) in what is shown",
};

pub(crate) static GROUPS: Doc = Doc {
    summary: "Lists the groups of a stream.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) for each group",
};

pub(crate) static CONSUMERS: Doc = Doc {
    summary: "Lists the consumers of a group.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1) for each consumer",
};

pub(crate) static HELP: &[&str] = &[
    "CONSUMERS <key> <groupname>",
    "    List the consumers of a group.",
    "GROUPS <key>",
    "    List the groups of a stream.",
    "STREAM <key> [FULL [COUNT <count>]]",
    "    Describe a stream.",
];

pub(crate) fn stream(args: Args<'_>) -> Result<Query, SyntaxError> {
    let key = args[2].clone();
    let wrong = || SyntaxError::SubcommandSyntax { container: "XINFO", name: Echo::new(&args[1]) };
    match &args[3..] {
        [] => Ok(Query::Stream { key }),
        [full] if is_word(full, "FULL") => Ok(Query::StreamFull { key, count: FULL_COUNT_DEFAULT }),
        [full, option, value] if is_word(full, "FULL") && is_word(option, "COUNT") => {
            let count = u64::try_from(integer(value)?).unwrap_or(FULL_COUNT_DEFAULT);
            Ok(Query::StreamFull { key, count })
        }
        _ => Err(wrong()),
    }
}

pub(crate) fn groups(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::Groups { key: args[2].clone() })
}

pub(crate) fn consumers(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::Consumers { key: args[2].clone(), group: args[3].clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn a_stream_is_described_briefly_or_in_full() {
        let full = |count| Ok(Query::StreamFull { key: "s".into(), count });
        assert_eq!(stream(&args("XINFO STREAM s")), Ok(Query::Stream { key: "s".into() }));
        assert_eq!(stream(&args("XINFO STREAM s full")), full(10));
        assert_eq!(stream(&args("XINFO STREAM s FULL count 0")), full(0));
        assert_eq!(stream(&args("XINFO STREAM s FULL COUNT -1")), full(10));
        let (key, group) = ("s".into(), "g".into());
        assert_eq!(groups(&args("XINFO GROUPS s")), Ok(Query::Groups { key: "s".into() }));
        assert_eq!(consumers(&args("XINFO CONSUMERS s g")), Ok(Query::Consumers { key, group }));
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        let name = Echo::new(b"STREAM");
        let syntax = SyntaxError::SubcommandSyntax { container: "XINFO", name };
        for (line, error) in [
            ("XINFO STREAM s FOO", &syntax),
            ("XINFO STREAM s FULL COUNT", &syntax),
            ("XINFO STREAM s FULL FOO 1", &syntax),
            ("XINFO STREAM s FULL COUNT 1 x", &syntax),
            ("XINFO STREAM s FULL COUNT x", &SyntaxError::NotInteger),
        ] {
            assert_eq!(stream(&args(line)).as_ref(), Err(error), "{line}");
        }
    }
}
