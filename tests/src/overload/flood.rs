//! Appends at a rate, whether they are answered or not: many connections, each with so many requests under
//! way at most. Half of them go to one stream. Never sends anything twice.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use hdrhistogram::Histogram;
use resp::{ReplyParser, Value, write_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::since;
use crate::wait;

/// Requests of a connection under way: a client that has more waits.
const UNDER_WAY_MAX: usize = 1_500;
/// The same where a connection is not paced: it asks again when answered.
const UNPACED: usize = 16;
/// The same in bytes.
const UNDER_WAY_BYTES: usize = 4 << 20;
const TICK: Duration = Duration::from_millis(20);
const READ_BYTES: usize = 64 * 1024;
/// Streams beside the hot one.
const STREAMS: usize = 15;
/// Kept of the hot stream and of the others: the disk is not what is tried here.
const KEPT: &str = "200000";
const ANSWER_WAIT: Duration = Duration::from_secs(60);
const SAMPLES_MAX: usize = 5;

/// A load.
#[derive(Clone, Debug)]
pub(super) struct Flood {
    pub(super) addresses: Vec<String>,
    pub(super) connections: usize,
    /// Of all connections, a second; infinite where each asks again when it is answered.
    pub(super) rate: f64,
    pub(super) length: Duration,
    pub(super) entry_bytes: usize,
}

/// What it came to.
pub(super) struct Told {
    sent: Cell<u64>,
    held_back: Cell<u64>,
    answers: Cell<u64>,
    done: Cell<u64>,
    busy: Cell<u64>,
    others: RefCell<BTreeMap<String, u64>>,
    slowest: Cell<Duration>,
    took: Cell<Duration>,
    times_us: RefCell<Histogram<u64>>,
}

impl Told {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            sent: Cell::default(),
            held_back: Cell::default(),
            answers: Cell::default(),
            done: Cell::default(),
            busy: Cell::default(),
            others: RefCell::default(),
            slowest: Cell::default(),
            took: Cell::default(),
            times_us: RefCell::new(Histogram::new(3)?),
        })
    }

    pub(super) fn per_second(&self) -> f64 {
        self.done.get() as f64 / self.took.get().as_secs_f64().max(1e-9)
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(super) fn held_back(&self) -> u64 {
        self.held_back.get()
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.get()
    }

    pub(super) fn done(&self) -> u64 {
        self.done.get()
    }

    pub(super) fn busy(&self) -> u64 {
        self.busy.get()
    }

    pub(super) fn others(&self) -> u64 {
        self.others.borrow().values().sum()
    }

    pub(super) fn samples(&self) -> Vec<String> {
        let others = self.others.borrow();
        others.iter().take(SAMPLES_MAX).map(|(text, count)| format!("{count} x {text}")).collect()
    }

    pub(super) fn slowest(&self) -> Duration {
        self.slowest.get()
    }

    pub(super) fn p99_ms(&self) -> f64 {
        self.times_us.borrow().value_at_quantile(0.99) as f64 / 1000.0
    }

    fn other(&self, text: String) {
        *self.others.borrow_mut().entry(text).or_default() += 1;
    }

    fn answered(&self, reply: &Value, took: Duration) {
        self.slowest.set(self.slowest.get().max(took));
        self.answers.set(self.answers.get() + 1);
        match reply.as_error() {
            None => {
                self.done.set(self.done.get() + 1);
                let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                let _ = self.times_us.borrow_mut().record(us.max(1));
            }
            Some(error) if error.starts_with("BUSY") => self.busy.set(self.busy.get() + 1),
            Some(error) => self.other(error.chars().take(80).collect()),
        }
    }
}

impl Flood {
    /// Does it, and waits for what is under way at its end.
    pub(super) async fn run(self) -> anyhow::Result<Rc<Told>> {
        let told = Rc::new(Told::new()?);
        let began = wait::now();
        let flood = Rc::new(self);
        let mut workers = Vec::new();
        for index in 0..flood.connections {
            let (flood, told) = (Rc::clone(&flood), Rc::clone(&told));
            workers.push(tokio::task::spawn_local(async move {
                if let Err(error) = flood.connection(index, &told).await {
                    told.other(format!("{error:#}"));
                }
            }));
        }
        for worker in workers {
            worker.await?;
        }
        told.took.set(since(began).min(flood.length + TICK));
        Ok(told)
    }

    async fn connection(&self, index: usize, told: &Rc<Told>) -> anyhow::Result<()> {
        let stream = TcpStream::connect(&self.addresses[index % self.addresses.len()]).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        let under_way = Rc::new(RefCell::new(VecDeque::new()));
        let over = Rc::new(Cell::new(false));
        let writing = self.write(index, writer, told, Rc::clone(&under_way), Rc::clone(&over));
        let reading = read(reader, Rc::clone(told), under_way, over);
        let (written, read) = tokio::join!(writing, reading);
        written.and(read)
    }

    async fn write(
        &self,
        index: usize,
        mut writer: OwnedWriteHalf,
        told: &Told,
        under_way: Rc<RefCell<VecDeque<Duration>>>,
        over: Rc<Cell<bool>>,
    ) -> anyhow::Result<()> {
        let most = (UNDER_WAY_BYTES / self.entry_bytes).clamp(1, UNDER_WAY_MAX);
        let request = self.requests(index);
        let (began, mut due, mut turn) = (wait::now(), 0.0, index);
        let each = self.rate / self.connections as f64;
        let mut bytes = BytesMut::new();
        let result = loop {
            let at = since(began);
            if at >= self.length {
                break Ok(());
            }
            let free = |most: usize| most.saturating_sub(under_way.borrow().len());
            let count = if each.is_finite() {
                due += each * TICK.as_secs_f64();
                let wanted = due as usize;
                due -= wanted as f64;
                let count = wanted.min(free(most));
                told.held_back.set(told.held_back.get() + (wanted - count) as u64);
                count
            } else {
                free(UNPACED)
            };
            for _ in 0..count {
                turn += 1;
                bytes.extend_from_slice(&request[turn % request.len()]);
                under_way.borrow_mut().push_back(wait::now());
            }
            told.sent.set(told.sent.get() + count as u64);
            if let Err(error) = writer.write_all_buf(&mut bytes).await {
                break Err(error.into());
            }
            match each.is_finite() {
                true => {
                    let next = TICK.saturating_sub(since(began + at));
                    tokio::time::sleep(next).await;
                }
                false if count > 0 => tokio::task::yield_now().await,
                false => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        over.set(true);
        // The answers still come: the other half stays open until the last has.
        while result.is_ok() && !under_way.borrow().is_empty() && Rc::strong_count(&over) > 1 {
            tokio::time::sleep(TICK).await;
        }
        result
    }

    /// Every other one for the stream that all write to.
    fn requests(&self, index: usize) -> Vec<BytesMut> {
        let value = "x".repeat(self.entry_bytes);
        let own = format!("over:{}", index % STREAMS);
        let kept = if self.entry_bytes > 1_000 { "100" } else { KEPT };
        let name = if self.entry_bytes > 1_000 { "huge" } else { "hot" };
        let keys = [name, if name == "huge" { name } else { &own }];
        let request = |key: &str| {
            let mut bytes = BytesMut::new();
            write_request(&mut bytes, &["XADD", key, "MAXLEN", "~", kept, "*", "v", &value]);
            bytes
        };
        keys.iter().map(|key| request(key)).collect()
    }
}

async fn read(
    mut reader: OwnedReadHalf,
    told: Rc<Told>,
    under_way: Rc<RefCell<VecDeque<Duration>>>,
    over: Rc<Cell<bool>>,
) -> anyhow::Result<()> {
    let (mut parser, mut input) = (ReplyParser::new(), BytesMut::new());
    let ended = || over.get() && under_way.borrow().is_empty();
    loop {
        while let Some(reply) = parser.next(&mut input)? {
            let sent = under_way.borrow_mut().pop_front();
            told.answered(&reply, sent.map_or(Duration::ZERO, since));
        }
        if ended() {
            return Ok(());
        }
        input.reserve(READ_BYTES);
        match tokio::time::timeout(TICK, reader.read_buf(&mut input)).await {
            // The other half is closed once all is answered.
            Ok(Ok(0)) if !ended() => anyhow::bail!("a connection was closed"),
            Ok(read) => drop(read?),
            Err(_) => {
                let oldest = under_way.borrow().front().copied();
                let late = oldest.is_some_and(|sent| since(sent) > ANSWER_WAIT);
                anyhow::ensure!(!late, "no answer in {} s", ANSWER_WAIT.as_secs());
            }
        }
    }
}
