//! XGROUP and its subcommands.

use bytes::Bytes;
use streams::command::{Command, GroupStart};

use super::arguments::{Args, id, id_or_end, integer, is_word};
use crate::resp::{Doc, Echo, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Makes, moves and removes groups and their consumers.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "Depends on the subcommand",
};

pub(crate) static CREATE: Doc = Doc {
    summary: "Makes a group that starts at an id, or at the end with $.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
};

pub(crate) static SETID: Doc = Doc {
    summary: "Moves a group to another id.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
};

pub(crate) static DESTROY: Doc = Doc {
    summary: "Removes a group with its consumers and pending entries.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) in the pending entries",
};

pub(crate) static CREATECONSUMER: Doc = Doc {
    summary: "Makes a consumer of a group before it reads for the first time.",
    group: Group::Stream,
    since: "6.2.0",
    complexity: "O(1)",
};

pub(crate) static DELCONSUMER: Doc = Doc {
    summary: "Removes a consumer; what is pending for it is never delivered again.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(N) in the consumer's pending entries",
};

pub(crate) static HELP: &[&str] = &[
    "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD entries_read]",
    "    Make a group, and with MKSTREAM its stream.",
    "CREATECONSUMER <key> <groupname> <consumer>",
    "    Make a consumer.",
    "DELCONSUMER <key> <groupname> <consumer>",
    "    Remove a consumer and what is pending for it.",
    "DESTROY <key> <groupname>",
    "    Remove a group.",
    "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
    "    Move a group.",
];

pub(crate) fn create(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (make_stream, entries_read) = options(args, true)?;
    let start = start(&args[4], id)?;
    let (key, group) = key_and_group(args);
    Ok(Command::GroupCreate { key, group, start, make_stream, entries_read })
}

pub(crate) fn set_id(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (_, entries_read) = options(args, false)?;
    let start = start(&args[4], |arg| id_or_end(arg, 0))?;
    let (key, group) = key_and_group(args);
    Ok(Command::GroupSetId { key, group, start, entries_read })
}

pub(crate) fn destroy(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (key, group) = key_and_group(args);
    Ok(Command::GroupDestroy { key, group })
}

pub(crate) fn create_consumer(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (key, group) = key_and_group(args);
    Ok(Command::ConsumerCreate { key, group, consumer: args[4].clone() })
}

pub(crate) fn delete_consumer(args: Args<'_>) -> Result<Command, SyntaxError> {
    let (key, group) = key_and_group(args);
    Ok(Command::ConsumerDelete { key, group, consumer: args[4].clone() })
}

fn key_and_group(args: Args<'_>) -> (Bytes, Bytes) {
    (args[2].clone(), args[3].clone())
}

fn start(
    arg: &[u8],
    parse: impl Fn(&[u8]) -> Result<streams::id::EntryId, SyntaxError>,
) -> Result<GroupStart, SyntaxError> {
    if arg == b"$" { Ok(GroupStart::Last) } else { parse(arg).map(GroupStart::After) }
}

/// MKSTREAM where `creating`, and ENTRIESREAD, behind the id.
fn options(args: Args<'_>, creating: bool) -> Result<(bool, Option<u64>), SyntaxError> {
    let (mut make_stream, mut entries_read) = (false, None);
    let mut rest = &args[5..];
    // Redis counts them: one that comes twice is refused only where they become too many.
    let most = if creating { 8 } else { 7 };
    loop {
        rest = match rest {
            [] if args.len() <= most => return Ok((make_stream, entries_read)),
            [option, rest @ ..] if creating && is_word(option, "MKSTREAM") => {
                make_stream = true;
                rest
            }
            [option, value, rest @ ..] if is_word(option, "ENTRIESREAD") => {
                entries_read = match integer(value)? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| SyntaxError::EntriesRead)?),
                };
                rest
            }
            _ => {
                let name = Echo::new(&args[1]);
                return Err(SyntaxError::SubcommandSyntax { container: "XGROUP", name });
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use streams::id::EntryId;

    use super::*;
    use crate::commands::args;

    fn create_of(start: GroupStart, make_stream: bool, entries_read: Option<u64>) -> Command {
        let (key, group) = ("s".into(), "g".into());
        Command::GroupCreate { key, group, start, make_stream, entries_read }
    }

    #[test]
    fn a_group_starts_somewhere() {
        let at = |ms| GroupStart::After(EntryId::new(ms, 0));
        for (line, expected) in [
            ("XGROUP CREATE s g $", create_of(GroupStart::Last, false, None)),
            ("XGROUP CREATE s g 0 MKSTREAM", create_of(at(0), true, None)),
            ("XGROUP CREATE s g 5 ENTRIESREAD 3 mkstream", create_of(at(5), true, Some(3))),
            ("XGROUP CREATE s g 5 ENTRIESREAD -1", create_of(at(5), false, None)),
        ] {
            assert_eq!(create(&args(line)), Ok(expected), "{line}");
        }
        // Redis takes the ends of all there is here, and only here.
        assert_eq!(
            set_id(&args("XGROUP SETID s g -")),
            Ok(Command::GroupSetId {
                key: "s".into(),
                group: "g".into(),
                start: at(0),
                entries_read: None
            })
        );
    }

    #[test]
    fn wrong_requests_are_refused_in_redis_order() {
        let syntax = |name: &str| SyntaxError::SubcommandSyntax {
            container: "XGROUP",
            name: Echo::new(name.as_bytes()),
        };
        for (line, error) in [
            ("XGROUP CREATE s g abc", SyntaxError::InvalidId),
            ("XGROUP CREATE s g -", SyntaxError::InvalidId),
            ("XGROUP CREATE s g abc FOO", syntax("CREATE")),
            ("XGROUP create s g 0 ENTRIESREAD", syntax("create")),
            ("XGROUP CREATE s g 0 ENTRIESREAD -3", SyntaxError::EntriesRead),
            ("XGROUP CREATE s g 0 ENTRIESREAD x", SyntaxError::NotInteger),
            ("XGROUP CREATE s g 0 ENTRIESREAD 1 MKSTREAM MKSTREAM", syntax("CREATE")),
        ] {
            assert_eq!(create(&args(line)), Err(error), "{line}");
        }
        assert!(create(&args("XGROUP CREATE s g 0 MKSTREAM MKSTREAM MKSTREAM")).is_ok());
        for options in ["MKSTREAM", "ENTRIESREAD 1 ENTRIESREAD 2"] {
            let line = format!("XGROUP SETID s g 0 {options}");
            assert_eq!(set_id(&args(&line)), Err(syntax("SETID")), "{line}");
        }
    }

    #[test]
    fn groups_and_consumers_come_and_go() {
        let (key, group, consumer) = (Bytes::from("s"), Bytes::from("g"), Bytes::from("c"));
        let named = (key.clone(), group.clone(), consumer.clone());
        assert_eq!(destroy(&args("XGROUP DESTROY s g")), Ok(Command::GroupDestroy { key, group }));
        let (key, group, consumer) = named.clone();
        assert_eq!(
            create_consumer(&args("XGROUP CREATECONSUMER s g c")),
            Ok(Command::ConsumerCreate { key, group, consumer })
        );
        let (key, group, consumer) = named;
        assert_eq!(
            delete_consumer(&args("XGROUP DELCONSUMER s g c")),
            Ok(Command::ConsumerDelete { key, group, consumer })
        );
    }
}
