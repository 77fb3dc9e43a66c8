//! One client of the load: appends in pipelines, reads, reads for the group, acknowledges, and
//! writes down what it sent and what it was told.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{Entropy, SeededEntropy};
use bytes::BytesMut;
use resp::{Value, write_request};

use super::STREAMS;
use crate::client::Client;
use crate::wait;
use checker::history::{Id, Op, Outcome, Seen, Stream, What};

/// The group that every client is a consumer of.
pub(super) const GROUP: &str = "chaos";
/// Appends in one pipeline.
const PIPELINE_MAX: u64 = 8;
/// Entries asked for at a time.
const READ_COUNT: usize = 50;
/// A node that refuses connections is left alone for this long.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// A client whose own node is away looks for it again after this, so that load goes through every
/// node that lives.
const HOME_AFTER: Duration = Duration::from_secs(1);

/// The key of a stream.
pub(super) fn key(stream: Stream) -> String {
    format!("chaos:{stream}")
}

pub(super) fn make_groups(address: &str) -> anyhow::Result<()> {
    let mut client = Client::open(address)?;
    for stream in 0..STREAMS {
        let reply = client.call(&["XGROUP", "CREATE", &key(stream), GROUP, "0", "MKSTREAM"])?;
        let there = reply.as_error().is_none_or(|error| error.starts_with("BUSYGROUP"));
        anyhow::ensure!(there, "{reply}");
    }
    Ok(())
}

/// A client.
pub(super) struct Load {
    index: usize,
    addresses: Vec<String>,
    /// How many nodes after its own it is at.
    detour: usize,
    rate: u32,
    stop: Arc<AtomicBool>,
    entropy: SeededEntropy,
    counter: u64,
    ops: Vec<Op>,
}

impl Load {
    pub(super) fn new(
        index: usize,
        seed: u64,
        addresses: &[String],
        rate: u32,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            index,
            addresses: addresses.to_vec(),
            detour: 0,
            rate,
            stop,
            entropy: SeededEntropy::new((seed << 8) + index as u64),
            counter: 0,
            ops: Vec::new(),
        }
    }

    /// Works until told to stop; gives what it did and saw.
    pub(super) fn run(mut self) -> Vec<Op> {
        while !self.stop.load(Ordering::SeqCst) {
            let place = (self.index + self.detour) % self.addresses.len();
            let opened = Client::open(&self.addresses[place]);
            match opened.and_then(|mut client| self.work(&mut client)) {
                Ok(()) => self.detour = 0,
                Err(_) => {
                    self.detour += 1;
                    wait::pause(RECONNECT_PAUSE);
                }
            }
        }
        self.ops
    }

    fn work(&mut self, client: &mut Client) -> io::Result<()> {
        let until = wait::now() + HOME_AFTER;
        while !self.stop.load(Ordering::SeqCst) && (self.detour == 0 || wait::now() < until) {
            let stream = self.below(STREAMS as u64);
            let began = wait::now();
            let appended = match self.entropy.below(10) {
                0..=5 => self.append(client, stream)?,
                6 => self.read_tail(client, stream).map(|()| 0)?,
                7 => self.look_at_group(client, stream).map(|()| 0)?,
                _ => self.consume(client, stream).map(|()| 0)?,
            };
            let due = Duration::from_secs(1) * appended / self.rate;
            wait::pause(due.saturating_sub(wait::now() - began));
        }
        Ok(())
    }

    /// Some appends, sent together.
    fn append(&mut self, client: &mut Client, stream: Stream) -> io::Result<u32> {
        let count = 1 + self.entropy.below(PIPELINE_MAX);
        let mut request = BytesMut::new();
        let mut values = Vec::new();
        for _ in 0..count {
            self.counter += 1;
            let value = ((self.index as u64 + 1) << 40) | self.counter;
            write_request(&mut request, &["XADD", &key(stream), "*", "v", &value.to_string()]);
            values.push(value);
        }
        let call = wait::now();
        let mut broken = client.send(&request).err();
        for value in values {
            let reply = match broken {
                Some(_) => None,
                None => client.reply().map_err(|error| broken = Some(error)).ok(),
            };
            let outcome = reply.map_or(Outcome::Unknown, |reply| judge(&reply, id_of(&reply)));
            self.note(stream, call, What::Add { value, once: None, outcome });
        }
        broken.map_or(Ok(u32::try_from(count).expect("a few")), Err)
    }

    /// From some of the newest entries on, to the end.
    fn read_tail(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let args = ["XREVRANGE", &key(stream), "+", "-", "COUNT", "20"];
        let newest = client.call(&args)?;
        let Some((start, _)) = entries_of(&newest).last().copied() else { return Ok(()) };
        let call = wait::now();
        let start_text = format!("{}-{}", start.0, start.1);
        let reply = client.call(&["XRANGE", &key(stream), &start_text, "+"])?;
        if reply.as_error().is_none() {
            let entries = entries_of(&reply);
            self.note(stream, call, What::Range { start, entries, whole: true });
        }
        Ok(())
    }

    fn look_at_group(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let call = wait::now();
        let reply = client.call(&["XINFO", "GROUPS", &key(stream)])?;
        if let Some((last_delivered, entries_read)) = group_of(&reply) {
            self.note(stream, call, What::Group { last_delivered, entries_read });
        }
        Ok(())
    }

    /// What is new, or now and then what was not acknowledged; then acknowledges it.
    fn consume(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let new = self.entropy.below(4) > 0;
        let entries = self.deliver(client, stream, new)?;
        self.acknowledge(client, stream, &entries)
    }

    /// One delivery to this client's consumer.
    pub(super) fn deliver(
        &mut self,
        client: &mut Client,
        stream: Stream,
        new: bool,
    ) -> io::Result<Vec<Seen>> {
        let (count, consumer) = (READ_COUNT.to_string(), self.consumer());
        let from = if new { ">" } else { "0" };
        let key = key(stream);
        let args =
            ["XREADGROUP", "GROUP", GROUP, &consumer, "COUNT", &count, "STREAMS", &key, from];
        let call = wait::now();
        let reply = client.call(&args)?;
        let streams = reply.as_items().unwrap_or_default();
        let entries = streams.first().and_then(|stream| stream.as_items()?.get(1));
        let entries = entries.map(entries_of).unwrap_or_default();
        if !entries.is_empty() {
            let what = What::Deliver { consumer: self.index, new, entries: entries.clone() };
            self.note(stream, call, what);
        }
        Ok(entries)
    }

    /// Acknowledges entries.
    pub(super) fn acknowledge(
        &mut self,
        client: &mut Client,
        stream: Stream,
        entries: &[Seen],
    ) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let ids: Vec<Id> = entries.iter().map(|(id, _)| *id).collect();
        let mut args = vec!["XACK".to_owned(), key(stream), GROUP.to_owned()];
        args.extend(ids.iter().map(|(ms, seq)| format!("{ms}-{seq}")));
        let call = wait::now();
        let answered = client.call(&args);
        let outcome = answered.as_ref().map_or(Outcome::Unknown, |reply| {
            judge(reply, reply.as_integer().and_then(|count| u64::try_from(count).ok()))
        });
        self.note(stream, call, What::Ack { consumer: self.index, ids, outcome });
        answered.map(drop)
    }

    /// Everything it did and saw since the last time.
    pub(super) fn take_ops(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.ops)
    }

    fn consumer(&self) -> String {
        format!("c{}", self.index)
    }

    fn below(&self, bound: u64) -> usize {
        usize::try_from(self.entropy.below(bound)).expect("small bounds")
    }

    fn note(&mut self, stream: Stream, call: Duration, what: What) {
        self.ops.push(Op { client: self.index, stream, call, ret: wait::now(), what });
    }
}

/// What a reply to a change says. Only these errors promise that nothing happened.
fn judge<T>(reply: &Value, found: Option<T>) -> Outcome<T> {
    match (reply.as_error(), found) {
        (None, Some(found)) => Outcome::Ok(found),
        (Some(error), _) if !error.starts_with("UNKNOWN") => Outcome::Fail,
        _ => Outcome::Unknown,
    }
}

fn id_of(value: &Value) -> Option<Id> {
    let (ms, seq) = value.as_text()?.split_once('-')?;
    Some((ms.parse().ok()?, seq.parse().ok()?))
}

/// `[[id, [v, value]], ...]`
pub(super) fn entries_of(value: &Value) -> Vec<Seen> {
    let entry = |entry: &Value| {
        let [id, fields] = entry.as_items()? else { return None };
        Some((id_of(id)?, fields.as_items()?.get(1)?.as_text()?.parse().ok()?))
    };
    value.as_items().unwrap_or_default().iter().filter_map(entry).collect()
}

fn group_of(reply: &Value) -> Option<(Id, u64)> {
    let fields = reply.as_items()?.first()?.as_items()?;
    let field = |name: &str| {
        fields.chunks_exact(2).find(|pair| pair[0].as_text() == Some(name)).map(|pair| &pair[1])
    };
    let entries_read = u64::try_from(field("entries-read")?.as_integer()?).ok()?;
    Some((id_of(field("last-delivered-id")?)?, entries_read))
}
