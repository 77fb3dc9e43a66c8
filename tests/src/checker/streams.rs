//! Checks 1 to 6 on one stream: what was appended and what was read.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Found;
use crate::history::{Id, Op, Outcome, Seen, Stream, What};

/// An append that happened.
#[derive(Clone, Copy)]
struct Added {
    id: Id,
    value: u64,
    client: usize,
    call: Duration,
    ret: Duration,
}

pub(super) fn check(stream: Stream, ops: &[&Op], last: &[Seen], found: &mut Found) {
    let mut added = Vec::new();
    let mut outcomes = BTreeMap::new();
    for op in ops {
        if let What::Add { value, outcome } = op.what {
            outcomes.insert(value, outcome);
            if let Outcome::Ok(id) = outcome {
                added.push(Added { id, value, client: op.client, call: op.call, ret: op.ret });
            }
        }
    }
    one_value_an_id(stream, ops, last, found);
    order(stream, &added, found);
    no_loss(stream, &added, last, found);
    no_phantom(stream, &outcomes, ops, last, found);
    no_duplicate(stream, last, found);
    reads(stream, &mut added, ops, last, found);
}

/// 1: an id has one value, whoever reads it.
fn one_value_an_id(stream: Stream, ops: &[&Op], last: &[Seen], found: &mut Found) {
    let mut values: BTreeMap<Id, u64> = BTreeMap::new();
    let mut see = |(id, value): Seen| {
        let first = *values.entry(id).or_insert(value);
        if first != value {
            found.add(1, || format!("stream {stream}: {id:?} is {first} and {value}"));
        }
    };
    for op in ops {
        match &op.what {
            What::Add { value, outcome: Outcome::Ok(id) } => see((*id, *value)),
            What::Range { entries, .. } | What::Deliver { entries, .. } => {
                entries.iter().copied().for_each(&mut see);
            }
            _ => {}
        }
    }
    last.iter().copied().for_each(see);
}

/// 2: what was answered before another was asked for has the lower id, and so has what one client
/// sent earlier.
fn order(stream: Stream, added: &[Added], found: &mut Found) {
    let mut by_call = added.to_vec();
    by_call.sort_by_key(|add| add.call);
    let mut by_ret = added.to_vec();
    by_ret.sort_by_key(|add| add.ret);
    let mut answered = by_ret.into_iter().peekable();
    let mut highest: Option<Added> = None;
    for add in by_call {
        while let Some(before) = answered.next_if(|before| before.ret < add.call) {
            if highest.is_none_or(|highest| before.id > highest.id) {
                highest = Some(before);
            }
        }
        if let Some(before) = highest.filter(|before| before.id >= add.id) {
            let (one, two) = (before.value, add.value);
            found.add(2, || format!("stream {stream}: {one} was answered before {two}, above it"));
        }
    }
    // `added` is in the order of the history, which is each client's own.
    let mut last_of: BTreeMap<usize, Added> = BTreeMap::new();
    for add in added {
        if let Some(before) = last_of.insert(add.client, *add).filter(|before| before.id >= add.id)
        {
            let (one, two) = (before.value, add.value);
            found.add(2, || format!("stream {stream}: a client sent {one} before {two}, above it"));
        }
    }
}

/// 3: what was acknowledged is there.
fn no_loss(stream: Stream, added: &[Added], last: &[Seen], found: &mut Found) {
    let there: BTreeMap<u64, Id> = last.iter().map(|(id, value)| (*value, *id)).collect();
    for add in added {
        match there.get(&add.value) {
            None => {
                let (value, id) = (add.value, add.id);
                found.add(3, || {
                    format!("stream {stream}: {value} was acknowledged as {id:?}, is lost")
                });
            }
            Some(id) if *id != add.id => {
                let (value, id, told) = (add.value, *id, add.id);
                found.add(1, || format!("stream {stream}: {value} is {id:?}, was told {told:?}"));
            }
            Some(_) => {}
        }
    }
}

/// 4: what is read was appended, and did not fail.
fn no_phantom(
    stream: Stream,
    outcomes: &BTreeMap<u64, Outcome<Id>>,
    ops: &[&Op],
    last: &[Seen],
    found: &mut Found,
) {
    let mut see = |(id, value): &Seen| match outcomes.get(value) {
        None => found.add(4, || format!("stream {stream}: {id:?} {value} was never appended")),
        Some(Outcome::Fail) => {
            found.add(4, || format!("stream {stream}: {id:?} {value} was refused and is there"));
        }
        Some(Outcome::Ok(_) | Outcome::Unknown) => {}
    };
    for op in ops {
        if let What::Range { entries, .. } | What::Deliver { entries, .. } = &op.what {
            entries.iter().for_each(&mut see);
        }
    }
    last.iter().for_each(see);
}

/// 5 (and 2): a value is there once, ids increase.
fn no_duplicate(stream: Stream, last: &[Seen], found: &mut Found) {
    let mut ids: BTreeMap<u64, Id> = BTreeMap::new();
    for (id, value) in last {
        if let Some(first) = ids.insert(*value, *id) {
            found.add(5, || format!("stream {stream}: {value} is there as {first:?} and {id:?}"));
        }
    }
    increasing(stream, last, found);
}

fn increasing(stream: Stream, entries: &[Seen], found: &mut Found) {
    for pair in entries.windows(2) {
        if pair[0].0 >= pair[1].0 {
            let (one, two) = (pair[0].0, pair[1].0);
            found.add(2, || format!("stream {stream}: a read gave {one:?} before {two:?}"));
        }
    }
}

/// 6: a read has no holes, has everything that was acknowledged before it began, and what a client
/// saw once it sees again.
fn reads(stream: Stream, added: &mut [Added], ops: &[&Op], last: &[Seen], found: &mut Found) {
    added.sort_by_key(|add| add.ret);
    // The highest id acknowledged up to each answer.
    let mut highest = (0, 0);
    let marks: Vec<(Duration, Id)> = added
        .iter()
        .map(|add| {
            highest = highest.max(add.id);
            (add.ret, highest)
        })
        .collect();
    let mut seen_by: BTreeMap<usize, Id> = BTreeMap::new();
    for op in ops {
        let What::Range { start, entries, whole } = &op.what else { continue };
        increasing(stream, entries, found);
        let from = last.partition_point(|(id, _)| id < start);
        let same = last[from..].iter().zip(entries).all(|(one, two)| one == two);
        if !same || from + entries.len() > last.len() {
            found.add(6, || format!("stream {stream}: a read from {start:?} has a hole"));
        }
        if !*whole {
            continue;
        }
        let end = entries.last().map_or((0, 0), |(id, _)| *id);
        let known = marks.partition_point(|(ret, _)| *ret < op.call);
        let must = known.checked_sub(1).map_or((0, 0), |at| marks[at].1);
        if must >= *start && end < must {
            found.add(6, || {
                format!(
                    "stream {stream}: a read ended at {end:?}, {must:?} was acknowledged before"
                )
            });
        }
        let before = seen_by.entry(op.client).or_default();
        if *before >= *start && end < *before {
            let before = *before;
            found.add(6, || format!("stream {stream}: a client saw {before:?}, then only {end:?}"));
        }
        *before = (*before).max(end);
    }
}
