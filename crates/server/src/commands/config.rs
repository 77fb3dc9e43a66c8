//! CONFIG: the settings that clients and tools of Redis ask for, as far as they mean anything here,
//! and what of them may change while a node runs. Never secrets, never a file: a restart brings
//! back what the node's own file says.

use bytes::Bytes;
use streams::glob::{self, Case};

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
    summary: "Changes settings of this port of this node until it restarts, all of them or none.",
    group: Group::Server,
    since: "2.0.0",
    complexity: "O(N) in the settings",
};

pub(crate) static RESETSTAT: Doc = Doc {
    summary: "Sets to zero what INFO counts at this port of this node.",
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
    "    Change settings until the node restarts.",
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
    fixed("stream-node-max-bytes", |_| streams::limits::BLOCK_BYTES_MAX.to_string()),
    fixed("stream-node-max-entries", |_| streams::limits::BLOCK_ENTRIES_MAX.to_string()),
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

pub(crate) fn set(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let (pairs, rest) = args[2..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SyntaxError::Syntax);
    }
    let mut wanted: Vec<(&Setting, u64)> = Vec::with_capacity(pairs.len());
    for [name, value] in pairs {
        let found = SETTINGS.iter().find(|setting| is_word(name, setting.name));
        let setting = found.ok_or_else(|| SyntaxError::SettingUnknown(Echo::new(name)))?;
        let why = match wanted.iter().any(|(other, _)| other.name == setting.name) {
            true => Err("duplicate parameter".to_owned()),
            false => setting.check(turn.door, value),
        };
        let refused = |why| SyntaxError::SettingRefused { name: setting.name, why };
        wanted.push((setting, why.map_err(refused)?));
    }
    for (setting, value) in wanted {
        match setting.change {
            Change::Never | Change::Fixed => {}
            Change::Number(_, _, number) => number(turn.door).set(value),
            Change::Events => turn.door.set_events(Classes::from_bits(value)),
        }
    }
    turn.out.simple("OK");
    Ok(())
}

impl Setting {
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
            Change::Number(min, max, _) => {
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
