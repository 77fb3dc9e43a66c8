//! Checks 9 to 12 on the group of one stream: deliveries, claims and acknowledgements.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Found;
use crate::history::{Id, Op, Outcome, Seen, Stream, What};
use crate::removals::Removals;

pub(super) fn check(
    stream: Stream,
    ops: &[&Op],
    last: &[Seen],
    pending: &[Id],
    removals: &Removals,
    found: &mut Found,
) {
    let delivered = delivered(ops);
    at_least_once(stream, &delivered, last, pending, found);
    no_double_delivery(stream, ops, found);
    claims_hold(stream, ops, found);
    acknowledged_stays(stream, ops, pending, found);
    acknowledged_once(stream, ops, found);
    pending_stays(stream, ops, delivered, pending, removals, found);
    never_back(stream, ops, found);
}

/// Every entry that somebody was given, or has taken over from whoever did not hear of it.
fn delivered(ops: &[&Op]) -> BTreeSet<Id> {
    let mut given = BTreeSet::new();
    for op in ops {
        match &op.what {
            What::Deliver { entries, .. } => given.extend(entries.iter().map(|(id, _)| *id)),
            What::Claim { ids, outcome: Outcome::Ok(()), .. } => given.extend(ids),
            _ => {}
        }
    }
    given
}

/// 9: at the end every entry was given to somebody, or is pending with somebody who did not hear.
fn at_least_once(
    stream: Stream,
    delivered: &BTreeSet<Id>,
    last: &[Seen],
    pending: &[Id],
    found: &mut Found,
) {
    for (id, value) in last {
        if !delivered.contains(id) && !pending.contains(id) {
            found.add(9, || format!("stream {stream}: {id:?} {value} was never delivered"));
        }
    }
}

/// 10: what was given as new is never given as new again; what a consumer is given again was its
/// own, or it took it over.
fn no_double_delivery(stream: Stream, ops: &[&Op], found: &mut Found) {
    let mut first: BTreeMap<Id, usize> = BTreeMap::new();
    // From when on a consumer may have had an entry; and any entry.
    let mut had: BTreeMap<(Id, usize), Duration> = BTreeMap::new();
    let mut had_any: BTreeMap<usize, Duration> = BTreeMap::new();
    let mut has = |id: Id, consumer: usize, from: Duration| {
        let had = had.entry((id, consumer)).or_insert(from);
        *had = (*had).min(from);
    };
    for op in ops {
        match &op.what {
            What::Deliver { consumer, new: true, entries } => {
                for (id, _) in entries {
                    has(*id, *consumer, op.call);
                    if let Some(first) = first.insert(*id, *consumer) {
                        found.add(10, || {
                            format!(
                                "stream {stream}: {id:?} was new for {first} and for {consumer}"
                            )
                        });
                    }
                }
            }
            What::Claim { consumer, ids, outcome } if outcome.is_possible() => {
                ids.iter().for_each(|id| has(*id, *consumer, op.call));
                if is_of_any(ids, outcome) {
                    let from = had_any.entry(*consumer).or_insert(op.call);
                    *from = (*from).min(op.call);
                }
            }
            _ => {}
        }
    }
    for op in ops {
        let What::Deliver { consumer, new: false, entries } = &op.what else { continue };
        for (id, _) in entries {
            // Where nobody heard that it was new for them, it was for the first who has it.
            let owner = first.entry(*id).or_insert(*consumer);
            let since = [had.get(&(*id, *consumer)), had_any.get(consumer)];
            let claimed = since.into_iter().flatten().any(|from| *from <= op.ret);
            if owner != consumer && !claimed {
                found.add(10, || {
                    format!("stream {stream}: {id:?} was given to {consumer}, who never had it")
                });
            }
        }
    }
}

/// Whether a consumer may have taken over any entry.
fn is_of_any(ids: &[Id], outcome: &Outcome<()>) -> bool {
    ids.is_empty() && *outcome == Outcome::Unknown
}

/// 10: what a consumer is given again, no other has surely taken over since it came to have it.
fn claims_hold(stream: Stream, ops: &[&Op], found: &mut Found) {
    // Until when a consumer may have come to have an entry; and what was surely taken over.
    let mut had: BTreeMap<(Id, usize), Duration> = BTreeMap::new();
    let mut taken: BTreeMap<Id, Vec<(usize, Duration, Duration)>> = BTreeMap::new();
    // Who may have taken over anything at any time.
    let mut had_any: BTreeSet<usize> = BTreeSet::new();
    for op in ops {
        let What::Claim { consumer, ids, outcome } = &op.what else { continue };
        if is_of_any(ids, outcome) {
            had_any.insert(*consumer);
        }
        for id in ids.iter().filter(|_| outcome.is_possible()) {
            let until = if outcome.is_done() { op.ret } else { Duration::MAX };
            let had = had.entry((*id, *consumer)).or_default();
            *had = (*had).max(until);
            if outcome.is_done() {
                taken.entry(*id).or_default().push((*consumer, op.call, op.ret));
            }
        }
    }
    for op in ops {
        let What::Deliver { consumer, new: false, entries } = &op.what else { continue };
        // At any time after it was asked.
        let is_told = !had_any.contains(consumer);
        for (id, _) in entries.iter().filter(|_| is_told) {
            // Whoever was given it as new was so before anybody could take it over.
            let mine = had.get(&(*id, *consumer)).copied().unwrap_or_default();
            let others = taken.get(id).into_iter().flatten().filter(|(who, ..)| who != consumer);
            let mut since = others.filter(|(_, call, ret)| mine < *call && *ret < op.call);
            if let Some((other, ..)) = since.next() {
                found.add(10, || {
                    format!("stream {stream}: {id:?} was taken over by {other}, {consumer} has it")
                });
            }
        }
    }
}

/// 11: what was acknowledged is not delivered again and not pending at the end.
fn acknowledged_stays(stream: Stream, ops: &[&Op], pending: &[Id], found: &mut Found) {
    let mut acked: BTreeMap<Id, Duration> = BTreeMap::new();
    for op in ops {
        if let What::Ack { ids, outcome: Outcome::Ok(_), .. } = &op.what {
            for id in ids {
                let first = acked.entry(*id).or_insert(op.ret);
                *first = (*first).min(op.ret);
            }
        }
    }
    let mut see = |id: &Id, at: Duration| {
        if acked.get(id).is_some_and(|ret| *ret < at) {
            found.add(11, || format!("stream {stream}: {id:?} came back after its ack"));
        }
    };
    for op in ops {
        match &op.what {
            What::Deliver { entries, .. } => entries.iter().for_each(|(id, _)| see(id, op.call)),
            What::Claim { ids, outcome: Outcome::Ok(()), .. } => {
                ids.iter().for_each(|id| see(id, op.call));
            }
            _ => {}
        }
    }
    for id in pending {
        if acked.contains_key(id) {
            found.add(11, || format!("stream {stream}: {id:?} is acknowledged and pending"));
        }
    }
}

/// One acknowledgement of an id.
struct Acked {
    /// Which call.
    at: usize,
    call: Duration,
    ret: Duration,
    sure: bool,
}

/// 11: an acknowledgement of what is pending counts each id once, a repeated one counts none.
fn acknowledged_once(stream: Stream, ops: &[&Op], found: &mut Found) {
    let mut of_ids: BTreeMap<Id, Vec<Acked>> = BTreeMap::new();
    for (at, op) in ops.iter().enumerate() {
        let What::Ack { ids, outcome, .. } = &op.what else { continue };
        if outcome.is_possible() {
            let acked = || Acked { at, call: op.call, ret: op.ret, sure: outcome.is_done() };
            ids.iter().for_each(|id| of_ids.entry(*id).or_default().push(acked()));
        }
    }
    for (at, op) in ops.iter().enumerate() {
        let What::Ack { ids, outcome: Outcome::Ok(count), .. } = &op.what else { continue };
        let others = |id: &Id| of_ids[id].iter().filter(|other| other.at != at);
        let alone = |id: &&Id| others(id).all(|other| other.call > op.ret);
        let open = |id: &&Id| !others(id).any(|other| other.sure && other.ret < op.call);
        let least = ids.iter().filter(alone).count() as u64;
        let most = ids.iter().filter(open).count() as u64;
        if *count < least || *count > most {
            found.add(11, || {
                format!(
                    "stream {stream}: an ack of {} ids, at least {least} and at most {most} of \
                     them pending, counted {count}",
                    ids.len()
                )
            });
        }
    }
}

/// 11: what was given to somebody and acknowledged by nobody is pending at the end.
fn pending_stays(
    stream: Stream,
    ops: &[&Op],
    mut left: BTreeSet<Id>,
    pending: &[Id],
    removals: &Removals,
    found: &mut Found,
) {
    for op in ops {
        if let What::Ack { ids, outcome, .. } = &op.what
            && outcome.is_possible()
        {
            for id in ids {
                left.remove(id);
            }
        }
    }
    for id in pending {
        left.remove(id);
    }
    // A claim drops what was removed.
    for id in left.into_iter().filter(|id| !removals.may_be_gone(*id, Duration::MAX)) {
        found.add(11, || format!("stream {stream}: {id:?} was given to somebody and is forgotten"));
    }
}

/// 12: last-delivered-id and entries-read never go back.
fn never_back(stream: Stream, ops: &[&Op], found: &mut Found) {
    let seen: Vec<(Duration, Duration, Id, u64)> = ops
        .iter()
        .filter_map(|op| match op.what {
            What::Group { last_delivered, entries_read } => {
                Some((op.call, op.ret, last_delivered, entries_read))
            }
            _ => None,
        })
        .collect();
    let mut by_call = seen.clone();
    by_call.sort_by_key(|one| one.0);
    let mut by_ret = seen;
    by_ret.sort_by_key(|one| one.1);
    let mut answered = by_ret.into_iter().peekable();
    let mut highest = ((0, 0), 0);
    for (call, _, last_delivered, entries_read) in by_call {
        while let Some(before) = answered.next_if(|before| before.1 < call) {
            highest = (highest.0.max(before.2), highest.1.max(before.3));
        }
        if last_delivered < highest.0 || entries_read < highest.1 {
            found.add(12, || {
                format!(
                    "stream {stream}: the group went back from {highest:?} to \
                         {last_delivered:?}, {entries_read}"
                )
            });
        }
    }
}
