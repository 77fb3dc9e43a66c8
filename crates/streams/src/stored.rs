//! The values of the parts of a checkpoint. Each begins with its version; numbers are LEB128 unless
//! said otherwise, names and texts are a length and bytes.
//!
//! ```text
//! header         1 or 2 | clock ms | next stream number | in 2: settings
//!   settings     revision | entries, bytes of a block | idempotence: ms, ids
//! stream         1 or 2 | key | length | last id | greatest deleted id | entries added | rewound
//!                | next block, group number | in 2: idempotence
//!   idempotence  duration ms? | ids a producer? | next number | added | duplicates | dropped
//! produced chunk 1 | count | (number | added ms | producer | its id | entry id) ...
//! index chunk    1 | count | block ...
//!   block        base id | last id | number | entries | live | bytes | checksum u64 LE
//!                | marks?
//!   marks        bits u128 LE | first, last live id
//! open block     1 | number | listpack bytes | marks? | the block as if sealed
//! group          1 | name | last id | entries read? | next consumer number | count | consumer ...
//!   consumer     number | name | seen ms | active ms?
//! pending chunk  1 or 2 | count | pending ...
//!   pending      ms − previous | seq (− previous where ms is the same) | in 2: marks u8
//!                | consumer, or turn where it is nobody's | delivered ms | deliveries
//!   marks        1: its entry is gone; 2: it is nobody's. Version 1 has none of either
//! expiry         1 | the last millisecond
//! watch          1 | number
//! session        1 | incarnation count | random u64 LE | mark | count | kept reply ...
//! ```

use base::Incarnation;
use bytes::Bytes;

use crate::block::{Block, OpenBlock};
use crate::code::{Put, Reader};
use crate::encoding::read_settings;
use crate::encoding::{put_reply, read_reply};
use crate::error::Fault;
use crate::group::{Consumer, ConsumerNumber, Group, GroupNumber, Owner, Pending};
use crate::id::{BlockNumber, EntryId, StreamNumber};
use crate::idempotence::{Idempotence, Remembered};
use crate::limits::BLOCK_ENTRIES_MAX;
use crate::sessions::Session;
use crate::settings::Settings;
use crate::stream::{Marks, Meta, Stream, Tail};

const VERSION: u8 = 1;
/// Of a header where settings were chosen.
const VERSION_SETTINGS: u8 = 2;
/// Of a stream that knows producers.
const VERSION_PRODUCERS: u8 = 2;
/// Of a pending chunk in which an entry has marks.
const VERSION_MARKED: u8 = 2;

/// What belongs to the state as a whole.
pub(crate) struct Header {
    pub(crate) clock_ms: u64,
    pub(crate) stream_next: u64,
    pub(crate) settings: Settings,
}

pub(crate) fn put_header(header: &Header) -> Bytes {
    let chosen = header.settings != Settings::default();
    let mut to = vec![if chosen { VERSION_SETTINGS } else { VERSION }];
    to.put_number(header.clock_ms);
    to.put_number(header.stream_next);
    if chosen {
        header.settings.numbers().into_iter().for_each(|number| to.put_number(number));
    }
    Bytes::from(to)
}

pub(crate) fn read_header(value: &Bytes) -> Result<Header, Fault> {
    let version = value.first().copied().filter(|version| *version == VERSION_SETTINGS);
    Reader::whole(value, "header", version.unwrap_or(VERSION), |from| {
        let (clock_ms, stream_next) = (from.number()?, from.number()?);
        let settings = match version {
            Some(_) => read_settings(from)?,
            None => Settings::default(),
        };
        Ok(Header { clock_ms, stream_next, settings })
    })
}

pub(crate) fn put_stream(stream: &Stream) -> Bytes {
    let producers = stream.idempotence.is_used();
    let mut to = vec![if producers { VERSION_PRODUCERS } else { VERSION }];
    to.put_bytes(&stream.key);
    to.put_number(stream.length);
    to.put_id(stream.last_id);
    to.put_id(stream.max_deleted_id);
    to.put_number(stream.entries_added);
    to.put_bool(stream.rewound);
    to.put_number(stream.block_next);
    to.put_number(stream.group_next);
    if producers {
        let known = &stream.idempotence;
        to.put_option(known.duration_ms, Put::put_number);
        to.put_option(known.ids_max, Put::put_number);
        [known.number_next, known.added, known.duplicates, known.dropped]
            .into_iter()
            .for_each(|number| to.put_number(number));
    }
    Bytes::from(to)
}

pub(crate) fn read_stream(number: StreamNumber, value: &Bytes) -> Result<Stream, Fault> {
    let version = value.first().copied().filter(|version| *version == VERSION_PRODUCERS);
    Reader::whole(value, "stream", version.unwrap_or(VERSION), |from| {
        let mut stream = Stream {
            number,
            key: Bytes::copy_from_slice(&from.bytes()?),
            length: from.number()?,
            last_id: from.id()?,
            max_deleted_id: from.id()?,
            entries_added: from.number()?,
            rewound: from.bool()?,
            block_next: from.number()?,
            group_next: from.number()?,
            ..Stream::default()
        };
        stream.changed.stored = true;
        if version.is_some() {
            stream.idempotence = read_idempotence(from)?;
        }
        Ok(stream)
    })
}

fn read_idempotence(from: &mut Reader) -> Result<Idempotence, Fault> {
    let mut known = Idempotence::default();
    known.duration_ms = from.option(Reader::number)?;
    known.ids_max = from.option(Reader::number)?;
    known.number_next = from.number()?;
    known.added = from.number()?;
    known.duplicates = from.number()?;
    known.dropped = from.number()?;
    Ok(known)
}

pub(crate) fn put_produced_chunk(chunk: &[(u64, Remembered)]) -> Bytes {
    let mut to = vec![VERSION];
    to.put_list(chunk, |to, (number, one)| {
        to.put_number(*number);
        to.put_number(one.added_ms);
        to.put_bytes(&one.producer);
        to.put_bytes(&one.id);
        to.put_id(one.entry);
    });
    Bytes::from(to)
}

pub(crate) fn read_produced_chunk(value: &Bytes) -> Result<Vec<(u64, Remembered)>, Fault> {
    Reader::whole(value, "produced chunk", VERSION, |from| {
        from.list(|from| {
            let number = from.number()?;
            let one = Remembered {
                added_ms: from.number()?,
                producer: Bytes::copy_from_slice(&from.bytes()?),
                id: Bytes::copy_from_slice(&from.bytes()?),
                entry: from.id()?,
            };
            Ok((number, one))
        })
    })
}

fn put_marks(to: &mut Vec<u8>, marks: &Marks) {
    to.put_raw(&marks.bits.to_le_bytes());
    to.put_id(marks.first);
    to.put_id(marks.last);
}

/// Marks of a block with so many entries, and how many of those they leave.
fn read_marks(from: &mut Reader, entries: u16) -> Result<(Option<Marks>, u16), Fault> {
    let marks = from
        .option(|from| Ok(Marks { bits: from.u128_le()?, first: from.id()?, last: from.id()? }))?;
    let bits = marks.map_or(0, |marks| marks.bits);
    let deleted = u16::try_from(bits.count_ones()).unwrap_or(u16::MAX);
    let inside = 128 - bits.leading_zeros() <= u32::from(entries);
    match entries.checked_sub(deleted) {
        Some(live) if live > 0 && inside => Ok((marks, live)),
        _ => Err(from.damaged("marks")),
    }
}

/// An item of the index, and what is deleted of its block.
pub(crate) type Indexed = (EntryId, Meta, Option<Marks>);

pub(crate) fn put_index_chunk(stream: &Stream, chunk: &[(EntryId, Meta)]) -> Bytes {
    let mut to = vec![VERSION];
    to.put_list(chunk, |to, (base, meta)| {
        to.put_id(*base);
        to.put_id(meta.last);
        to.put_number(meta.number.0);
        to.put_number(u64::from(meta.entries));
        to.put_number(u64::from(meta.live));
        to.put_number(u64::from(meta.bytes));
        to.put_u64_le(meta.checksum);
        to.put_option(stream.marks.get(&meta.number), put_marks);
    });
    Bytes::from(to)
}

pub(crate) fn read_index_chunk(value: &Bytes) -> Result<Vec<Indexed>, Fault> {
    Reader::whole(value, "index chunk", VERSION, |from| {
        let items = from.list(|from| {
            let (base, last) = (from.id()?, from.id()?);
            let number = BlockNumber(from.number()?);
            let (entries, live) = (from.u16()?, from.u16()?);
            let (bytes, checksum) = (from.u32()?, from.u64_le()?);
            let (marks, left) = read_marks(from, entries)?;
            if left != live || usize::from(entries) > BLOCK_ENTRIES_MAX || base > last {
                return Err(from.damaged("counts"));
            }
            Ok((base, Meta { number, last, checksum, bytes, entries, live }, marks))
        })?;
        Ok(items)
    })
}

pub(crate) fn put_tail(tail: &mut Tail) -> Bytes {
    let mut to = vec![VERSION];
    to.put_number(tail.number.0);
    to.put_number(u64::from(tail.listpack_bytes));
    to.put_option(tail.marks.as_ref(), put_marks);
    to.put_bytes(&tail.open.snapshot());
    Bytes::from(to)
}

pub(crate) fn read_tail(value: &Bytes) -> Result<Tail, Fault> {
    Reader::whole(value, "open block", VERSION, |from| {
        let number = BlockNumber(from.number()?);
        let listpack_bytes = from.u32()?;
        // The marks can only be checked against the block that follows them.
        let mut marks = from.clone();
        read_marks(from, u16::try_from(BLOCK_ENTRIES_MAX).unwrap_or(u16::MAX))?;
        let block = Block::decode(&from.bytes()?)?;
        let open = OpenBlock::reopen(&block);
        let (marks, live) = read_marks(&mut marks, open.entries_count())?;
        Ok(Tail { number, open, live, marks, listpack_bytes })
    })
}

pub(crate) fn put_group(name: &Bytes, group: &Group) -> Bytes {
    let mut to = vec![VERSION];
    to.put_bytes(name);
    to.put_id(group.last_id);
    to.put_option(group.entries_read, Put::put_number);
    to.put_number(group.consumer_next);
    to.put_size(group.consumers.len());
    for (number, consumer) in &group.consumers {
        to.put_number(number.0);
        to.put_bytes(&consumer.name);
        to.put_number(consumer.seen_ms);
        to.put_option(consumer.active_ms, Put::put_number);
    }
    Bytes::from(to)
}

pub(crate) fn read_group(number: GroupNumber, value: &Bytes) -> Result<(Bytes, Group), Fault> {
    Reader::whole(value, "group", VERSION, |from| {
        let name = Bytes::copy_from_slice(&from.bytes()?);
        let mut group = Group {
            number,
            last_id: from.id()?,
            entries_read: from.option(Reader::number)?,
            consumer_next: from.number()?,
            stored: true,
            ..Group::default()
        };
        from.list(|from| {
            let number = ConsumerNumber(from.number()?);
            let name = Bytes::copy_from_slice(&from.bytes()?);
            let consumer = Consumer {
                name: name.clone(),
                seen_ms: from.number()?,
                active_ms: from.option(Reader::number)?,
                ..Consumer::default()
            };
            let new = group.names.insert(name, number).is_none();
            let new = group.consumers.insert(number, consumer).is_none() && new;
            if new { Ok(()) } else { Err(from.damaged("consumer twice")) }
        })?;
        Ok((name, group))
    })
}

/// Marks of a pending entry, in chunks that have any.
const GONE: u8 = 1;
const NOBODYS: u8 = 2;

fn pending_marks(pending: &Pending) -> u8 {
    let nobodys = matches!(pending.owner, Owner::Nobody { .. });
    u8::from(pending.gone) * GONE + u8::from(nobodys) * NOBODYS
}

pub(crate) fn put_pending_chunk(chunk: &[(EntryId, Pending)]) -> Bytes {
    let marked = chunk.iter().any(|(_, pending)| pending_marks(pending) != 0);
    let mut to = vec![if marked { VERSION_MARKED } else { VERSION }];
    let mut previous = EntryId::MIN;
    to.put_list(chunk, |to, (id, pending)| {
        let ms = id.ms - previous.ms;
        to.put_number(ms);
        to.put_number(if ms == 0 { id.seq - previous.seq } else { id.seq });
        if marked {
            to.put_u8(pending_marks(pending));
        }
        to.put_number(match pending.owner {
            Owner::Consumer(number) => number.0,
            Owner::Nobody { turn } => turn,
        });
        to.put_number(pending.delivered_ms);
        to.put_number(pending.deliveries);
        previous = *id;
    });
    Bytes::from(to)
}

pub(crate) fn read_pending_chunk(value: &Bytes) -> Result<Vec<(EntryId, Pending)>, Fault> {
    let version = value.first().copied().filter(|version| *version == VERSION_MARKED);
    Reader::whole(value, "pending chunk", version.unwrap_or(VERSION), |from| {
        let mut previous = EntryId::MIN;
        let items = from.list(|from| {
            let (ms, seq) = (from.number()?, from.number()?);
            let base = if ms == 0 { previous.seq } else { 0 };
            let id = previous.ms.checked_add(ms).zip(base.checked_add(seq));
            let (ms, seq) = id.ok_or_else(|| from.damaged("id"))?;
            previous = EntryId { ms, seq };
            let marks = if version.is_some() { from.u8()? } else { 0 };
            if marks > GONE + NOBODYS {
                return Err(from.damaged("marks of a pending entry"));
            }
            let number = from.number()?;
            let pending = Pending {
                owner: match marks & NOBODYS {
                    0 => Owner::Consumer(ConsumerNumber(number)),
                    _ => Owner::Nobody { turn: number },
                },
                delivered_ms: from.number()?,
                deliveries: from.number()?,
                gone: marks & GONE != 0,
            };
            Ok((previous, pending))
        })?;
        Ok(items)
    })
}

/// A time to expire, or a number for WATCH.
pub(crate) fn put_lone_number(number: u64) -> Bytes {
    let mut to = vec![VERSION];
    to.put_number(number);
    Bytes::from(to)
}

pub(crate) fn read_lone_number(value: &Bytes, what: &'static str) -> Result<u64, Fault> {
    Reader::whole(value, what, VERSION, Reader::number)
}

pub(crate) fn put_session(session: &Session) -> Bytes {
    let mut to = vec![VERSION];
    to.put_number(session.incarnation.count);
    to.put_u64_le(session.incarnation.random);
    to.put_number(session.mark);
    to.put_size(session.kept.len());
    for reply in &session.kept {
        put_reply(&mut to, reply);
    }
    Bytes::from(to)
}

pub(crate) fn read_session(value: &Bytes) -> Result<Session, Fault> {
    Reader::whole(value, "session", VERSION, |from| {
        let incarnation = Incarnation { count: from.number()?, random: from.u64_le()? };
        let mut session = Session { incarnation, mark: from.number()?, ..Session::default() };
        for reply in from.list(read_reply)? {
            session.push(reply);
        }
        if session.kept.len() as u64 > session.mark {
            return Err(from.damaged("mark"));
        }
        Ok(session)
    })
}
