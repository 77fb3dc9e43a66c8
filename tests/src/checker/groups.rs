//! Checks 9 to 12 on the group of one stream: deliveries and acknowledgements. Nobody claims.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Found;
use crate::history::{Id, Op, Outcome, Seen, Stream, What};

pub(super) fn check(stream: Stream, ops: &[&Op], last: &[Seen], pending: &[Id], found: &mut Found) {
    let deliveries = Deliveries::of(ops);
    if deliveries.any {
        at_least_once(stream, &deliveries, last, pending, found);
    }
    no_double_delivery(stream, ops, found);
    acknowledged_stays(stream, ops, pending, found);
    acknowledged_once(stream, ops, found);
    never_back(stream, ops, found);
}

struct Deliveries {
    any: bool,
    ids: BTreeSet<Id>,
}

impl Deliveries {
    fn of(ops: &[&Op]) -> Self {
        let mut ids = BTreeSet::new();
        let mut any = false;
        for op in ops {
            if let What::Deliver { entries, .. } = &op.what {
                any = true;
                ids.extend(entries.iter().map(|(id, _)| *id));
            }
        }
        Self { any, ids }
    }
}

/// 9: at the end every entry was given to somebody, or is pending with somebody who did not hear.
fn at_least_once(
    stream: Stream,
    deliveries: &Deliveries,
    last: &[Seen],
    pending: &[Id],
    found: &mut Found,
) {
    for (id, value) in last {
        if !deliveries.ids.contains(id) && !pending.contains(id) {
            found.add(9, || format!("stream {stream}: {id:?} {value} was never delivered"));
        }
    }
}

/// 10: what was given as new is never given as new again; what a consumer is given again was its own.
fn no_double_delivery(stream: Stream, ops: &[&Op], found: &mut Found) {
    let mut owner: BTreeMap<Id, usize> = BTreeMap::new();
    for op in ops {
        let What::Deliver { consumer, new, entries } = &op.what else { continue };
        for (id, _) in entries {
            match owner.insert(*id, *consumer) {
                Some(first) if *new => {
                    found.add(10, || {
                        format!("stream {stream}: {id:?} was new for {first} and for {consumer}")
                    });
                }
                Some(first) if first != *consumer => {
                    found.add(10, || {
                        format!("stream {stream}: {id:?} of {first} was given to {consumer}")
                    });
                }
                _ => {}
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
    for op in ops {
        let What::Deliver { entries, .. } = &op.what else { continue };
        for (id, _) in entries {
            if acked.get(id).is_some_and(|ret| *ret < op.call) {
                found.add(11, || format!("stream {stream}: {id:?} came back after its ack"));
            }
        }
    }
    for id in pending {
        if acked.contains_key(id) {
            found.add(11, || format!("stream {stream}: {id:?} is acknowledged and pending"));
        }
    }
}

/// 11: an acknowledgement of what is pending counts each id once, a repeated one counts none.
fn acknowledged_once(stream: Stream, ops: &[&Op], found: &mut Found) {
    let mut tried: BTreeSet<Id> = BTreeSet::new();
    let mut done: BTreeSet<Id> = BTreeSet::new();
    for op in ops {
        let What::Ack { ids, outcome, .. } = &op.what else { continue };
        if let Outcome::Ok(count) = outcome {
            let fresh = ids.iter().filter(|id| !tried.contains(id)).count() as u64;
            let maybe = ids.iter().filter(|id| !done.contains(id)).count() as u64;
            if *count < fresh || *count > maybe {
                found.add(11, || {
                    format!(
                        "stream {stream}: an ack of {} ids, {fresh} of them new and at most \
                             {maybe} pending, counted {count}",
                        ids.len()
                    )
                });
            }
            done.extend(ids.iter().copied());
        }
        if !matches!(outcome, Outcome::Fail) {
            tried.extend(ids.iter().copied());
        }
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
