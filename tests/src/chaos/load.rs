//! One client of the load: appends, in pipelines and under ids of its own, reads, removes, and is a consumer of the
//! groups; it writes down what it sent and what it was told. Never sends an append twice that has no id of its own.

mod consumer;
mod thinner;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::{Entropy, SeededEntropy};
use bytes::BytesMut;
pub(super) use consumer::ids_of;
use resp::{Value, write_request};

use super::STREAMS;
use crate::client::Client;
use crate::wait;
use checker::history::{Once, Op, Seen, Stream, What};
use checker::replies::{self, id_of, judge};

/// The group that every client is a consumer of.
pub(super) const GROUP: &str = "chaos";
/// Appends in one pipeline.
const PIPELINE_MAX: u64 = 8;
/// How often an append under an id of its own is sent.
const PRODUCE_TRIES: u32 = 20;
/// Between two of them, where nothing was done.
const PRODUCE_PAUSE: Duration = Duration::from_millis(20);
/// A node that refuses connections is left alone for this long.
const RECONNECT_PAUSE: Duration = Duration::from_millis(50);
/// A client whose own node is away looks for it again after this, so that load goes through every
/// node that lives.
const HOME_AFTER: Duration = Duration::from_secs(1);

/// The stream that loses entries on purpose; all others have a group.
pub(super) const THINNED: Stream = STREAMS - 1;
pub(super) const GROUPED: std::ops::Range<Stream> = 0..THINNED;

/// The key of a stream.
pub(super) fn key(stream: Stream) -> String {
    format!("chaos:{stream}")
}

pub(super) fn make_groups(address: &str) -> anyhow::Result<()> {
    let mut client = Client::open(address)?;
    for stream in GROUPED {
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
    produced: u64,
    /// What is to be asked again before anything else is appended.
    open: Option<Open>,
    ops: Vec<Op>,
}

/// An append under an id of its own that may be asked again.
struct Open {
    stream: Stream,
    value: u64,
    once: Once,
    /// Whether the id is the entry's content.
    auto: bool,
    asked: u32,
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
            produced: 0,
            open: None,
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
        self.settle(client)?;
        let until = wait::now() + HOME_AFTER;
        while !self.stop.load(Ordering::SeqCst) && (self.detour == 0 || wait::now() < until) {
            let stream = self.below(STREAMS as u64);
            let began = wait::now();
            let thinned = stream == THINNED;
            let appended = match self.entropy.below(20) {
                0..=9 => self.append(client, stream)?,
                10 | 11 => self.produce(client, stream)?,
                19 if thinned => self.thin(client, stream).map(|()| 0)?,
                12 | 13 => self.read_tail(client, stream).map(|()| 0)?,
                14.. if thinned => self.read_tail(client, stream).map(|()| 0)?,
                14 => self.look_at_group(client, stream).map(|()| 0)?,
                15 => self.claim(client, stream).map(|()| 0)?,
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
            let value = self.value();
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
            let outcome = judge(reply.as_ref(), id_of);
            self.note(stream, call, What::Add { value, once: None, outcome });
        }
        broken.map_or(Ok(u32::try_from(count).expect("a few")), Err)
    }

    /// One append under an id of this client's own.
    fn produce(&mut self, client: &mut Client, stream: Stream) -> io::Result<u32> {
        self.produced += 1;
        let (value, once) = (self.value(), (self.index as u64, self.produced));
        let auto = self.entropy.below(2) == 0;
        self.open = Some(Open { stream, value, once, auto, asked: 0 });
        self.settle(client).map(|()| 1)
    }

    /// Asks for the append that is open until it is answered, and half of the time once more. Where the connection
    /// breaks it stays open for the next one, at whatever node: a client's appends are in its order.
    fn settle(&mut self, client: &mut Client) -> io::Result<()> {
        while let Some(open) = self.open.as_mut().filter(|open| open.asked < PRODUCE_TRIES) {
            open.asked += 1;
            let (stream, value, once) = (open.stream, open.value, open.once);
            let (key, producer, id) = (key(stream), format!("p{}", once.0), once.1.to_string());
            let mut args = vec!["XADD", &key];
            args.extend(if open.auto { ["IDMPAUTO", &producer] } else { ["IDMP", &producer] });
            args.extend((!open.auto).then_some(id.as_str()));
            let text = value.to_string();
            args.extend(["*", "v", &text]);
            let call = wait::now();
            let answered = client.call(&args);
            let outcome = judge(answered.as_ref().ok(), id_of);
            self.note(stream, call, What::Add { value, once: Some(once), outcome });
            answered?;
            if !outcome.is_done() {
                wait::pause(PRODUCE_PAUSE);
            } else if self.entropy.below(2) == 0 {
                break;
            }
        }
        self.open = None;
        Ok(())
    }

    /// That nobody else appends.
    fn value(&mut self) -> u64 {
        self.counter += 1;
        ((self.index as u64 + 1) << 40) | self.counter
    }

    /// From some of the newest entries on, to the end.
    fn read_tail(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let args = ["XREVRANGE", &key(stream), "+", "-", "COUNT", "20"];
        let newest = client.call(&args)?;
        let Some((start, _)) = entries_of(&newest).last().copied() else { return Ok(()) };
        let call = wait::now();
        let reply = client.call(&["XRANGE", &key(stream), &replies::text_of(start), "+"])?;
        if reply.as_error().is_none() {
            let entries = entries_of(&reply);
            self.note(stream, call, What::Range { start, entries, whole: true });
        }
        Ok(())
    }

    /// Everything it did and saw since the last time.
    pub(super) fn take_ops(&mut self) -> Vec<Op> {
        std::mem::take(&mut self.ops)
    }

    fn below(&self, bound: u64) -> usize {
        usize::try_from(self.entropy.below(bound)).expect("small bounds")
    }

    fn note(&mut self, stream: Stream, call: Duration, what: What) {
        self.ops.push(Op { client: self.index, stream, call, ret: wait::now(), what });
    }
}

/// What an entry holds.
fn value_in(fields: &[Value]) -> Option<u64> {
    fields.get(1)?.as_text()?.parse().ok()
}

/// Entries in an answer; none in an error. Others than the load's are a fault that ends the run.
pub(super) fn entries_of(reply: &Value) -> Vec<Seen> {
    entries_in(reply, reply)
}

/// Entries in a part of an answer.
fn entries_in(reply: &Value, part: &Value) -> Vec<Seen> {
    if reply.as_error().is_some() {
        return Vec::new();
    }
    let entries = replies::entries_of(part, value_in);
    entries.unwrap_or_else(|| panic!("bytes that nobody wrote are served: {reply}"))
}
