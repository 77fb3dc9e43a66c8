//! `weir read`: the entries of a stream, to stdout.

use std::io::Write;

use bytes::Bytes;
use client::{Client, Entry, EntryId, Error, Range};
use futures::TryStreamExt;

use super::progress::Progress;
use super::{cluster, entry_json};
use crate::cli;
use crate::commands::block_on;
use crate::failed::Failed;

pub(crate) fn run(args: &cli::Read) -> Result<(), Failed> {
    let range = Range {
        stream: args.stream.clone().into(),
        start: args.from.as_deref().map(|text| id(text, 0)).transpose()?,
        end: args.to.as_deref().map(|text| id(text, u64::MAX)).transpose()?,
        limit: args.limit,
        reverse: args.reverse,
    };
    if args.limit == Some(0) {
        return Ok(());
    }
    block_on(async {
        let client = cluster::connect(&args.cluster).await?;
        print(&client, args, range).await
    })
}

/// An id; milliseconds alone stand for the first or last one of theirs.
fn id(text: &str, seq: u64) -> Result<EntryId, Failed> {
    match text.parse::<u64>() {
        Ok(ms) => Ok(EntryId::new(ms, seq)),
        Err(_) => {
            text.parse().map_err(|error: client::EntryIdError| Failed::wrong(error.to_string()))
        }
    }
}

async fn print(client: &Client, args: &cli::Read, range: Range) -> Result<(), Failed> {
    let failed = |error: Error| cluster::failed(&args.cluster, &error);
    let total = match (&args.from, &args.to) {
        (None, None) => total(client, &range).await,
        _ => range.limit,
    };
    let mut progress = Progress::new("read", total);
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let mut entries = client.range(range);
    while let Some(entry) = entries.try_next().await.map_err(failed)? {
        if let Some(line) = line(args, &entry) {
            // Whoever read the pipe has enough.
            if stdout.write_all(&line).is_err() {
                return Ok(());
            }
        }
        progress.add();
    }
    drop(stdout.flush());
    drop(stdout);
    progress.finish();
    Ok(())
}

/// How many entries there will be, for the progress bar; unknown if the stream can't be described.
async fn total(client: &Client, range: &Range) -> Option<u64> {
    let length = client.describe(range.stream.clone()).await.ok()?.length;
    Some(range.limit.map_or(length, |limit| limit.min(length)))
}

fn line(args: &cli::Read, entry: &Entry) -> Option<Vec<u8>> {
    let mut line = match &args.field {
        Some(name) => entry.value(name)?.to_vec(),
        None if args.json => entry_json::line(entry).into_bytes(),
        None => text(entry).into_bytes(),
    };
    line.push(b'\n');
    Some(line)
}

/// The id, then names and values; what is not printable is escaped as in Rust.
fn text(entry: &Entry) -> String {
    let mut text = entry.id.to_string();
    for (name, value) in &entry.fields {
        text = format!("{text} {}={}", word(name), word(value));
    }
    text
}

fn word(bytes: &Bytes) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Ok(text) => format!("{text:?}"),
        Err(_) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_where_a_value_ends() {
        let fields = [("a", "1"), ("b", "two words"), ("c", ""), ("d", "x=y\n")];
        let fields = fields.map(|(name, value)| (name.into(), value.into())).to_vec();
        let entry = Entry { id: EntryId::new(1, 2), fields };
        assert_eq!(text(&entry), r#"1-2 a=1 b="two words" c="" d="x=y\n""#);
        assert_eq!(word(&Bytes::from_static(b"\xff\x00")), r#""\xff\x00""#);
    }

    #[test]
    fn milliseconds_alone_are_an_id() {
        assert_eq!(id("7", 0), Ok(EntryId::new(7, 0)));
        assert_eq!(id("7-3", 0), Ok(EntryId::new(7, 3)));
        assert!(id("7-", 0).is_err());
    }
}
