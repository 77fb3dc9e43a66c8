//! Replies as bytes: those that are kept name entries, those that a leader sends hold them. A tag,
//! then the fields in the order of the type.

use bytes::Bytes;

use crate::code::{Put, Reader};
use crate::error::{Fault, Refusal};
use crate::id::StreamNumber;
use crate::reply::{
    Claimed, ConsumerFullInfo, ConsumerInfo, Deleted, Delivery, Earlier, Entry, EntryRef,
    GroupFullInfo, GroupInfo, IdempotenceInfo, PendingDetail, PendingEntry, PendingSummary, Reply,
    StreamFullInfo, StreamInfo, StreamSummary,
};

use super::keys;

const VERSION: u8 = 1;

/// The first byte of a reply. Never used again for something else.
mod tag {
    pub(super) const OK: u8 = 1;
    pub(super) const NIL: u8 = 2;
    pub(super) const COUNT: u8 = 3;
    pub(super) const ADDED: u8 = 4;
    pub(super) const ENTRIES: u8 = 5;
    pub(super) const IDS: u8 = 6;
    pub(super) const STREAMS: u8 = 7;
    pub(super) const AUTO_CLAIMED_ENTRIES: u8 = 8;
    pub(super) const AUTO_CLAIMED_IDS: u8 = 9;
    pub(super) const PENDING_SUMMARY: u8 = 10;
    pub(super) const PENDING: u8 = 11;
    pub(super) const STREAM: u8 = 12;
    pub(super) const STREAM_FULL: u8 = 13;
    pub(super) const GROUPS: u8 = 14;
    pub(super) const CONSUMERS: u8 = 15;
    pub(super) const TYPE: u8 = 16;
    pub(super) const REFUSED: u8 = 17;
    pub(super) const DELIVERIES: u8 = 40;
    pub(super) const DELETED: u8 = 41;
    pub(super) const PENDING_RELEASED: u8 = 42;
    pub(super) const STREAM_LATER: u8 = 43;
    pub(super) const STREAM_FULL_LATER: u8 = 44;
    pub(super) const GROUPS_LATER: u8 = 45;
}

/// An entry inside a reply: by name, or with its fields.
pub(crate) trait Coded: Sized {
    fn put(&self, to: &mut Vec<u8>);
    fn read(from: &mut Reader) -> Result<Self, Fault>;
}

impl Coded for EntryRef {
    fn put(&self, to: &mut Vec<u8>) {
        to.put_number(self.stream.0);
        to.put_id(self.id);
    }

    fn read(from: &mut Reader) -> Result<Self, Fault> {
        Ok(Self { stream: StreamNumber(from.number()?), id: from.id()? })
    }
}

impl Coded for Entry {
    fn put(&self, to: &mut Vec<u8>) {
        to.put_id(self.id);
        to.put_option(self.fields.as_ref(), |to, fields| {
            to.put_list(fields, |to, text| to.put_bytes(text));
        });
    }

    fn read(from: &mut Reader) -> Result<Self, Fault> {
        Ok(Self { id: from.id()?, fields: from.option(|from| from.list(Reader::bytes))? })
    }
}

impl Reply<EntryRef> {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// What [`Reply::encode`] gave; byte strings are slices of it. A [`Fault`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        decode(bytes)
    }
}

impl Reply<Entry> {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// What [`Reply::encode`] gave; byte strings are slices of it. A [`Fault`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        decode(bytes)
    }
}

fn encode<E: Coded>(reply: &Reply<E>) -> Bytes {
    let mut buffer = vec![VERSION];
    put_reply(&mut buffer, reply);
    Bytes::from(buffer)
}

fn decode<E: Coded>(bytes: &Bytes) -> Result<Reply<E>, Fault> {
    Reader::whole(bytes, "reply", VERSION, read_reply)
}

fn put_all<E: Coded>(to: &mut Vec<u8>, entries: &[E]) {
    to.put_list(entries, |to, entry| entry.put(to));
}

pub(crate) fn put_reply<E: Coded>(to: &mut Vec<u8>, reply: &Reply<E>) {
    match reply {
        Reply::Ok => to.put_u8(tag::OK),
        Reply::Nil => to.put_u8(tag::NIL),
        Reply::Count(count) => {
            to.put_u8(tag::COUNT);
            to.put_number(*count);
        }
        Reply::Added(id) => {
            to.put_u8(tag::ADDED);
            to.put_id(*id);
        }
        Reply::Entries(entries) => {
            to.put_u8(tag::ENTRIES);
            put_all(to, entries);
        }
        Reply::Ids(ids) => {
            to.put_u8(tag::IDS);
            to.put_list(ids, |to, id| to.put_id(*id));
        }
        Reply::Deleted(done) => {
            to.put_u8(tag::DELETED);
            to.put_list(done, |to, done| {
                to.put_u8(match done {
                    Deleted::Missing => 1,
                    Deleted::Done => 2,
                    Deleted::Kept => 3,
                });
            });
        }
        Reply::Streams(streams) => {
            to.put_u8(tag::STREAMS);
            to.put_list(streams, |to, (key, entries)| {
                to.put_bytes(key);
                put_all(to, entries);
            });
        }
        Reply::Deliveries(streams) => {
            to.put_u8(tag::DELIVERIES);
            to.put_list(streams, |to, (key, deliveries)| {
                to.put_bytes(key);
                to.put_list(deliveries, put_delivery);
            });
        }
        Reply::AutoClaimed { next, claimed, deleted } => {
            match claimed {
                Claimed::Entries(entries) => {
                    to.put_u8(tag::AUTO_CLAIMED_ENTRIES);
                    put_all(to, entries);
                }
                Claimed::Ids(ids) => {
                    to.put_u8(tag::AUTO_CLAIMED_IDS);
                    to.put_list(ids, |to, id| to.put_id(*id));
                }
            }
            to.put_id(*next);
            to.put_list(deleted, |to, id| to.put_id(*id));
        }
        _ => put_description(to, reply),
    }
}

/// The replies that describe something.
fn put_description<E: Coded>(to: &mut Vec<u8>, reply: &Reply<E>) {
    match reply {
        Reply::PendingSummary(summary) => {
            to.put_u8(tag::PENDING_SUMMARY);
            to.put_number(summary.total);
            to.put_option(summary.range, |to, (first, last)| {
                to.put_id(first);
                to.put_id(last);
            });
            to.put_list(&summary.consumers, |to, (name, count)| {
                to.put_bytes(name);
                to.put_number(*count);
            });
        }
        Reply::Pending(list) => {
            let released = list.iter().any(|pending| pending.idle_ms.is_none());
            to.put_u8(if released { tag::PENDING_RELEASED } else { tag::PENDING });
            to.put_list(list, |to, pending| {
                to.put_id(pending.id);
                to.put_bytes(&pending.consumer);
                match pending.idle_ms {
                    Some(idle_ms) if !released => to.put_number(idle_ms),
                    idle_ms => to.put_option(idle_ms, Put::put_number),
                }
                to.put_number(pending.deliveries);
            });
        }
        Reply::Stream(info) => {
            put_summary(to, [tag::STREAM, tag::STREAM_LATER], &info.summary);
            to.put_number(info.groups_count);
            to.put_option(info.first.as_ref(), |to, entry| entry.put(to));
            to.put_option(info.last.as_ref(), |to, entry| entry.put(to));
        }
        Reply::StreamFull(info) => {
            put_summary(to, [tag::STREAM_FULL, tag::STREAM_FULL_LATER], &info.summary);
            put_all(to, &info.entries);
            let later = info.summary.idempotence.is_some();
            to.put_list(&info.groups, |to, group| put_group_full(to, group, later));
        }
        Reply::Groups(groups) => {
            let later = groups.iter().any(|group| group.nacked_count.is_some());
            to.put_u8(if later { tag::GROUPS_LATER } else { tag::GROUPS });
            to.put_list(groups, |to, group| put_group(to, group, later));
        }
        Reply::Consumers(consumers) => {
            to.put_u8(tag::CONSUMERS);
            to.put_list(consumers, |to, consumer| {
                to.put_bytes(&consumer.name);
                to.put_number(consumer.pending_count);
                to.put_number(consumer.idle_ms);
                to.put_option(consumer.inactive_ms, Put::put_number);
            });
        }
        Reply::Type { exists } => {
            to.put_u8(tag::TYPE);
            to.put_bool(*exists);
        }
        Reply::Refused(refusal) => {
            to.put_u8(tag::REFUSED);
            put_refusal(to, refusal);
        }
        _ => keys::put_reply(to, reply),
    }
}

pub(crate) fn read_reply<E: Coded>(from: &mut Reader) -> Result<Reply<E>, Fault> {
    Ok(match from.u8()? {
        tag::OK => Reply::Ok,
        tag::NIL => Reply::Nil,
        tag::COUNT => Reply::Count(from.number()?),
        tag::ADDED => Reply::Added(from.id()?),
        tag::ENTRIES => Reply::Entries(from.list(E::read)?),
        tag::IDS => Reply::Ids(from.list(Reader::id)?),
        tag::STREAMS => Reply::Streams(from.list(|from| Ok((from.bytes()?, from.list(E::read)?)))?),
        tag::DELETED => Reply::Deleted(from.list(|from| match from.u8()? {
            1 => Ok(Deleted::Missing),
            2 => Ok(Deleted::Done),
            3 => Ok(Deleted::Kept),
            _ => Err(from.damaged("unknown outcome")),
        })?),
        tag::DELIVERIES => {
            Reply::Deliveries(from.list(|from| Ok((from.bytes()?, from.list(read_delivery)?)))?)
        }
        tag::AUTO_CLAIMED_ENTRIES => {
            let claimed = Claimed::Entries(from.list(E::read)?);
            Reply::AutoClaimed { claimed, next: from.id()?, deleted: from.list(Reader::id)? }
        }
        tag::AUTO_CLAIMED_IDS => {
            let claimed = Claimed::Ids(from.list(Reader::id)?);
            Reply::AutoClaimed { claimed, next: from.id()?, deleted: from.list(Reader::id)? }
        }
        tag::PENDING_SUMMARY => Reply::PendingSummary(PendingSummary {
            total: from.number()?,
            range: from.option(|from| Ok((from.id()?, from.id()?)))?,
            consumers: from.list(|from| Ok((from.bytes()?, from.number()?)))?,
        }),
        tag::PENDING => {
            Reply::Pending(from.list(|from| read_pending(from, |from| from.number().map(Some)))?)
        }
        tag::PENDING_RELEASED => {
            let idle = |from: &mut Reader| from.option(Reader::number);
            let pending = from.list(|from| read_pending(from, idle))?;
            if pending.iter().all(|entry| entry.idle_ms.is_some()) {
                return Err(from.damaged("pending entries without what they were tagged for"));
            }
            Reply::Pending(pending)
        }
        tag @ (tag::STREAM | tag::STREAM_LATER) => Reply::Stream(Box::new(StreamInfo {
            summary: read_summary(from, tag == tag::STREAM_LATER)?,
            groups_count: from.number()?,
            first: from.option(E::read)?,
            last: from.option(E::read)?,
        })),
        tag @ (tag::STREAM_FULL | tag::STREAM_FULL_LATER) => {
            let later = tag == tag::STREAM_FULL_LATER;
            Reply::StreamFull(Box::new(StreamFullInfo {
                summary: read_summary(from, later)?,
                entries: from.list(E::read)?,
                groups: from.list(|from| read_group_full(from, later))?,
            }))
        }
        tag::GROUPS => Reply::Groups(from.list(|from| read_group(from, false))?),
        tag::GROUPS_LATER => {
            let groups = from.list(|from| read_group(from, true))?;
            if groups.is_empty() {
                return Err(from.damaged("groups without what they were tagged for"));
            }
            Reply::Groups(groups)
        }
        tag::CONSUMERS => Reply::Consumers(from.list(read_consumer)?),
        tag::TYPE => Reply::Type { exists: from.bool()? },
        tag::REFUSED => Reply::Refused(read_refusal(from)?),
        tag => return keys::read_reply(tag, from),
    })
}

fn put_delivery<E: Coded>(to: &mut Vec<u8>, delivery: &Delivery<E>) {
    delivery.entry.put(to);
    to.put_option(delivery.earlier, |to, earlier| {
        to.put_number(earlier.idle_ms);
        to.put_number(earlier.deliveries);
    });
}

fn read_delivery<E: Coded>(from: &mut Reader) -> Result<Delivery<E>, Fault> {
    let entry = E::read(from)?;
    let earlier =
        from.option(|from| Ok(Earlier { idle_ms: from.number()?, deliveries: from.number()? }))?;
    Ok(Delivery { entry, earlier })
}

fn read_pending(
    from: &mut Reader,
    idle_ms: impl FnOnce(&mut Reader) -> Result<Option<u64>, Fault>,
) -> Result<PendingEntry, Fault> {
    Ok(PendingEntry {
        id: from.id()?,
        consumer: from.bytes()?,
        idle_ms: idle_ms(from)?,
        deliveries: from.number()?,
    })
}

fn read_consumer(from: &mut Reader) -> Result<ConsumerInfo, Fault> {
    Ok(ConsumerInfo {
        name: from.bytes()?,
        pending_count: from.number()?,
        idle_ms: from.number()?,
        inactive_ms: from.option(Reader::number)?,
    })
}

/// A summary behind the tag that says whether it tells of producers.
fn put_summary(to: &mut Vec<u8>, [plain, later]: [u8; 2], summary: &StreamSummary) {
    to.put_u8(if summary.idempotence.is_some() { later } else { plain });
    to.put_number(summary.length);
    to.put_number(summary.blocks_count);
    to.put_number(summary.tree_nodes_count);
    to.put_id(summary.last_id);
    to.put_id(summary.max_deleted_id);
    to.put_number(summary.entries_added);
    to.put_id(summary.first_id);
    if let Some(known) = &summary.idempotence {
        let bounds = [known.duration_ms, known.ids_max, known.producers_count, known.ids_count];
        let counts = [known.added, known.duplicates, known.dropped];
        bounds.into_iter().chain(counts).for_each(|number| to.put_number(number));
    }
}

fn read_summary(from: &mut Reader, later: bool) -> Result<StreamSummary, Fault> {
    Ok(StreamSummary {
        length: from.number()?,
        blocks_count: from.number()?,
        tree_nodes_count: from.number()?,
        last_id: from.id()?,
        max_deleted_id: from.id()?,
        entries_added: from.number()?,
        first_id: from.id()?,
        idempotence: if later { Some(read_idempotence(from)?) } else { None },
    })
}

fn read_idempotence(from: &mut Reader) -> Result<IdempotenceInfo, Fault> {
    Ok(IdempotenceInfo {
        duration_ms: from.number()?,
        ids_max: from.number()?,
        producers_count: from.number()?,
        ids_count: from.number()?,
        added: from.number()?,
        duplicates: from.number()?,
        dropped: from.number()?,
    })
}

fn put_group(to: &mut Vec<u8>, group: &GroupInfo, later: bool) {
    to.put_bytes(&group.name);
    to.put_number(group.consumers_count);
    to.put_number(group.pending_count);
    to.put_id(group.last_delivered_id);
    to.put_option(group.entries_read, Put::put_number);
    to.put_option(group.lag, Put::put_number);
    if later {
        to.put_option(group.unread, Put::put_number);
        to.put_number(group.nacked_count.unwrap_or(0));
    }
}

fn read_group(from: &mut Reader, later: bool) -> Result<GroupInfo, Fault> {
    Ok(GroupInfo {
        name: from.bytes()?,
        consumers_count: from.number()?,
        pending_count: from.number()?,
        last_delivered_id: from.id()?,
        entries_read: from.option(Reader::number)?,
        lag: from.option(Reader::number)?,
        unread: if later { from.option(Reader::number)? } else { None },
        nacked_count: if later { Some(from.number()?) } else { None },
    })
}

fn put_group_full(to: &mut Vec<u8>, group: &GroupFullInfo, later: bool) {
    put_group(to, &group.info, later);
    to.put_list(&group.pending, put_detail);
    to.put_list(&group.consumers, |to, consumer| {
        to.put_bytes(&consumer.name);
        to.put_number(consumer.seen_ms);
        to.put_option(consumer.active_ms, Put::put_number);
        to.put_number(consumer.pending_count);
        to.put_list(&consumer.pending, put_detail);
    });
}

fn read_group_full(from: &mut Reader, later: bool) -> Result<GroupFullInfo, Fault> {
    Ok(GroupFullInfo {
        info: read_group(from, later)?,
        pending: from.list(read_detail)?,
        consumers: from.list(|from| {
            Ok(ConsumerFullInfo {
                name: from.bytes()?,
                seen_ms: from.number()?,
                active_ms: from.option(Reader::number)?,
                pending_count: from.number()?,
                pending: from.list(read_detail)?,
            })
        })?,
    })
}

fn put_detail(to: &mut Vec<u8>, detail: &PendingDetail) {
    to.put_id(detail.id);
    to.put_bytes(&detail.consumer);
    to.put_number(detail.delivered_ms);
    to.put_number(detail.deliveries);
}

fn read_detail(from: &mut Reader) -> Result<PendingDetail, Fault> {
    Ok(PendingDetail {
        id: from.id()?,
        consumer: from.bytes()?,
        delivered_ms: from.number()?,
        deliveries: from.number()?,
    })
}

fn put_refusal(to: &mut Vec<u8>, refusal: &Refusal) {
    let (tag, names) = match refusal {
        Refusal::IdNotAbove => (1, None),
        Refusal::IdsExhausted => (2, None),
        Refusal::NoKey => (3, None),
        Refusal::GroupNeedsKey => (4, None),
        Refusal::NoGroupForRead { key, group } => (5, Some((key, group))),
        Refusal::NoGroup { key, group } => (6, Some((key, group))),
        Refusal::NoGroupForKey { key, group } => (7, Some((key, group))),
        Refusal::GroupExists => (8, None),
        Refusal::SetIdBelowLast => (9, None),
        Refusal::SetIdBelowDeleted => (10, None),
        Refusal::SetIdBelowGivenDeleted => (11, None),
        Refusal::SetIdAddedBelowLength => (12, None),
        Refusal::Stale => (13, None),
        Refusal::TooManyKept => (14, None),
        Refusal::Misplaced => (15, None),
        Refusal::NoFrequency => (60, None),
        Refusal::TooBigToCopy => (61, None),
        Refusal::TransactionReadsTooMuch => (62, None),
    };
    to.put_u8(tag);
    if let Some((key, group)) = names {
        to.put_bytes(key);
        to.put_bytes(group);
    }
}

fn read_refusal(from: &mut Reader) -> Result<Refusal, Fault> {
    Ok(match from.u8()? {
        1 => Refusal::IdNotAbove,
        2 => Refusal::IdsExhausted,
        3 => Refusal::NoKey,
        4 => Refusal::GroupNeedsKey,
        5 => Refusal::NoGroupForRead { key: from.bytes()?, group: from.bytes()? },
        6 => Refusal::NoGroup { key: from.bytes()?, group: from.bytes()? },
        7 => Refusal::NoGroupForKey { key: from.bytes()?, group: from.bytes()? },
        8 => Refusal::GroupExists,
        9 => Refusal::SetIdBelowLast,
        10 => Refusal::SetIdBelowDeleted,
        11 => Refusal::SetIdBelowGivenDeleted,
        12 => Refusal::SetIdAddedBelowLength,
        13 => Refusal::Stale,
        14 => Refusal::TooManyKept,
        15 => Refusal::Misplaced,
        60 => Refusal::NoFrequency,
        61 => Refusal::TooBigToCopy,
        62 => Refusal::TransactionReadsTooMuch,
        _ => return Err(from.damaged("unknown refusal")),
    })
}
