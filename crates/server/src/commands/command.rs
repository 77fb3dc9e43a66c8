//! COMMAND and its subcommands: the table of commands, as clients ask for it. Also how every HELP
//! is written.

use bytes::Bytes;
use resp::Writer;
use streams::glob::{self, Case};

use super::arguments::{Args, is_word};
use super::{xgroup, xinfo};
use crate::resp::{Doc, Flags, Group, Keys, Run, Spec, SyntaxError, Turn, all, find, lookup};

pub(crate) static DOC: Doc = Doc {
    summary: "Describes the commands there are.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) in the commands",
};

pub(crate) static COUNT: Doc = Doc {
    summary: "Counts the commands.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
};

pub(crate) static DOCS: Doc = Doc {
    summary: "Explains commands, all or those named.",
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) in the commands",
};

pub(crate) static GETKEYS: Doc = Doc {
    summary: "Tells which arguments of a request are keys.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) in the arguments",
};

pub(crate) static GETKEYSANDFLAGS: Doc = Doc {
    summary: "Tells which arguments of a request are keys, and what is done with each.",
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) in the arguments",
};

pub(crate) static INFO: Doc = Doc {
    summary: "Describes commands for programs: arity, flags, where their keys are.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) in the commands",
};

pub(crate) static LIST: Doc = Doc {
    summary: "Lists the names of commands, all or those that a filter covers.",
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) in the commands",
};

pub(crate) static HELP_DOC: Doc = Doc {
    summary: "Explains the subcommands.",
    group: Group::Server,
    since: "5.0.0",
    complexity: "O(1)",
};

static HELP: &[&str] = &[
    "(no subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Count the commands.",
    "DOCS [<command-name> ...]",
    "    Explain commands.",
    "GETKEYS <full-command>",
    "    Tell which arguments are keys.",
    "GETKEYSANDFLAGS <full-command>",
    "    Tell the same, and what is done with each.",
    "INFO [<command-name> ...]",
    "    Describe commands.",
    "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    List the names of commands.",
];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "COMMAND", HELP);
    Ok(())
}

pub(crate) fn xgroup_help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "XGROUP", xgroup::HELP);
    Ok(())
}

pub(crate) fn xinfo_help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "XINFO", xinfo::HELP);
    Ok(())
}

/// The answer to a container's HELP.
pub(super) fn write_help(turn: &mut Turn<'_>, container: &str, lines: &[&str]) {
    turn.out.array(lines.len() + 3);
    turn.out
        .simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    lines.iter().for_each(|line| turn.out.simple(line));
    turn.out.simple("HELP");
    turn.out.simple("    Print this help.");
}

pub(crate) fn count(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.unsigned(all().len() as u64);
    Ok(())
}

/// COMMAND INFO, and COMMAND alone.
pub(crate) fn info(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let out = &mut turn.out;
    match args.get(2..).unwrap_or_default() {
        [] => {
            out.array(all().len());
            all().iter().for_each(|spec| describe(out, spec, None));
        }
        names => {
            out.array(names.len());
            for name in names {
                match named(name) {
                    Some((spec, container)) => describe(out, spec, container),
                    None => out.null_array(),
                }
            }
        }
    }
    Ok(())
}

/// The row of `xadd` or `xgroup|create`, and the container's.
fn named(name: &[u8]) -> Option<(&'static Spec, Option<&'static Spec>)> {
    let Some(bar) = name.iter().position(|byte| *byte == b'|') else {
        return lookup(all(), name).map(|spec| (spec, None));
    };
    let container = lookup(all(), &name[..bar])?;
    let spec = lookup(subcommands(container), &name[bar + 1..])?;
    Some((spec, Some(container)))
}

fn subcommands(spec: &Spec) -> &'static [Spec] {
    match spec.run {
        Run::Container(subcommands) => subcommands,
        _ => &[],
    }
}

/// Name, arity, flags, first, last and step of the keys, categories, tips, key specifications,
/// subcommands.
fn describe(out: &mut Writer<'_>, spec: &Spec, container: Option<&Spec>) {
    out.array(10);
    out.bulk(spec.full_name(container));
    out.integer(i64::from(spec.arity));
    let flags = flags(spec);
    out.set(flags.len());
    flags.iter().for_each(|flag| out.simple(flag));
    let (first, last, step) = match spec.keys {
        Keys::None | Keys::Streams => (0, 0, 0),
        Keys::At(at) => (at, at as i64, 1),
        Keys::Both(at) => (at, at as i64 + 1, 1),
        Keys::From(from) => (from, -1, 1),
    };
    out.unsigned(first as u64);
    out.integer(last);
    out.integer(step);
    let categories = categories(spec);
    out.set(categories.len());
    categories.iter().for_each(|category| out.simple(category));
    out.array(0);
    key_specifications(out, spec);
    let subcommands = subcommands(spec);
    out.array(subcommands.len());
    subcommands.iter().for_each(|sub| describe(out, sub, Some(spec)));
}

/// Where the keys are, for programs that find them in any request.
fn key_specifications(out: &mut Writer<'_>, spec: &Spec) {
    if spec.keys == Keys::None {
        return out.array(0);
    }
    out.array(1);
    out.map(3);
    out.bulk("flags");
    let flags = key_flags(spec);
    out.set(flags.len());
    flags.iter().for_each(|flag| out.simple(flag));
    out.bulk("begin_search");
    out.map(2);
    match spec.keys {
        Keys::At(at) | Keys::Both(at) | Keys::From(at) => {
            typed(out, "index", 1);
            out.bulk("index");
            out.unsigned(at as u64);
        }
        Keys::Streams | Keys::None => {
            typed(out, "keyword", 2);
            out.bulk("keyword");
            out.bulk("STREAMS");
            out.bulk("startfrom");
            out.unsigned(1);
        }
    }
    out.bulk("find_keys");
    out.map(2);
    typed(out, "range", 3);
    // The last key counts from the first; of what follows STREAMS, one half are keys.
    let (last, limit) = match spec.keys {
        Keys::At(_) => (0, 0),
        Keys::Both(_) => (1, 0),
        Keys::From(_) | Keys::None => (-1, 0),
        Keys::Streams => (-1, 2),
    };
    for (name, value) in [("lastkey", last), ("keystep", 1), ("limit", limit)] {
        out.bulk(name);
        out.integer(value);
    }
}

/// The two entries of a map: its type, and a map of so many details, which follow.
fn typed(out: &mut Writer<'_>, kind: &str, details_count: usize) {
    out.bulk("type");
    out.bulk(kind);
    out.bulk("spec");
    out.map(details_count);
}

/// What a command does with its keys, in Redis's words.
fn key_flags(spec: &Spec) -> &'static [&'static str] {
    match spec.run {
        Run::Write(_) if matches!(spec.name, "DEL" | "UNLINK") => &["RM", "delete"],
        Run::Write(_) | Run::ReadGroup(_) => &["RW", "update"],
        _ => &["RO", "access"],
    }
}

fn flags(spec: &Spec) -> Vec<&'static str> {
    let Flags { fast, deny_oom, blocking, no_auth, admin } = spec.flags;
    let told = [
        (matches!(spec.run, Run::Read(_) | Run::ReadAlone(_)), "readonly"),
        (matches!(spec.run, Run::Write(_) | Run::ReadGroup(_)), "write"),
        (deny_oom, "denyoom"),
        (admin, "admin"),
        (blocking, "blocking"),
        (matches!(spec.run, Run::Local(_) | Run::Choose(_)), "loading"),
        (matches!(spec.run, Run::Local(_) | Run::Choose(_)), "stale"),
        (spec.doc.group == Group::PubSub, "pubsub"),
        (no_auth, "no_auth"),
        (fast, "fast"),
        (spec.keys == Keys::Streams, "movablekeys"),
    ];
    told.iter().filter(|(holds, _)| *holds).map(|(_, flag)| *flag).collect()
}

pub(super) fn categories(spec: &Spec) -> Vec<&'static str> {
    let told = [
        (matches!(spec.run, Run::Read(_) | Run::ReadAlone(_)) && spec.keys != Keys::None, "@read"),
        (matches!(spec.run, Run::Write(_) | Run::ReadGroup(_)), "@write"),
        (spec.doc.group == Group::Stream, "@stream"),
        (spec.doc.group == Group::Generic, "@keyspace"),
        (spec.doc.group == Group::Connection, "@connection"),
        (spec.doc.group == Group::PubSub, "@pubsub"),
        (spec.flags.blocking, "@blocking"),
        (spec.flags.admin, "@admin"),
        (spec.flags.admin, "@dangerous"),
        (spec.flags.fast, "@fast"),
        (!spec.flags.fast, "@slow"),
    ];
    told.iter().filter(|(holds, _)| *holds).map(|(_, category)| *category).collect()
}

pub(crate) fn docs(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let found: Vec<_> = match &args[2..] {
        [] => all().iter().map(|spec| (spec, None)).collect(),
        names => names.iter().filter_map(|name| named(name)).collect(),
    };
    turn.out.map(found.len());
    found.iter().for_each(|(spec, container)| explain(&mut turn.out, spec, *container));
    Ok(())
}

fn explain(out: &mut Writer<'_>, spec: &Spec, container: Option<&Spec>) {
    out.bulk(spec.full_name(container));
    let subcommands = subcommands(spec);
    out.map(if subcommands.is_empty() { 4 } else { 5 });
    let Doc { summary, group, since, complexity } = spec.doc;
    for (name, value) in [
        ("summary", *summary),
        ("since", since),
        ("group", group.name()),
        ("complexity", complexity),
    ] {
        out.bulk(name);
        out.bulk(value);
    }
    if !subcommands.is_empty() {
        out.bulk("subcommands");
        out.map(subcommands.len());
        subcommands.iter().for_each(|sub| explain(out, sub, Some(spec)));
    }
}

pub(crate) fn get_keys(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let (_, keys) = keys_of(&args[2..])?;
    turn.out.array(keys.len());
    keys.iter().for_each(|key| turn.out.bulk(key));
    Ok(())
}

pub(crate) fn get_keys_and_flags(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let (spec, keys) = keys_of(&args[2..])?;
    let flags = key_flags(spec);
    turn.out.array(keys.len());
    for key in keys {
        turn.out.array(2);
        turn.out.bulk(key);
        turn.out.set(flags.len());
        flags.iter().for_each(|flag| turn.out.simple(flag));
    }
    Ok(())
}

/// The row of a request and its keys, of which there must be some.
fn keys_of(request: &[Bytes]) -> Result<(&'static Spec, &[Bytes]), SyntaxError> {
    let spec = find(request).map_err(|error| match error {
        SyntaxError::Arity(_) => SyntaxError::KeysArity,
        _ => SyntaxError::KeysOfUnknown,
    })?;
    if spec.keys == Keys::None {
        return Err(SyntaxError::KeysNone);
    }
    match spec.keys.of(request) {
        [] => Err(SyntaxError::KeysInvalid),
        keys => Ok((spec, keys)),
    }
}

pub(crate) fn list(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let covered = filter(&args[2..])?;
    let found: Vec<String> =
        all().iter().filter(|spec| covered(spec)).map(|spec| spec.full_name(None)).collect();
    turn.out.array(found.len());
    found.iter().for_each(|name| turn.out.bulk(name));
    Ok(())
}

/// Whether a command is asked for.
type Filter<'a> = Box<dyn Fn(&Spec) -> bool + 'a>;

/// What `FILTERBY` asks for.
fn filter(options: &[Bytes]) -> Result<Filter<'_>, SyntaxError> {
    match options {
        [] => Ok(Box::new(|_| true)),
        [word, kind, value] if is_word(word, "FILTERBY") => {
            if is_word(kind, "MODULE") {
                Ok(Box::new(|_| false))
            } else if is_word(kind, "ACLCAT") {
                let covers = |category: &str| is_word(value, &category[1..]);
                Ok(Box::new(move |spec| categories(spec).iter().any(|found| covers(found))))
            } else if is_word(kind, "PATTERN") {
                Ok(Box::new(|spec| glob::matches(value, spec.name.as_bytes(), Case::Ignored)))
            } else {
                Err(SyntaxError::Syntax)
            }
        }
        _ => Err(SyntaxError::Syntax),
    }
}
