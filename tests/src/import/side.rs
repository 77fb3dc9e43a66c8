//! One of the two servers: its streams, groups and pending entries, in pages. Never a decision.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use bytes::Bytes;
use resp::Value;

use crate::client::Client;

/// Entries and rows that are asked for at a time.
pub(super) const PAGE: usize = 500;

/// A connection, and how it is called in errors.
pub(super) struct Side {
    pub(super) name: &'static str,
    client: Client,
}

/// An entry: its id, and fields and values in turn.
pub(super) type Entry = (Bytes, Vec<Bytes>);

/// A pending entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: Bytes,
    pub(super) consumer: Bytes,
    pub(super) idle_ms: i64,
    pub(super) deliveries: i64,
}

/// Fields of XINFO by name.
pub(super) type Fields = BTreeMap<String, Value>;

impl Side {
    pub(super) fn open(name: &'static str, address: &str) -> anyhow::Result<Self> {
        let client = Client::open(address).with_context(|| format!("no {name} at {address}"))?;
        Ok(Self { name, client })
    }

    /// One request; an error is one here too.
    pub(super) fn ask(&mut self, words: &[&[u8]]) -> anyhow::Result<Value> {
        let reply = self.client.call(words)?;
        match reply.as_error() {
            Some(error) => {
                let asked: Vec<_> = words.iter().map(|it| it.escape_ascii().to_string()).collect();
                bail!("the {} refused `{}`: {error}", self.name, asked.join(" "))
            }
            None => Ok(reply),
        }
    }

    /// Many requests at once, each of which must succeed.
    pub(super) fn ask_all(&mut self, requests: &[Vec<Bytes>]) -> anyhow::Result<()> {
        let mut output = bytes::BytesMut::new();
        requests.iter().for_each(|request| resp::write_request(&mut output, request));
        self.client.send(&output)?;
        for request in requests {
            let reply = self.client.reply()?;
            if let Some(error) = reply.as_error() {
                bail!("the {} refused {:?}: {error}", self.name, request.first());
            }
        }
        Ok(())
    }

    /// Every key that is a stream, sorted.
    pub(super) fn streams(&mut self) -> anyhow::Result<Vec<Bytes>> {
        let mut keys = Vec::new();
        let mut cursor = Bytes::from_static(b"0");
        loop {
            let words: [&[u8]; 6] = [b"SCAN", &cursor, b"TYPE", b"stream", b"COUNT", b"1000"];
            let reply = self.ask(&words)?;
            let [next, found] = items(&reply)? else { bail!("SCAN: {reply}") };
            keys.extend(items(found)?.iter().filter_map(Value::as_bytes).cloned());
            cursor = bytes(next)?;
            if cursor == "0" {
                keys.sort_unstable();
                keys.dedup();
                return Ok(keys);
            }
        }
    }

    /// The entries above an id, a page of them.
    pub(super) fn entries(&mut self, key: &[u8], above: &[u8]) -> anyhow::Result<Vec<Entry>> {
        let start = exclusive(above);
        let page = PAGE.to_string();
        let reply = self.ask(&[b"XRANGE", key, &start, b"+", b"COUNT", page.as_bytes()])?;
        let entry = |entry: &Value| {
            let [id, fields] = items(entry)? else { bail!("an entry: {entry}") };
            let fields = items(fields)?.iter().map(bytes).collect::<anyhow::Result<_>>()?;
            Ok((bytes(id)?, fields))
        };
        items(&reply)?.iter().map(entry).collect()
    }

    /// The id of the last entry, where there is one.
    pub(super) fn last_id(&mut self, key: &[u8]) -> anyhow::Result<Option<Bytes>> {
        let reply = self.ask(&[b"XREVRANGE", key, b"+", b"-", b"COUNT", b"1"])?;
        match items(&reply)? {
            [entry] => Ok(Some(bytes(&items(entry)?[0])?)),
            _ => Ok(None),
        }
    }

    /// XINFO STREAM.
    pub(super) fn stream(&mut self, key: &[u8]) -> anyhow::Result<Fields> {
        fields(&self.ask(&[b"XINFO", b"STREAM", key])?)
    }

    /// XINFO GROUPS, by name.
    pub(super) fn groups(&mut self, key: &[u8]) -> anyhow::Result<BTreeMap<Bytes, Fields>> {
        by_name(&self.ask(&[b"XINFO", b"GROUPS", key])?)
    }

    /// XINFO CONSUMERS, by name.
    pub(super) fn consumers(
        &mut self,
        key: &[u8],
        group: &[u8],
    ) -> anyhow::Result<BTreeMap<Bytes, Fields>> {
        by_name(&self.ask(&[b"XINFO", b"CONSUMERS", key, group])?)
    }

    /// Every pending entry of a group.
    pub(super) fn pending(&mut self, key: &[u8], group: &[u8]) -> anyhow::Result<Vec<Row>> {
        let mut rows: Vec<Row> = Vec::new();
        let page = PAGE.to_string();
        loop {
            let start = rows.last().map_or(Bytes::from_static(b"-"), |row| exclusive(&row.id));
            let reply = self.ask(&[b"XPENDING", key, group, &start, b"+", page.as_bytes()])?;
            let found = items(&reply)?;
            for row in found {
                let [id, consumer, idle, deliveries] = items(row)? else { bail!("pending: {row}") };
                rows.push(Row {
                    id: bytes(id)?,
                    consumer: bytes(consumer)?,
                    idle_ms: idle.as_integer().context("no idle time")?,
                    deliveries: deliveries.as_integer().context("no deliveries")?,
                });
            }
            if found.len() < PAGE {
                return Ok(rows);
            }
        }
    }

    /// Whether an entry is there.
    pub(super) fn has(&mut self, key: &[u8], id: &[u8]) -> anyhow::Result<bool> {
        let reply = self.ask(&[b"XRANGE", key, id, id])?;
        Ok(!items(&reply)?.is_empty())
    }
}

fn exclusive(id: &[u8]) -> Bytes {
    [b"(", id].concat().into()
}

fn items(value: &Value) -> anyhow::Result<&[Value]> {
    value.as_items().with_context(|| format!("not a list: {value}"))
}

fn bytes(value: &Value) -> anyhow::Result<Bytes> {
    value.as_bytes().cloned().with_context(|| format!("not a string: {value}"))
}

fn fields(value: &Value) -> anyhow::Result<Fields> {
    let pair = |pair: &[Value]| Some((pair[0].as_text()?.to_owned(), pair[1].clone()));
    Ok(items(value)?.chunks_exact(2).filter_map(pair).collect())
}

fn by_name(value: &Value) -> anyhow::Result<BTreeMap<Bytes, Fields>> {
    let named = |row: &Value| {
        let fields = fields(row)?;
        Ok((bytes(fields.get("name").context("no name")?)?, fields))
    };
    items(value)?.iter().map(named).collect()
}
