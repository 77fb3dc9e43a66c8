//! Whether both sides have the same: every entry, every group, every consumer, everything pending.
//! Idle times go on and are not compared.

use bytes::Bytes;

use super::Summary;
use super::side::{Fields, Row, Side};

pub(super) fn stream(
    source: &mut Side,
    target: &mut Side,
    key: &[u8],
    summary: &mut Summary,
) -> anyhow::Result<()> {
    entries(source, target, key, summary)?;
    let (theirs, ours) = (source.stream(key)?, target.stream(key)?);
    let names = ["length", "last-generated-id", "entries-added", "max-deleted-entry-id"];
    fields(&theirs, &ours, &names, key, "the stream")?;
    let (theirs, ours) = (source.groups(key)?, target.groups(key)?);
    same(key, "groups", &theirs.keys().collect::<Vec<_>>(), &ours.keys().collect::<Vec<_>>())?;
    for (name, group) in &theirs {
        let what = format!("group {}", name.escape_ascii());
        fields(group, &ours[name], &["last-delivered-id", "entries-read"], key, &what)?;
        let consumers = |side: &mut Side| Ok(side.consumers(key, name)?.into_keys().collect());
        let (theirs, ours): (anyhow::Result<Vec<_>>, anyhow::Result<Vec<_>>) =
            (consumers(source), consumers(target));
        same(key, &format!("consumers of {what}"), &theirs?, &ours?)?;
        pending(source, target, key, name, summary)?;
        summary.groups += 1;
    }
    Ok(())
}

fn entries(
    source: &mut Side,
    target: &mut Side,
    key: &[u8],
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let mut above = Bytes::from_static(b"0-0");
    loop {
        let (theirs, ours) = (source.entries(key, &above)?, target.entries(key, &above)?);
        let differs = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours);
        if let Some((theirs, ours)) = differs {
            same(key, "entries", theirs, ours)?;
        }
        same(key, "number of entries from there on", &theirs.len(), &ours.len())?;
        summary.entries += theirs.len();
        match theirs.last() {
            Some((last, _)) => above = last.clone(),
            None => return Ok(()),
        }
    }
}

fn pending(
    source: &mut Side,
    target: &mut Side,
    key: &[u8],
    group: &[u8],
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let ours = target.pending(key, group)?;
    let mut theirs = Vec::new();
    for row in source.pending(key, group)? {
        // Nothing can be made pending whose entry is gone: see whether that is why it is missing.
        match ours.iter().any(|it| it.id == row.id) || source.has(key, &row.id)? {
            true => theirs.push(row),
            false => summary.pending_gone += 1,
        }
    }
    summary.pending += theirs.len();
    let timeless = |row: &Row| (row.id.clone(), row.consumer.clone(), row.deliveries);
    let theirs: Vec<_> = theirs.iter().map(timeless).collect();
    let ours: Vec<_> = ours.iter().map(timeless).collect();
    same(key, &format!("what is pending in group {}", group.escape_ascii()), &theirs, &ours)
}

/// Fields that the source has must be the same.
fn fields(
    theirs: &Fields,
    ours: &Fields,
    names: &[&str],
    key: &[u8],
    what: &str,
) -> anyhow::Result<()> {
    for name in names {
        if let Some(value) = theirs.get(*name).filter(|value| !value.is_null()) {
            same(key, &format!("{name} of {what}"), &Some(value), &ours.get(*name))?;
        }
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(
    key: &[u8],
    what: &str,
    theirs: &T,
    ours: &T,
) -> anyhow::Result<()> {
    let key = key.escape_ascii();
    anyhow::ensure!(theirs == ours, "stream {key}: {what}: source {theirs:?}, target {ours:?}");
    Ok(())
}
