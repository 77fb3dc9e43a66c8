//! RENAME, RENAMENX, COPY, FLUSHALL, FLUSHDB: keys that get another name, and all keys. Two keys of
//! a request belong to one slot, as in a cluster of Redis: only so is it one step.

use streams::command::Command;
use topology::slot_of;

use super::arguments::{Args, integer, is_word};
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static RENAME: Doc = Doc {
    summary: "Moves a stream with its groups to another name of the same slot, over what is there.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static RENAMENX: Doc = Doc {
    summary: "Moves a stream with its groups to another name of the same slot that is free.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static COPY: Doc = Doc {
    summary: "Copies a stream of up to 64 MiB with its groups, and what is pending in them, to \
              another name of the same slot.",
    group: Group::Generic,
    since: "6.2.0",
    complexity: "O(N) in the blocks and pending entries of the stream",
};

pub(crate) static FLUSHALL: Doc = Doc {
    summary: "Removes all keys. Each shard removes its own at once, not all shards together; \
              contents go in the background.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) in the keys, for one entry of each shard's log",
};

pub(crate) static FLUSHDB: Doc = Doc {
    summary: "Removes all keys, exactly as FLUSHALL does: there is one database.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) in the keys, for one entry of each shard's log",
};

pub(crate) fn rename(args: Args<'_>) -> Result<Command, SyntaxError> {
    to_new_name(args, false)
}

pub(crate) fn rename_nx(args: Args<'_>) -> Result<Command, SyntaxError> {
    to_new_name(args, true)
}

fn to_new_name(args: Args<'_>, only_new: bool) -> Result<Command, SyntaxError> {
    check_slots(args)?;
    Ok(Command::Rename { key: args[1].clone(), to: args[2].clone(), only_new })
}

fn check_slots(args: Args<'_>) -> Result<(), SyntaxError> {
    if slot_of(&args[1]) == slot_of(&args[2]) { Ok(()) } else { Err(SyntaxError::SlotsApart) }
}

pub(crate) fn copy(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (key, to) = (args[1].clone(), args[2].clone());
    let mut replace = false;
    let mut options = &args[3..];
    loop {
        options = match options {
            [] => break,
            [option, rest @ ..] if is_word(option, "REPLACE") => {
                replace = true;
                rest
            }
            [option, number, rest @ ..] if is_word(option, "DB") => {
                if integer(number)? != 0 {
                    return Err(SyntaxError::DbIndex);
                }
                rest
            }
            _ => return Err(SyntaxError::Syntax),
        };
    }
    if key == to {
        return Err(SyntaxError::SameKey);
    }
    check_slots(args)?;
    Ok(Command::Copy { key, to, replace })
}

pub(crate) fn flush(args: Args<'_>) -> Result<Command, SyntaxError> {
    match &args[1..] {
        [] => Ok(Command::Flush),
        [option] if is_word(option, "ASYNC") || is_word(option, "SYNC") => Ok(Command::Flush),
        _ => Err(SyntaxError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn two_keys_must_be_of_one_slot() {
        let (key, to) = (|| "{a}1".into(), || "{a}2".into());
        let expected = Command::Rename { key: key(), to: to(), only_new: false };
        assert_eq!(rename(&args("RENAME {a}1 {a}2")), Ok(expected));
        let expected = Command::Rename { key: key(), to: to(), only_new: true };
        assert_eq!(rename_nx(&args("RENAMENX {a}1 {a}2")), Ok(expected));
        for request in [rename, rename_nx, copy] {
            assert_eq!(request(&args("X a b")), Err(SyntaxError::SlotsApart));
        }
    }

    #[test]
    fn a_copy_stays_in_the_one_database() {
        let copied = |replace| Ok(Command::Copy { key: "{a}1".into(), to: "a".into(), replace });
        for (line, expected) in [
            ("COPY {a}1 a", copied(false)),
            ("COPY {a}1 a replace DB 0", copied(true)),
            ("COPY {a}1 a DB 1", Err(SyntaxError::DbIndex)),
            ("COPY {a}1 a DB x", Err(SyntaxError::NotInteger)),
            ("COPY {a}1 a DB", Err(SyntaxError::Syntax)),
            ("COPY a a", Err(SyntaxError::SameKey)),
        ] {
            assert_eq!(copy(&args(line)), expected, "{line}");
        }
    }

    #[test]
    fn everything_goes_whether_waited_for_or_not() {
        for line in ["FLUSHALL", "FLUSHDB async", "FLUSHALL SYNC"] {
            assert_eq!(flush(&args(line)), Ok(Command::Flush), "{line}");
        }
        assert_eq!(flush(&args("FLUSHALL NOW")), Err(SyntaxError::Syntax));
        assert_eq!(flush(&args("FLUSHALL SYNC ASYNC")), Err(SyntaxError::Syntax));
    }
}
