//! `weir append`: entries from the arguments or from lines of stdin.

use std::io::{BufRead, Write};

use bytes::Bytes;
use client::{Append, Client, EntryId, Error, IdChoice, Trim};
use futures::StreamExt;
use tokio::sync::mpsc;

use super::progress::Progress;
use super::{cluster, entry_json};
use crate::cli;
use crate::commands::block_on;
use crate::failed::Failed;
use crate::out;

/// Lines that are read ahead of what the cluster takes.
const AHEAD: usize = 1024;

/// A line above this is not an entry that any node allows, but a file that has no lines.
const LINE_BYTES_MAX: u64 = 64 << 20;

pub(crate) fn run(args: &cli::Append) -> Result<(), Failed> {
    block_on(async {
        let client = cluster::connect(&args.cluster).await?;
        if args.fields.is_empty() { lines(&client, args).await } else { one(&client, args).await }
    })
}

async fn one(client: &Client, args: &cli::Append) -> Result<(), Failed> {
    let (pairs, rest) = args.fields.as_chunks::<2>();
    if let [name] = rest {
        return Err(Failed::wrong(format!("`{name}` has no value: give names and values in turn")));
    }
    let fields = pairs.iter().map(|[name, value]| (name.clone().into(), value.clone().into()));
    let append = Append { fields: fields.collect(), ..entry(args) };
    let id = client.append(append).await.map_err(|error| cluster::failed(&args.cluster, &error))?;
    out::say(id);
    Ok(())
}

async fn lines(client: &Client, args: &cli::Append) -> Result<(), Failed> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (appends, mut input) = input(args);
    let mut results = client.append_many(appends.take_until(stopped));
    let mut stop = Some(stop);
    let mut seen = Seen::default();
    let mut progress = Progress::new("appended", None);
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    while let Some(result) = results.next().await {
        match seen.see(result) {
            Some(id) => {
                progress.add();
                if args.ids {
                    drop(writeln!(stdout, "{id}"));
                }
            }
            // What is under way is waited for: nothing is left unsaid.
            None => drop(stop.take()),
        }
    }
    drop(stdout.flush());
    progress.finish();
    if let Some(failed) = seen.failed(args) {
        return Err(failed);
    }
    match input.recv().await {
        Some(error) => Err(Failed::wrong(error)),
        None => Ok(()),
    }
}

/// What came of the lines.
#[derive(Default)]
struct Seen {
    line: u64,
    /// The first that failed.
    first: Option<(u64, Error)>,
    /// The first and the last whose outcome is unknown.
    unknown: Option<(u64, u64)>,
    /// Appended, though one before it had failed.
    behind: u64,
}

impl Seen {
    fn see(&mut self, result: Result<EntryId, Error>) -> Option<EntryId> {
        self.line += 1;
        match result {
            Ok(id) => {
                self.behind += u64::from(self.first.is_some());
                Some(id)
            }
            Err(error) => {
                if matches!(error, Error::Unknown(_)) {
                    let first = self.unknown.map_or(self.line, |(first, _)| first);
                    self.unknown = Some((first, self.line));
                }
                self.first.get_or_insert((self.line, error));
                None
            }
        }
    }

    fn failed(&self, args: &cli::Append) -> Option<Failed> {
        let (line, error) = self.first.as_ref()?;
        let mut what = format!("line {line}");
        match self.unknown {
            Some((first, last)) if first == last => {
                what = format!("line {first} may or may not have been appended");
            }
            Some((first, last)) => {
                what = format!("lines {first} to {last} may or may not have been appended");
            }
            None => {}
        }
        if self.behind > 0 {
            what = format!("{what} ({} behind it were)", self.behind);
        }
        Some(cluster::failed(&args.cluster, error).before(&what))
    }
}

/// What every entry has alike.
fn entry(args: &cli::Append) -> Append {
    let trim = args.keep_newest.map(Trim::NewestAbout);
    Append { trim, ..Append::to(args.stream.clone()) }
}

/// Entries of the lines of stdin; they end at the first line that isn't one, which the other
/// channel then explains.
fn input(
    args: &cli::Append,
) -> (impl futures::Stream<Item = Append> + use<>, mpsc::Receiver<String>) {
    let (lines, receiver) = mpsc::channel(AHEAD);
    let (wrong, error) = mpsc::channel(1);
    let parser = Parser {
        entry: entry(args),
        json: args.json,
        keep_ids: args.keep_ids,
        field: args.field.clone().into(),
    };
    std::thread::spawn(move || {
        if let Err(text) = read(&parser, &lines) {
            drop(wrong.try_send(text));
        }
    });
    let appends = futures::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    (appends, error)
}

struct Parser {
    entry: Append,
    json: bool,
    keep_ids: bool,
    field: Bytes,
}

impl Parser {
    fn parse(&self, line: &[u8]) -> Result<Append, String> {
        if !self.json {
            let field = (self.field.clone(), Bytes::copy_from_slice(line));
            return Ok(Append { fields: vec![field], ..self.entry.clone() });
        }
        let text = std::str::from_utf8(line).map_err(|_| "not UTF-8".to_owned())?;
        let (id, fields) = entry_json::parse(text)?;
        let id = id.filter(|_| self.keep_ids).map_or(IdChoice::Auto, IdChoice::Exact);
        Ok(Append { fields, id, ..self.entry.clone() })
    }
}

/// Reads until stdin ends, a line is wrong, or nobody wants more.
fn read(parser: &Parser, lines: &mpsc::Sender<Append>) -> Result<(), String> {
    let mut stdin = std::io::stdin().lock();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let mut limited = std::io::Read::take(&mut stdin, LINE_BYTES_MAX);
        let read =
            limited.read_until(b'\n', &mut line).map_err(|error| format!("stdin: {error}"))?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_BYTES_MAX {
            return Err(format!("line {number}: longer than {LINE_BYTES_MAX} bytes"));
        }
        let end =
            line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
        let append =
            parser.parse(&line[..end]).map_err(|error| format!("line {number}: {error}"))?;
        if lines.blocking_send(append).is_err() {
            break;
        }
    }
    Ok(())
}
