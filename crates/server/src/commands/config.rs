//! CONFIG: the settings that clients and tools of Redis ask for, as far as they mean anything here,
//! and what of them may change. What is chosen for a node holds until it restarts; what is
//! chosen for the whole cluster stays. Never secrets, never a file.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft::settings::Settings as Shared;
use raft::settings::{self, Compatibility};
use streams::glob::{self, Case};
use streams::limits::{
    BLOCK_BYTES_MAX, BLOCK_ENTRIES_MAX, IDEMPOTENCE_IDS_MAX, IDEMPOTENCE_MS_MAX,
};

use super::arguments::{Args, is_word};
use super::command::write_help;
use crate::resp::{Classes, Doc, Door, Echo, Group, Number, SyntaxError, Turn};

pub(crate) static DOC: Doc = Doc {
    summary: "Shows and changes settings.",
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

pub(crate) static SET: Doc = Doc {
    summary: "Changes settings: of this node until it restarts, and of the whole cluster \
              for good those that decide how streams are kept or described.",
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(N) in the settings",
};

pub(crate) static RESETSTAT: Doc = Doc {
    summary: "Sets to zero what INFO counts at this node.",
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(N) in the commands",
};

pub(crate) static REWRITE: Doc = Doc {
    summary: "Refused: settings stand in the node's own file.",
    group: Group::Server,
    since: "2.8.0",
    complexity: "O(1)",
};

static HELP: &[&str] = &[
    "GET <pattern> [<pattern> ...]",
    "    Show settings by name.",
    "RESETSTAT",
    "    Set to zero what INFO counts.",
    "REWRITE",
    "    Refused: settings stand in the node's own file.",
    "SET <name> <value> [<name> <value> ...]",
    "    Change settings: those of streams for the whole cluster, others until the node restarts.",
];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "CONFIG", HELP);
    Ok(())
}

/// A setting in Redis's name for it.
struct Setting {
    name: &'static str,
    show: fn(&Door) -> String,
    change: Change,
}

/// How it may change.
enum Change {
    /// Not at all, as in Redis.
    Never,
    /// Not at all, though Redis would: only what it is may be set.
    Fixed,
    /// To classes of events.
    Events,
    /// To a number between these.
    Number(u64, u64, fn(&Door) -> &Number),
    /// For the whole cluster, to a number between these.
    Shared(u64, u64),
    /// For the whole cluster, to a version of Redis.
    Version,
}

const fn fixed(name: &'static str, show: fn(&Door) -> String) -> Setting {
    Setting { name, show, change: Change::Fixed }
}

const fn never(name: &'static str, show: fn(&Door) -> String) -> Setting {
    Setting { name, show, change: Change::Never }
}

/// A setting that may be any number between `min` and `max`.
macro_rules! number {
    ($name:literal, $field:ident, $min:expr, $max:expr) => {
        Setting {
            name: $name,
            show: |door| door.settings.$field.get().to_string(),
            change: Change::Number($min, $max, |door| &door.settings.$field),
        }
    };
}

/// A setting of the whole cluster that may be any number between `min` and `max`.
macro_rules! shared {
    ($name:expr, $min:expr, $max:expr, $show:expr) => {
        Setting {
            name: $name,
            show: |door| {
                let show: fn(&Shared) -> u64 = $show;
                show(&door.shards.settings()).to_string()
            },
            change: Change::Shared($min, $max),
        }
    };
}

/// Sorted by name.
static SETTINGS: &[Setting] = &[
    // Every acknowledged write is synced, whatever Redis would call the file.
    fixed("appendfsync", |_| "always".to_owned()),
    fixed("appendonly", |_| "yes".to_owned()),
    fixed("bind", |door| door.address.ip().to_string()),
    fixed("client-output-buffer-limit", |door| {
        format!("normal {} 0 0", door.settings.output_bytes_max.get())
    }),
    never("cluster-enabled", |_| "no".to_owned()),
    Setting {
        name: settings::COMPATIBILITY,
        show: |door| version_name(door.shards.settings().compatibility).to_owned(),
        change: Change::Version,
    },
    never("databases", |_| "1".to_owned()),
    fixed("hz", |_| "10".to_owned()),
    number!("latency-monitor-threshold", latency_ms, 0, MILLISECONDS_MAX),
    number!("maxclients", connections_max, 1, CONNECTIONS_MAX),
    fixed("maxmemory", |door| door.options.memory_bytes.to_string()),
    fixed("maxmemory-policy", |_| "noeviction".to_owned()),
    Setting {
        name: "notify-keyspace-events",
        show: |door| Classes::from_bits(door.channels.events.get()).text(),
        change: Change::Events,
    },
    fixed("port", |door| door.address.port().to_string()),
    fixed("proto-max-bulk-len", |door| door.limits(true).bulk_bytes_max.to_string()),
    fixed("save", |_| String::new()),
    number!("slowlog-log-slower-than", slow_us, 0, MICROSECONDS_MAX),
    number!("slowlog-max-len", slow_count_max, 0, SLOW_COUNT_MAX),
    shared!(settings::IDEMPOTENCE_SECONDS, 1, IDEMPOTENCE_MS_MAX / 1000, |settings| {
        settings.shards.idempotence_ms / 1000
    }),
    shared!(settings::IDEMPOTENCE_IDS, 1, IDEMPOTENCE_IDS_MAX, |settings| {
        settings.shards.idempotence_ids_max
    }),
    shared!(settings::BLOCK_BYTES, 0, BLOCK_BYTES_MAX, |it| it.shards.block_bytes_max),
    shared!(settings::BLOCK_ENTRIES, 0, BLOCK_ENTRIES_MAX as u64, |it| it.shards.block_entries_max),
    fixed("tcp-keepalive", |_| "0".to_owned()),
    fixed("timeout", |_| "0".to_owned()),
];

const MILLISECONDS_MAX: u64 = 24 * 60 * 60 * 1000;
const MICROSECONDS_MAX: u64 = MILLISECONDS_MAX * 1000;
const CONNECTIONS_MAX: u64 = 1_000_000;
/// Each may hold some kilobytes.
const SLOW_COUNT_MAX: u64 = 10_000;

pub(crate) fn get(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let patterns = &args[2..];
    let covered =
        |name: &str| patterns.iter().any(|p| glob::matches(p, name.as_bytes(), Case::Ignored));
    let found: Vec<_> = SETTINGS.iter().filter(|setting| covered(setting.name)).collect();
    turn.out.map(found.len());
    for setting in found {
        turn.out.bulk(setting.name);
        turn.out.bulk((setting.show)(turn.door));
    }
    Ok(())
}

/// Settings that a client chose, all of which may be as it wants.
pub(crate) struct Choice(Vec<(&'static Setting, u64)>);

impl Choice {
    /// Whether any of them is of the whole cluster.
    pub(crate) fn is_shared(&self) -> bool {
        self.0.iter().any(|(setting, _)| setting.is_shared())
    }

    /// Sets those of this node; gives those of the whole cluster, if there are any.
    pub(crate) fn settle(self, door: &Door) -> Option<BTreeMap<String, u64>> {
        let mut shared = BTreeMap::new();
        for (setting, value) in self.0 {
            match setting.change {
                Change::Never | Change::Fixed => {}
                Change::Number(_, _, number) => number(door).set(value),
                Change::Events => door.set_events(Classes::from_bits(value)),
                Change::Shared(..) | Change::Version => {
                    shared.insert(setting.name.to_owned(), value);
                }
            }
        }
        (!shared.is_empty()).then_some(shared)
    }
}

pub(crate) fn set(door: &Door, args: Args<'_>) -> Result<Choice, SyntaxError> {
    let (pairs, rest) = args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SyntaxError::Syntax);
    }
    let mut wanted: Vec<(&'static Setting, u64)> = Vec::with_capacity(pairs.len());
    for [name, value] in pairs {
        let found = SETTINGS.iter().find(|setting| is_word(name, setting.name));
        let setting = found.ok_or_else(|| SyntaxError::SettingUnknown(Echo::new(name)))?;
        let why = match wanted.iter().any(|(other, _)| other.name == setting.name) {
            true => Err("duplicate parameter".to_owned()),
            false => setting.check(door, value),
        };
        let refused = |why| SyntaxError::SettingRefused { name: setting.name, why };
        wanted.push((setting, why.map_err(refused)?));
    }
    Ok(Choice(wanted))
}

/// The versions of Redis that replies can be shaped after.
static VERSIONS: &[Compatibility] = &[Compatibility::Newest, Compatibility::V7_2];

fn version_name(version: Compatibility) -> &'static str {
    match version {
        Compatibility::Newest => "newest",
        Compatibility::V7_2 => "7.2",
    }
}

impl Setting {
    fn is_shared(&self) -> bool {
        matches!(self.change, Change::Shared(..) | Change::Version)
    }

    /// The number to be set, where it is one; or why the value can't be.
    fn check(&self, door: &Door, value: &Bytes) -> Result<u64, String> {
        match self.change {
            Change::Never => Err("can't set immutable config".to_owned()),
            Change::Fixed => match (self.show)(door) {
                shown if is_word(value, &shown) => Ok(0),
                shown => Err(format!("in Weir it is always '{shown}'")),
            },
            Change::Events => Classes::parse(value)
                .map(Classes::bits)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()),
            Change::Version => {
                let found = VERSIONS.iter().find(|it| is_word(value, version_name(**it)));
                let names: Vec<&str> = VERSIONS.iter().map(|it| version_name(*it)).collect();
                found.map(|version| version.number()).ok_or_else(|| {
                    format!("argument must be one of the following: {}", names.join(", "))
                })
            }
            Change::Number(min, max, _) | Change::Shared(min, max) => {
                let number = resp::signed(value)
                    .ok_or_else(|| "argument couldn't be parsed into an integer".to_owned())?;
                let fitting = u64::try_from(number).ok().filter(|it| (min..=max).contains(it));
                fitting.ok_or_else(|| format!("argument must be between {min} and {max} inclusive"))
            }
        }
    }
}

pub(crate) fn reset_statistics(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.door.reset_statistics();
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn rewrite(_: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    Err(SyntaxError::NoRewrite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_sorted_and_unique() {
        assert!(SETTINGS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
