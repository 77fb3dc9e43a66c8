//! Checks 1 to 6 on one stream: what was appended, what was read, what was removed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Found;
use crate::history::{Id, Once, Op, Outcome, Seen, Stream, What};
use crate::removals::Removals;

/// An append that happened.
#[derive(Clone, Copy)]
struct Added {
    id: Id,
    value: u64,
    client: usize,
    call: Duration,
    ret: Duration,
}

pub(super) fn check(
    stream: Stream,
    ops: &[&Op],
    last: &[Seen],
    removals: &Removals,
    found: &mut Found,
) {
    let (added, outcomes) = appends(ops);
    one_value_an_id(stream, ops, last, found);
    order(stream, &added, found);
    no_loss(stream, &added, last, removals, found);
    no_phantom(stream, &outcomes, ops, last, found);
    stays_removed(stream, ops, last, removals, found);
    no_duplicate(stream, last, found);
    once(stream, ops, last, found);
    Reads { stream, known: known(ops, last), removals }.check(added, ops, found);
}

/// What was appended, in the order of the history; one that was asked again stands where it was
/// asked first, and was answered when it was first. And what is known of each value.
fn appends(ops: &[&Op]) -> (Vec<Added>, BTreeMap<u64, Outcome<Id>>) {
    let mut added: Vec<Added> = Vec::new();
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut outcomes: BTreeMap<u64, Outcome<Id>> = BTreeMap::new();
    let mut calls: BTreeMap<u64, Duration> = BTreeMap::new();
    for op in ops {
        let What::Add { value, outcome, .. } = op.what else { continue };
        let call = *calls.entry(value).or_insert(op.call);
        let known = outcomes.entry(value).or_insert(outcome);
        if outcome.is_possible() && !known.is_done() {
            *known = outcome;
        }
        let Outcome::Ok(id) = outcome else { continue };
        match places.get(&value) {
            Some(at) => added[*at].ret = added[*at].ret.min(op.ret),
            None => {
                places.insert(value, added.len());
                added.push(Added { id, value, client: op.client, call, ret: op.ret });
            }
        }
    }
    (added, outcomes)
}

/// Every entry that anybody was told of.
pub(crate) fn known(ops: &[&Op], last: &[Seen]) -> BTreeMap<Id, u64> {
    let mut known: BTreeMap<Id, u64> = last.iter().copied().collect();
    for op in ops {
        match &op.what {
            What::Add { value, outcome: Outcome::Ok(id), .. } => {
                known.insert(*id, *value);
            }
            What::Range { entries, .. }
            | What::Follow { entries, .. }
            | What::Deliver { entries, .. } => known.extend(entries.iter().copied()),
            _ => {}
        }
    }
    known
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
            What::Add { value, outcome: Outcome::Ok(id), .. } => see((*id, *value)),
            What::Range { entries, .. }
            | What::Follow { entries, .. }
            | What::Deliver { entries, .. } => {
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

/// 3: what was acknowledged is there, unless it was removed.
fn no_loss(stream: Stream, added: &[Added], last: &[Seen], removals: &Removals, found: &mut Found) {
    let there: BTreeMap<u64, Id> = last.iter().map(|(id, value)| (*value, *id)).collect();
    for add in added {
        match there.get(&add.value) {
            None if removals.may_be_gone(add.id, Duration::MAX) => {}
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
        if let What::Range { entries, .. }
        | What::Follow { entries, .. }
        | What::Deliver { entries, .. } = &op.what
        {
            entries.iter().for_each(&mut see);
        }
    }
    last.iter().for_each(see);
}

/// 4: what was removed is not read again, and not there at the end.
fn stays_removed(
    stream: Stream,
    ops: &[&Op],
    last: &[Seen],
    removals: &Removals,
    found: &mut Found,
) {
    if removals.is_empty() {
        return;
    }
    let mut see = |(id, value): &Seen, at: Duration| {
        if removals.is_gone(*id, at) {
            found.add(4, || format!("stream {stream}: {id:?} {value} was removed and came back"));
        }
    };
    for op in ops {
        if let What::Range { entries, .. } | What::Follow { entries, .. } = &op.what {
            entries.iter().for_each(|seen| see(seen, op.call));
        }
    }
    last.iter().for_each(|seen| see(seen, Duration::MAX));
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

/// 5: what a producer appended under one id is one entry, whoever asked how often.
fn once(stream: Stream, ops: &[&Op], last: &[Seen], found: &mut Found) {
    let mut told: BTreeMap<Once, Id> = BTreeMap::new();
    let mut of_values: BTreeMap<u64, Once> = BTreeMap::new();
    for op in ops {
        let What::Add { value, once: Some(once), outcome } = op.what else { continue };
        of_values.insert(value, once);
        let Outcome::Ok(id) = outcome else { continue };
        let first = *told.entry(once).or_insert(id);
        if first != id {
            found.add(5, || format!("stream {stream}: {once:?} is {first:?} and {id:?}"));
        }
    }
    let mut there: BTreeMap<Once, Id> = BTreeMap::new();
    for (id, value) in last {
        let Some(once) = of_values.get(value) else { continue };
        if let Some(first) = there.insert(*once, *id) {
            found.add(5, || format!("stream {stream}: {once:?} is there as {first:?} and {id:?}"));
        }
    }
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
/// saw once it sees again; all that unless it was removed.
struct Reads<'a> {
    stream: Stream,
    known: BTreeMap<Id, u64>,
    removals: &'a Removals,
}

impl Reads<'_> {
    fn check(&self, mut added: Vec<Added>, ops: &[&Op], found: &mut Found) {
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
            increasing(self.stream, entries, found);
            self.holes(*start, entries, op.ret, found);
            if !*whole {
                continue;
            }
            let end = entries.last().map_or((0, 0), |(id, _)| *id);
            let acked = marks.partition_point(|(ret, _)| *ret < op.call);
            let must = acked.checked_sub(1).map_or((0, 0), |at| marks[at].1);
            if must >= *start && end < must && !self.removals.may_be_gone(must, op.ret) {
                let stream = self.stream;
                found.add(6, || {
                    format!(
                        "stream {stream}: a read ended at {end:?}, {must:?} was acknowledged before"
                    )
                });
            }
            let before = seen_by.entry(op.client).or_default();
            if *before >= *start && end < *before && !self.removals.may_be_gone(*before, op.ret) {
                let (stream, before) = (self.stream, *before);
                found.add(6, || {
                    format!("stream {stream}: a client saw {before:?}, then only {end:?}")
                });
            }
            *before = (*before).max(end);
        }
    }

    /// Ids ascend, so below an entry that was read nothing came later.
    fn holes(&self, start: Id, entries: &[Seen], by: Duration, found: &mut Found) {
        let Some((end, _)) = entries.last().filter(|(end, _)| start <= *end) else { return };
        let mut given = entries.iter().map(|(id, _)| *id).peekable();
        for (id, value) in self.known.range(start..=*end) {
            while given.next_if(|other| other < id).is_some() {}
            if given.peek() != Some(id) && !self.removals.may_be_gone(*id, by) {
                let stream = self.stream;
                found.add(6, || {
                    format!("stream {stream}: a read from {start:?} lacks {id:?} {value}")
                });
            }
        }
    }
}
