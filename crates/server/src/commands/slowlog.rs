//! SLOWLOG: the requests that took long, with their arguments cut. Never what authenticates.

use super::arguments::{Args, integer};
use super::command::write_help;
use crate::resp::{Doc, Group, SyntaxError, Turn};

/// As many are shown where nothing is said, as in Redis.
const COUNT_USUAL: usize = 10;

pub(crate) static DOC: Doc = Doc {
    summary: "Shows which requests to this node took long.",
    group: Group::Server,
    since: "2.2.12",
    complexity: "Depends on the subcommand",
};

pub(crate) static GET: Doc = Doc {
    summary: "Shows the newest requests that took long.",
    group: Group::Server,
    since: "2.2.12",
    complexity: "O(N) in the requests shown",
};

pub(crate) static LEN: Doc = Doc {
    summary: "Counts the requests that are kept.",
    group: Group::Server,
    since: "2.2.12",
    complexity: "O(1)",
};

pub(crate) static RESET: Doc = Doc {
    summary: "Forgets the requests that are kept.",
    group: Group::Server,
    since: "2.2.12",
    complexity: "O(N) in the requests kept",
};

static HELP: &[&str] = &[
    "GET [<count>]",
    "    Show the newest requests that took long, 10 or so many; -1: all.",
    "LEN",
    "    Count them.",
    "RESET",
    "    Forget them.",
];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "SLOWLOG", HELP);
    Ok(())
}

/// Id, when, microseconds, arguments, who, and its name.
pub(crate) fn get(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let count = match &args[2..] {
        [] => COUNT_USUAL,
        [count] => match integer(count)? {
            -1 => usize::MAX,
            count => usize::try_from(count).map_err(|_| SyntaxError::SlowCount)?,
        },
        _ => return Err(SyntaxError::Arity("slowlog|get".to_owned())),
    };
    let found = turn.door.slow_log.newest(count);
    let out = &mut turn.out;
    out.array(found.len());
    for slow in found {
        out.array(6);
        out.unsigned(slow.id);
        out.unsigned(slow.at_ms / 1000);
        out.unsigned(u64::try_from(slow.took.as_micros()).unwrap_or(u64::MAX));
        out.array(slow.args.len());
        slow.args.iter().for_each(|arg| out.bulk(arg));
        out.bulk(slow.address);
        out.bulk(slow.name);
    }
    Ok(())
}

pub(crate) fn count(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.unsigned(turn.door.slow_log.count() as u64);
    Ok(())
}

pub(crate) fn reset(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.door.slow_log.clear();
    turn.out.simple("OK");
    Ok(())
}
