//! Records back to what they said: the shards' logs as of some position. Pure.

use std::collections::{BTreeMap, VecDeque};

use base::ShardId;
use bytes::Bytes;

use crate::format::{
    BATCH_HEADER_BYTES, Bad, Kind, RECORD_HEADER_BYTES, RecordHead, ShardStates, get_record, padded,
};
use crate::handover::InBatch;
use crate::index::{ShardLog, Slot};
use crate::types::{LogId, Position};

/// The last index of each shard in each segment.
pub(crate) type Lasts = BTreeMap<u64, BTreeMap<ShardId, u64>>;

/// The shards as of the last batch replayed.
#[derive(Default)]
pub(crate) struct Replay {
    pub(crate) logs: BTreeMap<ShardId, ShardLog>,
    pub(crate) lasts: Lasts,
    /// Where each batch lies.
    pub(crate) places: VecDeque<Position>,
    pub(crate) records: u64,
}

impl Replay {
    /// What a segment's header would say now.
    pub(crate) fn states(&self) -> ShardStates {
        self.logs.iter().map(|(shard, log)| (*shard, log.state.clone())).collect()
    }

    /// Begins with what the oldest segment's header says.
    pub(crate) fn begin(&mut self, states: &ShardStates) {
        for (shard, state) in states {
            self.logs.entry(*shard).or_default().state = state.clone();
        }
    }

    /// Takes in the records of the batch at `at`.
    pub(crate) fn batch(&mut self, at: Position, body: &[u8], records: u32) -> Result<(), Bad> {
        let batch = self.places.len() as u64;
        let mut from = 0;
        for _ in 0..records {
            let rest = body.get(from..).ok_or(Bad::Bytes("a record is missing"))?;
            let (head, length) = get_record(rest)?;
            let start = from + RECORD_HEADER_BYTES;
            let payload = &body[start..start + length];
            let offset = u32::try_from(BATCH_HEADER_BYTES + from)
                .map_err(|_| Bad::Bytes("a batch is too long"))?;
            self.record(at.segment, head, payload, InBatch { batch, offset })?;
            from = start + padded(length);
        }
        self.places.push_back(at);
        self.records += u64::from(records);
        Ok(())
    }

    fn record(
        &mut self,
        segment: u64,
        head: RecordHead,
        payload: &[u8],
        at: InBatch,
    ) -> Result<(), Bad> {
        let log = self.logs.entry(head.shard).or_default();
        let id = LogId { term: head.term, index: head.index };
        match head.kind {
            Kind::Entry => {
                if !log.accepts(head.index) {
                    return Err(Bad::Bytes("an entry doesn't follow the one before"));
                }
                log.push(id, Slot::new(at, payload.len(), head.entry_kind));
                self.lasts.entry(segment).or_default().insert(head.shard, head.index);
            }
            Kind::Vote => log.state.vote = Some(Bytes::copy_from_slice(payload)),
            Kind::Truncate => log.truncate(head.index),
            Kind::Purge => log.purge(id),
            Kind::Committed => log.state.committed = Some(id),
        }
        Ok(())
    }
}
