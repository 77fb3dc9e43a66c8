//! Entries back: the newest from memory, older ones from their segments. Looks places up under
//! the locks, reads without them.

use std::ops::Range;
use std::sync::Arc;

use base::ShardId;
use bytes::Bytes;

use crate::error::{Damage, Doing, ReadError};
use crate::format::{Kind, RECORD_HEADER_BYTES, RecordHead, get_record, padded};
use crate::index::ShardLog;
use crate::limits::{READ_BYTES_MAX, READ_GAP_BYTES};
use crate::segment::Segment;
use crate::shared::{NO_PANIC, Shared};
use crate::types::Record;

/// An entry that lies in a segment.
struct Old {
    head: RecordHead,
    segment: Arc<Segment>,
    offset: u64,
    /// Bytes of the record with its header and padding.
    bytes: u64,
}

impl Old {
    fn end(&self) -> u64 {
        self.offset + self.bytes
    }
}

/// What a read will return.
pub(crate) struct Reading<'a> {
    shared: &'a Shared,
    old: Vec<Old>,
    recent: Vec<Record>,
}

impl<'a> Reading<'a> {
    /// Looks up where the entries are.
    pub(crate) fn begin(
        shared: &'a Shared,
        shard: ShardId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> Self {
        let mut reading = Self { shared, old: Vec::new(), recent: Vec::new() };
        shared.with_log(shard, |log| reading.look_up(&log, shard, range, bytes_max));
        reading
    }

    fn look_up(&mut self, log: &ShardLog, shard: ShardId, range: Range<u64>, bytes_max: usize) {
        if log.first().is_none_or(|(first, _)| first > range.start) {
            return;
        }
        let segments = self.shared.segments.read().expect(NO_PANIC);
        let mut bytes = 0;
        for index in range.start..range.end.min(log.end()) {
            let slot = log.slot(index);
            bytes += slot.length as usize;
            if index > range.start && bytes > bytes_max {
                break;
            }
            let (term, kind) = (log.term(index), slot.kind());
            if let Some(payload) = log.recent(index) {
                self.recent.push(Record { term, index, kind, payload: payload.clone() });
                continue;
            }
            let place = segments.place(slot.at().batch);
            let segment = segments.live.get(&place.segment).expect("an entry pins its segment");
            let record = RECORD_HEADER_BYTES + padded(slot.length as usize);
            self.old.push(Old {
                head: RecordHead { shard, kind: Kind::Entry, entry_kind: kind, term, index },
                segment: Arc::clone(segment),
                offset: place.offset + u64::from(slot.at().offset),
                bytes: record as u64,
            });
        }
    }

    /// Reads what lies in segments.
    pub(crate) fn finish(self) -> Result<Vec<Record>, ReadError> {
        let mut records = Vec::with_capacity(self.old.len() + self.recent.len());
        let mut rest = &self.old[..];
        while let Some(first) = rest.first() {
            let count = neighbours(rest);
            let (together, after) = rest.split_at(count);
            self.read_together(first, together, &mut records)?;
            rest = after;
        }
        records.extend(self.recent);
        Ok(records)
    }

    fn read_together(
        &self,
        first: &Old,
        together: &[Old],
        records: &mut Vec<Record>,
    ) -> Result<(), ReadError> {
        let end = together.last().map_or(first.end(), Old::end);
        let length = usize::try_from(end - first.offset).expect("bounded by READ_BYTES_MAX");
        let mut bytes = vec![0; length];
        let read = first.segment.file.read_exact_at(&mut bytes, first.offset);
        if let Err(refused) = read.doing("reading", &first.segment.path) {
            let RecordHead { shard, index, .. } = first.head;
            return Err(self.gone(first).unwrap_or(ReadError::Refused { shard, index, refused }));
        }
        let bytes = Bytes::from(bytes);
        for old in together {
            let from = usize::try_from(old.offset - first.offset).expect("within the buffer");
            records.push(self.check(old, &bytes.slice(from..))?);
        }
        Ok(())
    }

    fn check(&self, old: &Old, bytes: &Bytes) -> Result<Record, ReadError> {
        let RecordHead { shard, term, index, entry_kind, .. } = old.head;
        let what = match get_record(bytes) {
            Ok((head, length)) if head == old.head => {
                let payload = bytes.slice(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES + length);
                return Ok(Record { term, index, kind: entry_kind, payload });
            }
            Ok(_) => "another record lies here".to_owned(),
            Err(bad) => bad.to_string(),
        };
        let damage = Damage::new(&old.segment.path, old.offset, what);
        Err(self.gone(old).unwrap_or(ReadError::Damaged { shard, index, damage }))
    }

    /// Whether the entry went away, and its segment perhaps got another life, while it was read.
    fn gone(&self, old: &Old) -> Option<ReadError> {
        let RecordHead { shard, term, index, .. } = old.head;
        let present = self.shared.with_log(shard, |log| {
            let first = log.first().map_or(u64::MAX, |(first, _)| first);
            (first..log.end()).contains(&index) && log.term(index) == term
        });
        (!present).then_some(ReadError::Gone { shard, index })
    }
}

/// How many entries from the first on are close enough together to be read in one call.
fn neighbours(old: &[Old]) -> usize {
    let first = &old[0];
    let mut end = first.end();
    let mut count = 1;
    for next in &old[1..] {
        let close = next.segment.number == first.segment.number
            && next.offset <= end + READ_GAP_BYTES
            && next.end() - first.offset <= READ_BYTES_MAX;
        if !close {
            break;
        }
        end = next.end();
        count += 1;
    }
    count
}
