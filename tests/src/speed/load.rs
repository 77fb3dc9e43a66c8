//! Many connections that ask at the same time, each one request, or one pipeline, after the other.
//! Every answer is looked at: what is fast because it does nothing is an error.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::BytesMut;
use hdrhistogram::Histogram;
use resp::{ReplyParser, Value, write_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Side;
use crate::figures::median;
use crate::wait;

const READ_BYTES: usize = 64 * 1024;
/// Requests that are sent together while everything is prepared.
const PREPARE_TOGETHER: usize = 200;
/// One turn takes at most so long.
const TURN_WAIT: Duration = Duration::from_secs(60);

/// Whether an answer is what it should be.
pub type Check = fn(&Value) -> bool;

/// Requests that are sent together. The turn ends when all are answered.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    bytes: BytesMut,
    checks: Vec<(String, Check)>,
}

impl Turn {
    /// A request: words with one space between. A write has a WAIT behind it where the side wants
    /// one.
    pub fn write(mut self, side: &Side, words: &str, check: Check) -> Self {
        self.ask(words, check);
        if side.wait {
            self.ask("WAIT 1 0", |held| held.as_integer().is_some_and(|replicas| replicas >= 1));
        }
        self
    }

    /// A request that changes nothing.
    pub fn read(mut self, words: &str, check: Check) -> Self {
        self.ask(words, check);
        self
    }

    fn ask(&mut self, words: &str, check: Check) {
        write_request(&mut self.bytes, &words.split(' ').collect::<Vec<_>>());
        let shown: String = words.chars().take(80).collect();
        self.checks.push((shown, check));
    }
}

/// What is done.
pub struct Load<'a> {
    pub connections: usize,
    /// Of each connection at most; unless it is `whole`, the load ends when one has done all of its.
    pub turns: usize,
    pub limit: Duration,
    /// Each connection does all of its turns: the load ends when the last one has, or with the time.
    pub whole: bool,
    /// What each connection asks before, in order; not measured.
    pub prepare: &'a dyn Fn(usize) -> Vec<String>,
    /// The requests of a connection's turn: steps, each sent when the one before is answered.
    pub turn: &'a dyn Fn(usize, usize) -> Vec<Turn>,
}

/// What it came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Turns.
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    /// Of all processes of the side, for one turn; 0 where nobody looked.
    pub cpu_us: f64,
}

impl Measured {
    /// Of each figure the middle one; `None` of none.
    pub fn median(of: &[Self]) -> Option<Self> {
        let middle = |value: fn(&Self) -> f64| median(of.iter().map(value));
        Some(Self {
            per_second: middle(|it| it.per_second)?,
            p50_ms: middle(|it| it.p50_ms)?,
            p99_ms: middle(|it| it.p99_ms)?,
            p999_ms: middle(|it| it.p999_ms)?,
            cpu_us: middle(|it| it.cpu_us)?,
        })
    }

    /// Of times that were taken one by one.
    pub fn of(times_us: &Histogram<u64>, took: Duration) -> Self {
        let at = |quantile| times_us.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            per_second: times_us.len() as f64 / took.as_secs_f64().max(1e-9),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            cpu_us: 0.0,
        }
    }
}

impl Load<'_> {
    /// Does it.
    ///
    /// # Errors
    /// A connection broke, or an answer was not what it should be.
    pub fn run(&self, side: &Side) -> anyhow::Result<Measured> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.run_on(side))
    }

    async fn run_on(&self, side: &Side) -> anyhow::Result<Measured> {
        let mut connections = Vec::with_capacity(self.connections);
        for index in 0..self.connections {
            let address = &side.addresses[index % side.addresses.len()];
            connections.push(Connection::open(address).await.context("connecting")?);
        }
        for (index, connection) in connections.iter_mut().enumerate() {
            connection.prepare(side, &(self.prepare)(index)).await.context("preparing")?;
        }
        let cpu_before = side.cpu_seconds();
        let run = Run {
            load: self,
            began: wait::now(),
            over: Cell::new(false),
            took: Cell::new(Duration::ZERO),
            times_us: RefCell::new(Histogram::new(3)?),
        };
        let mut workers = Vec::new();
        for (index, connection) in connections.into_iter().enumerate() {
            workers.push(run.worker(index, connection));
        }
        futures::future::try_join_all(workers).await?;
        let times_us = run.times_us.borrow();
        let cpu_us = (side.cpu_seconds() - cpu_before) * 1e6 / times_us.len().max(1) as f64;
        Ok(Measured { cpu_us, ..Measured::of(&times_us, run.took.get()) })
    }
}

/// A load under way.
struct Run<'a> {
    load: &'a Load<'a>,
    began: Duration,
    /// One connection has done all of its, or the time is up; and when that was.
    over: Cell<bool>,
    took: Cell<Duration>,
    times_us: RefCell<Histogram<u64>>,
}

impl Run<'_> {
    fn is_over(&self) -> bool {
        self.over.get() && !self.load.whole
    }

    async fn worker(&self, index: usize, mut connection: Connection) -> anyhow::Result<()> {
        for turn in 0..self.load.turns {
            let began = wait::now();
            if self.is_over() || began - self.began >= self.load.limit {
                break;
            }
            for step in (self.load.turn)(index, turn) {
                let asked = connection.ask(&step);
                tokio::time::timeout(TURN_WAIT, asked).await.context("no answer in time")??;
            }
            let took_us = u64::try_from((wait::now() - began).as_micros())?;
            if !self.is_over() {
                self.times_us.borrow_mut().record(took_us.max(1))?;
            }
        }
        if !self.over.replace(true) || self.load.whole {
            self.took.set(wait::now() - self.began);
        }
        Ok(())
    }
}

struct Connection {
    stream: TcpStream,
    input: BytesMut,
    parser: ReplyParser,
}

impl Connection {
    async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, input: BytesMut::new(), parser: ReplyParser::new() })
    }

    async fn prepare(&mut self, side: &Side, lines: &[String]) -> anyhow::Result<()> {
        for lines in lines.chunks(PREPARE_TOGETHER) {
            let turn = lines.iter().fold(Turn::default(), |turn, line| turn.read(line, |_| true));
            self.ask(&turn).await?;
        }
        // What comes next is not to wait for what the replicas have yet to take.
        let turn = Turn::default();
        let turn = if side.wait { turn.read("WAIT 1 0", |_| true) } else { turn };
        self.ask(&turn).await
    }

    async fn ask(&mut self, turn: &Turn) -> anyhow::Result<()> {
        self.stream.write_all(&turn.bytes).await?;
        for (asked, check) in &turn.checks {
            let reply = self.reply().await?;
            if reply.as_error().is_some() || !check(&reply) {
                let shown: String = reply.to_string().chars().take(200).collect();
                bail!("{asked}: {shown}");
            }
        }
        Ok(())
    }

    async fn reply(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(value) = self.parser.next(&mut self.input)? {
                return Ok(value);
            }
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                bail!("the connection was closed");
            }
        }
    }
}
