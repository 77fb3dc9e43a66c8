//! CONFIG GET: the settings that clients and tools of Redis ask for, as far as they mean anything
//! here. Never secrets; setting one is refused by not being there.

use super::arguments::Args;
use super::command::write_help;
use super::glob;
use crate::resp::{Doc, Door, Group, SyntaxError, Turn};

pub(crate) static DOC: Doc = Doc {
    summary: "Shows settings.",
    group: Group::Server,
    since: "2.0.0",
    complexity: "Depends on the subcommand",
};

pub(crate) static GET: Doc = Doc {
    summary: "Shows the settings whose names match a pattern, in the names that Redis has for them.",
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(N) in the settings",
};

static HELP: &[&str] = &["GET <pattern> [<pattern> ...]", "    Show settings by name."];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "CONFIG", HELP);
    Ok(())
}

pub(crate) fn get(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let patterns = &args[2..];
    let covered = |name: &str| patterns.iter().any(|p| glob::matches(p, name.as_bytes()));
    let mut found = settings(turn.door);
    found.retain(|(name, _)| covered(name));
    turn.out.map(found.len());
    for (name, value) in found {
        turn.out.bulk(name);
        turn.out.bulk(value);
    }
    Ok(())
}

/// Sorted by name.
fn settings(door: &Door) -> Vec<(&'static str, String)> {
    let options = &door.options;
    let fixed = |value: &str| value.to_owned();
    vec![
        // Every acknowledged write is synced, whatever Redis would call the file.
        ("appendfsync", fixed("always")),
        ("appendonly", fixed("yes")),
        ("bind", door.address.ip().to_string()),
        ("client-output-buffer-limit", format!("normal {} 0 0", options.output_bytes_max)),
        ("cluster-enabled", fixed("no")),
        ("databases", fixed("1")),
        ("hz", fixed("10")),
        ("maxclients", options.connections_max.to_string()),
        ("maxmemory", options.memory_bytes.to_string()),
        ("maxmemory-policy", fixed("noeviction")),
        ("notify-keyspace-events", fixed("")),
        ("port", door.address.port().to_string()),
        ("proto-max-bulk-len", door.limits(true).bulk_bytes_max.to_string()),
        ("save", fixed("")),
        ("stream-node-max-bytes", streams::limits::BLOCK_BYTES_MAX.to_string()),
        ("stream-node-max-entries", streams::limits::BLOCK_ENTRIES_MAX.to_string()),
        ("tcp-keepalive", fixed("0")),
        ("timeout", fixed("0")),
    ]
}
