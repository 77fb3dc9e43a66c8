//! Queries as bytes, for a gateway that asks another node: a tag, then the fields in the order of
//! the type.

use bytes::Bytes;

use crate::code::{Put, Reader};
use crate::command::Most;
use crate::error::Fault;
use crate::query::{After, Query};

use super::command::{put_most, put_tagged_read, read_most, read_read_group, read_read_within};
use super::keys;

const VERSION: u8 = 1;

/// The first byte of a query. Never used again for something else.
mod tag {
    pub(super) const LENGTH: u8 = 1;
    pub(super) const RANGE: u8 = 2;
    pub(super) const READ: u8 = 3;
    pub(super) const PENDING_SUMMARY: u8 = 4;
    pub(super) const PENDING_RANGE: u8 = 5;
    pub(super) const STREAM: u8 = 6;
    pub(super) const STREAM_FULL: u8 = 7;
    pub(super) const GROUPS: u8 = 8;
    pub(super) const CONSUMERS: u8 = 9;
    pub(super) const EXISTS: u8 = 10;
    pub(super) const TYPE: u8 = 11;
    pub(super) const KEYS_COUNT: u8 = 12;
    pub(super) const WOULD_DELIVER: u8 = 13;
    pub(super) const LAST_IDS: u8 = 80;
    pub(super) const READ_WITHIN: u8 = 40;
    pub(super) const WOULD_DELIVER_WITHIN: u8 = 41;
}

impl Query {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        let mut buffer = vec![VERSION];
        put_query(&mut buffer, self);
        Bytes::from(buffer)
    }

    /// What [`Query::encode`] gave. A [`Fault`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        Reader::whole(bytes, "query", VERSION, read_query)
    }
}

pub(super) fn put_query(to: &mut Vec<u8>, query: &Query) {
    let mut names = |tag: u8, names: &[&Bytes]| {
        to.put_u8(tag);
        names.iter().for_each(|name| to.put_bytes(name));
    };
    match query {
        Query::Length { key } => names(tag::LENGTH, &[key]),
        Query::Range { key, start, end, count, reverse } => {
            names(tag::RANGE, &[key]);
            to.put_id(*start);
            to.put_id(*end);
            to.put_option(*count, Put::put_number);
            to.put_bool(*reverse);
        }
        Query::Read { count, most, streams } => {
            let plain = *most == Most::default();
            to.put_u8(if plain { tag::READ } else { tag::READ_WITHIN });
            to.put_number(*count);
            to.put_list(streams, |to, (key, after)| {
                to.put_bytes(key);
                put_after(to, *after);
            });
            if !plain {
                put_most(to, *most);
            }
        }
        Query::PendingSummary { key, group } => names(tag::PENDING_SUMMARY, &[key, group]),
        Query::PendingRange { key, group, min_idle_ms, start, end, count, consumer } => {
            names(tag::PENDING_RANGE, &[key, group]);
            to.put_number(*min_idle_ms);
            to.put_id(*start);
            to.put_id(*end);
            to.put_number(*count);
            to.put_option(consumer.as_ref(), |to, name| to.put_bytes(name));
        }
        Query::Stream { key } => names(tag::STREAM, &[key]),
        Query::StreamFull { key, count } => {
            names(tag::STREAM_FULL, &[key]);
            to.put_number(*count);
        }
        Query::Groups { key } => names(tag::GROUPS, &[key]),
        Query::Consumers { key, group } => names(tag::CONSUMERS, &[key, group]),
        Query::Exists { keys } => {
            to.put_u8(tag::EXISTS);
            to.put_list(keys, |to, key| to.put_bytes(key));
        }
        Query::Type { key } => names(tag::TYPE, &[key]),
        Query::KeysCount => to.put_u8(tag::KEYS_COUNT),
        Query::LastIds { keys } => {
            to.put_u8(tag::LAST_IDS);
            to.put_list(keys, |to, key| to.put_bytes(key));
        }
        Query::WouldDeliver(read) => {
            put_tagged_read(to, read, tag::WOULD_DELIVER, tag::WOULD_DELIVER_WITHIN);
        }
        _ => keys::put_query(to, query),
    }
}

pub(super) fn read_query(from: &mut Reader) -> Result<Query, Fault> {
    Ok(match from.u8()? {
        tag::LENGTH => Query::Length { key: from.bytes()? },
        tag::RANGE => Query::Range {
            key: from.bytes()?,
            start: from.id()?,
            end: from.id()?,
            count: from.option(Reader::number)?,
            reverse: from.bool()?,
        },
        tag::READ => {
            let (count, streams) = (from.number()?, read_streams(from)?);
            Query::Read { count, most: Most::default(), streams }
        }
        tag::READ_WITHIN => {
            let (count, streams, most) = (from.number()?, read_streams(from)?, read_most(from)?);
            if most == Most::default() {
                return Err(from.damaged("a read without what it was tagged for"));
            }
            Query::Read { count, most, streams }
        }
        tag::PENDING_SUMMARY => Query::PendingSummary { key: from.bytes()?, group: from.bytes()? },
        tag::PENDING_RANGE => Query::PendingRange {
            key: from.bytes()?,
            group: from.bytes()?,
            min_idle_ms: from.number()?,
            start: from.id()?,
            end: from.id()?,
            count: from.number()?,
            consumer: from.option(Reader::bytes)?,
        },
        tag::STREAM => Query::Stream { key: from.bytes()? },
        tag::STREAM_FULL => Query::StreamFull { key: from.bytes()?, count: from.number()? },
        tag::GROUPS => Query::Groups { key: from.bytes()? },
        tag::CONSUMERS => Query::Consumers { key: from.bytes()?, group: from.bytes()? },
        tag::EXISTS => Query::Exists { keys: from.list(Reader::bytes)? },
        tag::TYPE => Query::Type { key: from.bytes()? },
        tag::KEYS_COUNT => Query::KeysCount,
        tag::LAST_IDS => Query::LastIds { keys: from.list(Reader::bytes)? },
        tag::WOULD_DELIVER => Query::WouldDeliver(read_read_group(from)?),
        tag::WOULD_DELIVER_WITHIN => Query::WouldDeliver(read_read_within(from)?),
        tag => return keys::read_query(tag, from),
    })
}

fn read_streams(from: &mut Reader) -> Result<Vec<(Bytes, After)>, Fault> {
    from.list(|from| Ok((from.bytes()?, read_after(from)?)))
}

fn put_after(to: &mut Vec<u8>, after: After) {
    match after {
        After::Id(id) => {
            to.put_u8(1);
            to.put_id(id);
        }
        After::Last => to.put_u8(2),
        After::Newest => to.put_u8(3),
    }
}

fn read_after(from: &mut Reader) -> Result<After, Fault> {
    match from.u8()? {
        1 => Ok(After::Id(from.id()?)),
        2 => Ok(After::Last),
        3 => Ok(After::Newest),
        _ => Err(from.damaged("unknown place to read from")),
    }
}
