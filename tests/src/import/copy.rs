//! Copies one stream with its groups. What arrived already is not copied again, but for what may
//! have changed meanwhile: where groups stand, and what is pending.

use std::collections::BTreeSet;

use anyhow::Context;
use bytes::Bytes;

use super::side::{Fields, PAGE, Side};

/// Told what was done.
type Progress<'a> = &'a mut dyn FnMut(&str) -> anyhow::Result<()>;

pub(super) fn stream(
    source: &mut Side,
    target: &mut Side,
    key: &[u8],
    progress: Progress<'_>,
) -> anyhow::Result<()> {
    let info = source.stream(key)?;
    let groups = source.groups(key)?;
    entries(source, target, key, progress)?;
    if target.last_id(key)?.is_none() {
        // A stream without entries is made by a group that goes again.
        let name: &[u8] = b"weir-import";
        target.ask(&[b"XGROUP", b"CREATE", key, name, b"0", b"MKSTREAM"])?;
        target.ask(&[b"XGROUP", b"DESTROY", key, name])?;
    }
    set_last_id(target, key, &info)?;
    for (name, group) in &groups {
        copy_group(source, target, key, name, group)?;
    }
    progress(&format!("{} groups", groups.len()))
}

fn entries(
    source: &mut Side,
    target: &mut Side,
    key: &[u8],
    progress: Progress<'_>,
) -> anyhow::Result<()> {
    let mut above = target.last_id(key)?.unwrap_or(Bytes::from_static(b"0-0"));
    let mut copied = 0;
    loop {
        let page = source.entries(key, &above)?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        above = last.clone();
        let add = |(id, fields): &(Bytes, Vec<Bytes>)| {
            let words = [Bytes::from_static(b"XADD"), Bytes::copy_from_slice(key), id.clone()];
            words.into_iter().chain(fields.iter().cloned()).collect()
        };
        target.ask_all(&page.iter().map(add).collect::<Vec<_>>())?;
        copied += page.len();
        progress(&format!("{copied} entries"))?;
    }
}

/// The last id, and what was ever added and deleted, where the source knows it (7.0 and later).
fn set_last_id(target: &mut Side, key: &[u8], info: &Fields) -> anyhow::Result<()> {
    let last = text(info, "last-generated-id")?;
    match (text(info, "entries-added"), text(info, "max-deleted-entry-id")) {
        (Ok(added), Ok(deleted)) => {
            let (added, deleted) = (added.as_ref(), deleted.as_ref());
            let counts: [&[u8]; 4] = [b"ENTRIESADDED", added, b"MAXDELETEDID", deleted];
            target.ask(&[&[b"XSETID", key, &last][..], &counts].concat())?;
        }
        _ => drop(target.ask(&[b"XSETID", key, &last])?),
    }
    Ok(())
}

fn copy_group(
    source: &mut Side,
    target: &mut Side,
    key: &[u8],
    name: &Bytes,
    group: &Fields,
) -> anyhow::Result<()> {
    let last = text(group, "last-delivered-id")?;
    let read = text(group, "entries-read").ok();
    let verb: &[u8] = if target.groups(key)?.contains_key(name) { b"SETID" } else { b"CREATE" };
    let mut words: Vec<&[u8]> = vec![b"XGROUP", verb, key, name, &last];
    if let Some(read) = &read {
        words.extend([&b"ENTRIESREAD"[..], read]);
    }
    target.ask(&words)?;
    for consumer in source.consumers(key, name)?.keys() {
        target.ask(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer])?;
    }
    copy_pending(source, target, key, name)
}

fn copy_pending(
    source: &mut Side,
    target: &mut Side,
    key: &[u8],
    group: &[u8],
) -> anyhow::Result<()> {
    let rows = source.pending(key, group)?;
    let still: BTreeSet<&Bytes> = rows.iter().map(|row| &row.id).collect();
    // What was acknowledged at the source since an earlier copy.
    let gone = target.pending(key, group)?.into_iter().filter(|row| !still.contains(&row.id));
    for row in gone.collect::<Vec<_>>() {
        target.ask(&[b"XACK", key, group, &row.id])?;
    }
    for page in rows.chunks(PAGE) {
        let claim = |row: &super::side::Row| {
            let (idle, deliveries) = (row.idle_ms.to_string(), row.deliveries.to_string());
            let words: [&[u8]; 12] = [
                b"XCLAIM",
                key,
                group,
                &row.consumer,
                b"0",
                &row.id,
                b"IDLE",
                idle.as_bytes(),
                b"RETRYCOUNT",
                deliveries.as_bytes(),
                b"FORCE",
                b"JUSTID",
            ];
            words.iter().map(|word| Bytes::copy_from_slice(word)).collect()
        };
        target.ask_all(&page.iter().map(claim).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// A field as it is to be sent.
fn text(fields: &Fields, name: &str) -> anyhow::Result<Bytes> {
    let value = fields.get(name).with_context(|| format!("no {name}"))?;
    let number = || value.as_integer().map(|number| number.to_string().into());
    value.as_bytes().cloned().or_else(number).with_context(|| format!("{name} is {value}"))
}
