//! Copies streams, groups and pending entries from a live Redis into Weir, and proves at the end that
//! both have the same. Entries keep their ids, so a copy that was interrupted goes on behind the last
//! entry that arrived. Never changes the source.

mod copy;
mod equal;
mod side;

use std::fmt;

use side::Side;

/// What was copied, counted while both sides were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub streams: usize,
    pub entries: usize,
    pub groups: usize,
    pub pending: usize,
    /// Pending entries that the source no longer has: there is nothing to deliver, and they stay.
    pub pending_gone: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { streams, entries, groups, pending, pending_gone } = self;
        write!(f, "{streams} streams, {entries} entries, {groups} groups, {pending} pending")?;
        match pending_gone {
            0 => Ok(()),
            gone => write!(f, " ({gone} more are pending at the source, whose entries are gone)"),
        }
    }
}

/// Copies every stream. `progress` is told in a line what was done, and may end it.
///
/// # Errors
/// A side does not answer or refuses, `progress` said so, or the sides differ at the end.
pub fn run(
    source: &str,
    target: &str,
    progress: &mut dyn FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<Summary> {
    let (mut source, mut target) = (Side::open("source", source)?, Side::open("target", target)?);
    let keys = source.streams()?;
    for (at, key) in keys.iter().enumerate() {
        let name = format!("stream {} of {}, {}", at + 1, keys.len(), key.escape_ascii());
        copy::stream(&mut source, &mut target, key, &mut |what| {
            progress(&format!("{name}: {what}"))
        })?;
    }
    let mut summary = Summary { streams: keys.len(), ..Summary::default() };
    for (at, key) in keys.iter().enumerate() {
        progress(&format!("comparing stream {} of {}", at + 1, keys.len()))?;
        equal::stream(&mut source, &mut target, key, &mut summary)?;
    }
    Ok(summary)
}
