//! All shards' logs: found without a lock, added once, never removed.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use base::ShardId;

use crate::index::ShardLog;

/// Room for a shard's log, and for those that share its place.
#[derive(Default)]
struct Place {
    shard: ShardId,
    log: Mutex<ShardLog>,
    next: OnceLock<Box<Place>>,
}

/// How many places there are. Shards are numbered from 0 without holes, and the meta group has the
/// last number: up to 255 of them don't share.
const PLACES: usize = 256;

/// The logs by shard.
pub(crate) struct Logs {
    places: [OnceLock<Box<Place>>; PLACES],
}

impl Logs {
    pub(crate) fn new(logs: BTreeMap<ShardId, ShardLog>) -> Self {
        let new = Self { places: [const { OnceLock::new() }; PLACES] };
        for (shard, log) in logs {
            *new.get_or_add(shard, |_| ()).lock().expect("nobody else has it") = log;
        }
        new
    }

    /// A shard's log. `added` is told how many there are when it is new.
    pub(crate) fn get_or_add(&self, shard: ShardId, added: impl FnOnce(usize)) -> &Mutex<ShardLog> {
        let mut place = &self.places[usize::from(shard.0) % PLACES];
        let mut new = false;
        loop {
            let found = place.get_or_init(|| {
                new = true;
                Box::new(Place { shard, ..Place::default() })
            });
            if found.shard == shard {
                if new {
                    added(self.all().len());
                }
                return &found.log;
            }
            place = &found.next;
        }
    }

    /// All of them, by shard.
    pub(crate) fn all(&self) -> BTreeMap<ShardId, &Mutex<ShardLog>> {
        let mut all = BTreeMap::new();
        for first in &self.places {
            let mut place = first.get();
            while let Some(found) = place {
                all.insert(found.shard, &found.log);
                place = found.next.get();
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_that_share_a_place_have_their_own_logs() {
        let logs = Logs::new(BTreeMap::new());
        let mut counts = Vec::new();
        for number in [1, 257, 513, 1, u16::MAX, 255] {
            let log = logs.get_or_add(ShardId(number), |count| counts.push(count));
            log.lock().unwrap().state.vote.get_or_insert(number.to_string().into());
        }
        assert_eq!(counts, [1, 2, 3, 4, 5]);
        let all = logs.all();
        assert!(all.keys().map(|shard| shard.0).eq([1, 255, 257, 513, u16::MAX]));
        for (shard, log) in all {
            let vote = log.lock().unwrap().state.vote.clone().unwrap();
            assert_eq!(vote, shard.0.to_string());
        }
    }
}
