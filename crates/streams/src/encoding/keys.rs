//! What concerns keys whatever they hold, as bytes: commands, queries, replies. Their tags are from 60 to
//! 79 in each list.

use crate::code::{Put, Reader};
use crate::command::{Command, ExpireOnly, Step, Transaction, When};
use crate::error::Fault;
use crate::query::{About, Query};
use crate::reply::Reply;
use crate::settings::Settings;

use super::reply::Coded;

/// The first byte of a command. Never used again for something else.
mod command_tag {
    pub(super) const EXPIRE: u8 = 60;
    pub(super) const PERSIST: u8 = 61;
    pub(super) const EXPIRE_DUE: u8 = 62;
    pub(super) const RENAME: u8 = 63;
    pub(super) const COPY: u8 = 64;
    pub(super) const FLUSH: u8 = 65;
    pub(super) const WATCH: u8 = 66;
    pub(super) const TRANSACTION: u8 = 67;
    pub(super) const SET: u8 = 68;
}

/// The first byte of a query. Never used again for something else.
mod query_tag {
    pub(super) const SCAN: u8 = 60;
    pub(super) const KEYS: u8 = 61;
    pub(super) const KEY_AT: u8 = 62;
    pub(super) const OBJECT: u8 = 63;
    pub(super) const LIFETIME: u8 = 64;
}

/// The first byte of a reply. Never used again for something else.
mod reply_tag {
    pub(super) const NO_KEY: u8 = 60;
    pub(super) const TEXT: u8 = 61;
    pub(super) const KEYS: u8 = 62;
    pub(super) const SCANNED: u8 = 63;
    pub(super) const SIGNED: u8 = 64;
    pub(super) const WATCHED: u8 = 65;
    pub(super) const TRANSACTION: u8 = 66;
    pub(super) const HELD: u8 = 67;
}

pub(super) fn put_command(to: &mut Vec<u8>, command: &Command) {
    match command {
        Command::Expire { key, when, only } => {
            to.put_u8(command_tag::EXPIRE);
            to.put_bytes(key);
            let (tag, ms) = match when {
                When::InMs(ms) => (1, ms),
                When::AtMs(ms) => (2, ms),
            };
            to.put_u8(tag);
            to.put_signed(*ms);
            to.put_u8(only_tag(*only));
        }
        Command::Persist { key } => {
            to.put_u8(command_tag::PERSIST);
            to.put_bytes(key);
        }
        Command::ExpireDue => to.put_u8(command_tag::EXPIRE_DUE),
        Command::Rename { key, to: new, only_new } => {
            to.put_u8(command_tag::RENAME);
            to.put_bytes(key);
            to.put_bytes(new);
            to.put_bool(*only_new);
        }
        Command::Copy { key, to: new, replace } => {
            to.put_u8(command_tag::COPY);
            to.put_bytes(key);
            to.put_bytes(new);
            to.put_bool(*replace);
        }
        Command::Flush => to.put_u8(command_tag::FLUSH),
        Command::Watch { keys } => {
            to.put_u8(command_tag::WATCH);
            to.put_list(keys, |to, key| to.put_bytes(key));
        }
        Command::Set(settings) => {
            to.put_u8(command_tag::SET);
            settings.numbers().into_iter().for_each(|number| to.put_number(number));
        }
        Command::Transaction(transaction) => {
            to.put_u8(command_tag::TRANSACTION);
            to.put_list(&transaction.watched, |to, (key, number)| {
                to.put_bytes(key);
                to.put_option(*number, Put::put_number);
            });
            to.put_list(&transaction.steps, put_step);
        }
        _ => unreachable!("all others are written before"),
    }
}

pub(super) fn read_command(tag: u8, from: &mut Reader) -> Result<Command, Fault> {
    Ok(match tag {
        command_tag::EXPIRE => Command::Expire {
            key: from.bytes()?,
            when: match from.u8()? {
                1 => When::InMs(from.signed()?),
                2 => When::AtMs(from.signed()?),
                _ => return Err(from.damaged("unknown time")),
            },
            only: read_only(from)?,
        },
        command_tag::PERSIST => Command::Persist { key: from.bytes()? },
        command_tag::EXPIRE_DUE => Command::ExpireDue,
        command_tag::RENAME => {
            Command::Rename { key: from.bytes()?, to: from.bytes()?, only_new: from.bool()? }
        }
        command_tag::COPY => {
            Command::Copy { key: from.bytes()?, to: from.bytes()?, replace: from.bool()? }
        }
        command_tag::FLUSH => Command::Flush,
        command_tag::WATCH => Command::Watch { keys: from.list(Reader::bytes)? },
        command_tag::SET => Command::Set(read_settings(from)?),
        command_tag::TRANSACTION => Command::Transaction(Transaction {
            watched: from.list(|from| Ok((from.bytes()?, from.option(Reader::number)?)))?,
            steps: from.list(read_step)?,
        }),
        _ => return Err(from.damaged("unknown command")),
    })
}

pub(crate) fn read_settings(from: &mut Reader) -> Result<Settings, Fault> {
    let mut numbers = [0; 5];
    for number in &mut numbers {
        *number = from.number()?;
    }
    Ok(Settings::from_numbers(numbers))
}

fn put_step(to: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Command(command) => {
            to.put_u8(1);
            super::command::put_command(to, command);
        }
        Step::Query(query) => {
            to.put_u8(2);
            super::query::put_query(to, query);
        }
    }
}

fn read_step(from: &mut Reader) -> Result<Step, Fault> {
    match from.u8()? {
        // Looked at first: bytes must not say how deep this goes.
        1 if from.peek() == Some(command_tag::TRANSACTION) => {
            Err(from.damaged("transaction in a transaction"))
        }
        1 => super::command::read_command(from).map(Step::Command),
        2 => super::query::read_query(from).map(Step::Query),
        _ => Err(from.damaged("unknown step")),
    }
}

fn only_tag(only: ExpireOnly) -> u8 {
    match only {
        ExpireOnly::Always => 0,
        ExpireOnly::WithoutTime => 1,
        ExpireOnly::WithTime => 2,
        ExpireOnly::Later => 3,
        ExpireOnly::Earlier => 4,
        ExpireOnly::WithTimeEarlier => 5,
    }
}

fn read_only(from: &mut Reader) -> Result<ExpireOnly, Fault> {
    Ok(match from.u8()? {
        0 => ExpireOnly::Always,
        1 => ExpireOnly::WithoutTime,
        2 => ExpireOnly::WithTime,
        3 => ExpireOnly::Later,
        4 => ExpireOnly::Earlier,
        5 => ExpireOnly::WithTimeEarlier,
        _ => return Err(from.damaged("unknown condition")),
    })
}

pub(super) fn put_query(to: &mut Vec<u8>, query: &Query) {
    match query {
        Query::Scan { place, count, pattern } => {
            to.put_u8(query_tag::SCAN);
            to.put_number(*place);
            to.put_number(*count);
            to.put_option(pattern.as_ref(), |to, pattern| to.put_bytes(pattern));
        }
        Query::Keys { pattern } => {
            to.put_u8(query_tag::KEYS);
            to.put_bytes(pattern);
        }
        Query::KeyAt { place } => {
            to.put_u8(query_tag::KEY_AT);
            to.put_number(*place);
        }
        Query::Object { key, about } => {
            to.put_u8(query_tag::OBJECT);
            to.put_bytes(key);
            to.put_u8(about_tag(*about));
        }
        Query::Lifetime { key, absolute, in_ms } => {
            to.put_u8(query_tag::LIFETIME);
            to.put_bytes(key);
            to.put_bool(*absolute);
            to.put_bool(*in_ms);
        }
        _ => unreachable!("all others are written before"),
    }
}

pub(super) fn read_query(tag: u8, from: &mut Reader) -> Result<Query, Fault> {
    Ok(match tag {
        query_tag::SCAN => Query::Scan {
            place: from.number()?,
            count: from.number()?,
            pattern: from.option(Reader::bytes)?,
        },
        query_tag::KEYS => Query::Keys { pattern: from.bytes()? },
        query_tag::KEY_AT => Query::KeyAt { place: from.number()? },
        query_tag::OBJECT => Query::Object { key: from.bytes()?, about: read_about(from)? },
        query_tag::LIFETIME => {
            Query::Lifetime { key: from.bytes()?, absolute: from.bool()?, in_ms: from.bool()? }
        }
        _ => return Err(from.damaged("unknown query")),
    })
}

fn about_tag(about: About) -> u8 {
    match about {
        About::Encoding => 1,
        About::References => 2,
        About::IdleTime => 3,
        About::Frequency => 4,
        About::Bytes => 5,
    }
}

fn read_about(from: &mut Reader) -> Result<About, Fault> {
    Ok(match from.u8()? {
        1 => About::Encoding,
        2 => About::References,
        3 => About::IdleTime,
        4 => About::Frequency,
        5 => About::Bytes,
        _ => return Err(from.damaged("unknown question about a key")),
    })
}

pub(super) fn put_reply<E: Coded>(to: &mut Vec<u8>, reply: &Reply<E>) {
    match reply {
        Reply::NoKey => to.put_u8(reply_tag::NO_KEY),
        Reply::Watched(numbers) => {
            to.put_u8(reply_tag::WATCHED);
            to.put_list(numbers, |to, number| to.put_option(*number, Put::put_number));
        }
        Reply::Transaction(replies) => {
            to.put_u8(reply_tag::TRANSACTION);
            to.put_list(replies, super::reply::put_reply);
        }
        Reply::Held(reply) => {
            to.put_u8(reply_tag::HELD);
            super::reply::put_reply(to, reply);
        }
        Reply::Signed(number) => {
            to.put_u8(reply_tag::SIGNED);
            to.put_signed(*number);
        }
        Reply::Text(text) => {
            to.put_u8(reply_tag::TEXT);
            to.put_bytes(text);
        }
        Reply::Keys(keys) => {
            to.put_u8(reply_tag::KEYS);
            to.put_list(keys, |to, key| to.put_bytes(key));
        }
        Reply::Scanned { next, keys } => {
            to.put_u8(reply_tag::SCANNED);
            to.put_number(*next);
            to.put_list(keys, |to, key| to.put_bytes(key));
        }
        _ => unreachable!("all others are written before"),
    }
}

/// A reply inside another one, which must not begin so: bytes must not say how deep this goes.
fn read_inner<T>(
    from: &mut Reader,
    nested: &[u8],
    read: impl FnOnce(&mut Reader) -> Result<T, Fault>,
) -> Result<T, Fault> {
    if from.peek().is_some_and(|tag| nested.contains(&tag)) {
        return Err(from.damaged("reply in a reply"));
    }
    read(from)
}

pub(super) fn read_reply<E: Coded>(tag: u8, from: &mut Reader) -> Result<Reply<E>, Fault> {
    Ok(match tag {
        reply_tag::NO_KEY => Reply::NoKey,
        reply_tag::WATCHED => Reply::Watched(from.list(|from| from.option(Reader::number))?),
        reply_tag::TRANSACTION => {
            Reply::Transaction(from.list(|from| {
                read_inner(from, &[reply_tag::TRANSACTION], super::reply::read_reply)
            })?)
        }
        reply_tag::HELD => {
            let nested = [reply_tag::TRANSACTION, reply_tag::HELD];
            Reply::Held(Box::new(read_inner(from, &nested, super::reply::read_reply)?))
        }
        reply_tag::SIGNED => Reply::Signed(from.signed()?),
        reply_tag::TEXT => Reply::Text(from.bytes()?),
        reply_tag::KEYS => Reply::Keys(from.list(Reader::bytes)?),
        reply_tag::SCANNED => {
            Reply::Scanned { next: from.number()?, keys: from.list(Reader::bytes)? }
        }
        _ => return Err(from.damaged("unknown reply")),
    })
}
