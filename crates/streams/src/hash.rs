//! The hash of a state: of what it holds, not of how it came there or where it lies.

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::code::Put;
use crate::encoding::put_reply;
use crate::group::{Group, Owner};
use crate::id::EntryId;
use crate::idempotence::Idempotence;
use crate::settings::Settings;
use crate::state::State;
use crate::stream::{Marks, Stream};

impl State {
    /// Equal on every replica that applied the same, whatever was saved, loaded or evicted; block
    /// boundaries count, what [`State::note_seen`] noted doesn't. Costs the size of the metadata,
    /// looks at no sealed block.
    pub fn hash(&self) -> u64 {
        let mut hasher = Hasher::default();
        hasher.buffer.put_number(self.clock.now_ms);
        hasher.buffer.put_number(self.stream_next);
        if self.settings != Settings::default() {
            hasher.buffer.put_raw(b"settings");
            self.settings.numbers().into_iter().for_each(|it| hasher.buffer.put_number(it));
        }
        hasher.buffer.put_size(self.streams.len());
        for stream in self.streams.values() {
            hasher.stream(stream);
        }
        hasher.buffer.put_size(self.sessions.by_node.len());
        for (node, session) in &self.sessions.by_node {
            hasher.buffer.put_number(node.0);
            hasher.buffer.put_number(session.incarnation.count);
            hasher.buffer.put_u64_le(session.incarnation.random);
            hasher.buffer.put_number(session.mark);
            hasher.buffer.put_size(session.kept.len());
            for reply in &session.kept {
                put_reply(&mut hasher.buffer, reply);
                hasher.drain();
            }
        }
        hasher.finish()
    }
}

/// Stands where the number of a consumer does; none is ever so great.
const NO_CONSUMER: u64 = u64::MAX;

/// Collects a few kilobytes at a time: hashing number by number is slow.
#[derive(Default)]
struct Hasher {
    hash: Xxh3Default,
    buffer: Vec<u8>,
}

impl Hasher {
    fn drain(&mut self) {
        const DRAIN_BYTES: usize = 16 << 10;
        if self.buffer.len() >= DRAIN_BYTES {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
    }

    fn finish(mut self) -> u64 {
        self.hash.update(&self.buffer);
        self.hash.digest()
    }

    fn stream(&mut self, stream: &Stream) {
        let to = &mut self.buffer;
        to.put_number(stream.number.0);
        to.put_bytes(&stream.key);
        to.put_number(stream.length);
        to.put_id(stream.last_id);
        to.put_id(stream.max_deleted_id);
        to.put_number(stream.entries_added);
        to.put_bool(stream.rewound);
        to.put_number(stream.block_next);
        to.put_number(stream.group_next);
        to.put_size(stream.index.len());
        for (base, meta) in stream.index.iter() {
            let marks = stream.marks.get(&meta.number);
            let sizes = [u64::from(meta.entries), u64::from(meta.live), u64::from(meta.bytes)];
            self.block(*base, meta.last, meta.number.0, sizes, marks, meta.checksum);
        }
        self.buffer.put_bool(stream.tail.is_some());
        if let Some(tail) = &stream.tail {
            let open = &tail.open;
            let entries = u64::from(open.entries_count());
            let sizes = [entries, u64::from(tail.live), u64::from(tail.listpack_bytes)];
            let content = xxh3_64(open.content());
            let (base, last) = (open.base(), open.last());
            self.block(base, last, tail.number.0, sizes, tail.marks.as_ref(), content);
        }
        if let Some(expires_ms) = stream.expires_ms {
            self.buffer.put_raw(b"expires");
            self.buffer.put_number(expires_ms);
        }
        if let Some(number) = stream.watched {
            self.buffer.put_raw(b"watched");
            self.buffer.put_number(number);
        }
        self.producers(&stream.idempotence);
        self.buffer.put_size(stream.groups.len());
        for (name, group) in &stream.groups {
            self.group(name, group);
        }
    }

    fn producers(&mut self, known: &Idempotence) {
        if !known.is_used() {
            return;
        }
        let to = &mut self.buffer;
        to.put_option(known.duration_ms, Put::put_number);
        to.put_option(known.ids_max, Put::put_number);
        for number in [known.number_next, known.added, known.duplicates, known.dropped] {
            to.put_number(number);
        }
        to.put_size(known.list.len());
        for (number, one) in known.list.iter() {
            let to = &mut self.buffer;
            to.put_number(*number);
            to.put_number(one.added_ms);
            to.put_bytes(&one.producer);
            to.put_bytes(&one.id);
            to.put_id(one.entry);
            self.drain();
        }
    }

    fn block(
        &mut self,
        base: EntryId,
        last: EntryId,
        number: u64,
        sizes: [u64; 3],
        marks: Option<&Marks>,
        checksum: u64,
    ) {
        let to = &mut self.buffer;
        to.put_id(base);
        to.put_id(last);
        to.put_number(number);
        sizes.into_iter().for_each(|size| to.put_number(size));
        to.put_u64_le(checksum);
        to.put_option(marks, |to, marks| {
            to.put_raw(&marks.bits.to_le_bytes());
            to.put_id(marks.first);
            to.put_id(marks.last);
        });
        self.drain();
    }

    fn group(&mut self, name: &Bytes, group: &Group) {
        let to = &mut self.buffer;
        to.put_bytes(name);
        to.put_number(group.number.0);
        to.put_id(group.last_id);
        to.put_option(group.entries_read, Put::put_number);
        to.put_number(group.consumer_next);
        to.put_size(group.consumers.len());
        for (number, consumer) in &group.consumers {
            let to = &mut self.buffer;
            to.put_number(number.0);
            to.put_bytes(&consumer.name);
            to.put_number(consumer.seen_ms);
            to.put_option(consumer.active_ms, Put::put_number);
            self.drain();
        }
        self.buffer.put_size(group.pending.len());
        for (id, pending) in group.pending.iter() {
            let to = &mut self.buffer;
            to.put_id(*id);
            match pending.owner {
                Owner::Consumer(number) => to.put_number(number.0),
                Owner::Nobody { turn } => {
                    to.put_number(NO_CONSUMER);
                    to.put_number(turn);
                }
            }
            if pending.gone {
                to.put_number(NO_CONSUMER - 1);
            }
            to.put_number(pending.delivered_ms);
            to.put_number(pending.deliveries);
            self.drain();
        }
    }
}
