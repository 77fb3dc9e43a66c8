//! Check 8 on one stream: whoever waits for entries is given each of them once, in order, and in the
//! end all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Found;
use crate::history::{Id, Op, Outcome, Seen, Stream, What};
use crate::removals::Removals;
use crate::streams::known;

pub(crate) fn check(
    stream: Stream,
    ops: &[&Op],
    last: &[Seen],
    removals: &Removals,
    found: &mut Found,
) {
    let known = known(ops, last);
    let mut readers: BTreeMap<usize, Id> = BTreeMap::new();
    for op in ops {
        let What::Follow { after, entries } = &op.what else { continue };
        let mut place = *after;
        if readers.get(&op.client).is_some_and(|before| before != after) {
            found.add(8, || {
                format!("stream {stream}: a reader went on after {after:?}, from elsewhere")
            });
        }
        for (id, value) in entries {
            if *id <= place {
                found.add(8, || {
                    format!("stream {stream}: a reader at {place:?} was given {id:?} {value}")
                });
            }
            missed(stream, &known, place, *id, op.ret, removals, found);
            place = place.max(*id);
        }
        readers.insert(op.client, place);
    }
    let acked = ops.iter().filter_map(|op| match op.what {
        What::Add { outcome: Outcome::Ok(id), .. } => Some(id),
        _ => None,
    });
    let highest = acked.filter(|id| !removals.may_be_gone(*id, Duration::MAX)).max();
    for (reader, place) in readers {
        if let Some(highest) = highest.filter(|highest| place < *highest) {
            found.add(8, || {
                format!("stream {stream}: reader {reader} ended at {place:?}, {highest:?} is there")
            });
        }
    }
}

/// Entries between two that a reader was given one after the other.
fn missed(
    stream: Stream,
    known: &BTreeMap<Id, u64>,
    place: Id,
    next: Id,
    by: Duration,
    removals: &Removals,
    found: &mut Found,
) {
    use std::ops::Bound::Excluded;
    if place >= next {
        return;
    }
    for (id, value) in known.range((Excluded(place), Excluded(next))) {
        if !removals.may_be_gone(*id, by) {
            found.add(8, || format!("stream {stream}: a reader was not given {id:?} {value}"));
        }
    }
}
