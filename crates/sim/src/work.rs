//! Clients of a life: each asks one thing after the other, of any node, and writes down what it
//! asked and what it was told. Each stream is used in a way of its own. Never a judgement.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Entropy, SeededEntropy};
use checker::history::{Id, Op, Outcome, Seen, Stream, What};
use checker::replies::{count_of, group_of, id_of, judge, pending_of, text_of};
use resp::Value;
use tokio::time::sleep;

use crate::line::{self, Line, entries_of, first_of};
use crate::machine::Process;
use crate::options::Options;
use crate::pipe::Delay;
use crate::trace::Trace;

const GROUP: &str = "g";

/// How often a producer asks again.
const RETRIES: u64 = 4;

/// A blocked read waits so long, in milliseconds.
const BLOCK_MS: &str = "1500";

/// A client's calls go to one node for so many calls, about.
const STAYS_FOR: u64 = 12;

/// In which way a stream is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Appended to, ranged over, counted.
    Plain,
    /// Appended to under ids of the producers' own, and asked again.
    Produced,
    /// Loses entries on purpose.
    Thinned,
    /// Has a group.
    Grouped,
    /// Is waited for.
    Followed,
    /// Appended to and read through gRPC, beside RESP.
    Mixed,
}

impl Use {
    /// How the stream at a place in the list of streams is used.
    pub(crate) fn of(stream: Stream) -> Self {
        const ALL: [Use; 6] =
            [Use::Plain, Use::Produced, Use::Thinned, Use::Grouped, Use::Followed, Use::Mixed];
        ALL[stream % ALL.len()]
    }
}

/// What the clients of a life have in common.
pub(crate) struct Shared {
    pub(crate) trace: Trace,
    pub(crate) delay: Delay,
    streams: usize,
    think_max: Duration,
    padding_max: u64,
    processes: Mutex<Vec<Process>>,
    values: AtomicU64,
    writing: AtomicBool,
    reading: AtomicBool,
    /// Entries of groups that somebody was given.
    delivered: Mutex<Vec<(Stream, Id)>>,
    /// Appends that were asked again.
    pub(crate) retried: AtomicU64,
}

impl Shared {
    pub(crate) fn new(options: &Options, trace: Trace, delay: Delay) -> Arc<Self> {
        Arc::new(Self {
            trace,
            delay,
            streams: options.streams,
            think_max: options.think_max,
            padding_max: options.padding_max,
            processes: Mutex::default(),
            values: AtomicU64::new(1),
            writing: AtomicBool::new(true),
            reading: AtomicBool::new(true),
            delivered: Mutex::default(),
            retried: AtomicU64::new(0),
        })
    }

    /// Which nodes can be asked.
    pub(crate) fn publish(&self, processes: Vec<Process>) {
        *lock(&self.processes) = processes;
    }

    pub(crate) fn stop_writing(&self) {
        self.writing.store(false, Ordering::SeqCst);
    }

    pub(crate) fn stop_reading(&self) {
        self.reading.store(false, Ordering::SeqCst);
    }

    fn writes(&self) -> bool {
        self.writing.load(Ordering::SeqCst)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(stream: Stream) -> String {
    format!("life:{stream}")
}

macro_rules! request {
    ($($part:expr),* $(,)?) => { vec![$(String::from($part)),*] };
}

/// One client.
pub(crate) struct Client {
    index: usize,
    entropy: SeededEntropy,
    shared: Arc<Shared>,
    at: Option<(Process, Line)>,
    ops: Vec<Op>,
    produced: u64,
    /// Of streams that lose entries.
    known: Vec<(Stream, Id)>,
    /// Of groups: given, and not acknowledged.
    own: Vec<(Stream, Id)>,
}

impl Client {
    pub(crate) fn new(index: usize, seed: u64, shared: Arc<Shared>) -> Self {
        Self {
            index,
            entropy: SeededEntropy::new(seed),
            shared,
            at: None,
            ops: Vec::new(),
            produced: 0,
            known: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Of a node that is chosen, and stays so.
    pub(crate) fn at(index: usize, process: &Process, shared: &Arc<Shared>) -> Self {
        let mut client = Self::new(index, 0, shared.clone());
        client.at = Some((process.clone(), Line::open(process, &shared.delay)));
        client
    }

    /// Everything but waiting, until nobody is to write any more.
    pub(crate) async fn work(mut self) -> Vec<Op> {
        while self.shared.writes() {
            let most = u64::try_from(self.shared.think_max.as_millis()).unwrap_or(u64::MAX);
            sleep(Duration::from_millis(1 + self.entropy.below(most))).await;
            if !self.reach() {
                continue;
            }
            let stream = self.entropy.below(self.shared.streams as u64) as Stream;
            match Use::of(stream) {
                Use::Plain | Use::Followed => self.append_and_read(stream).await,
                Use::Produced => self.produce(stream).await,
                Use::Thinned => self.thin(stream).await,
                Use::Grouped => self.consume(stream).await,
                Use::Mixed => self.mix(stream).await,
            }
        }
        self.ops
    }

    /// Has a line to some node; `false` where there is none.
    fn reach(&mut self) -> bool {
        if self.at.is_some() && self.entropy.below(STAYS_FOR) > 0 {
            return true;
        }
        let some = {
            let processes = lock(&self.shared.processes);
            let at = self.entropy.below(processes.len() as u64) as usize;
            processes.get(at).cloned()
        };
        self.at = some.map(|process| {
            let line = Line::open(&process, &self.shared.delay);
            (process, line)
        });
        self.at.is_some()
    }

    async fn ask_all(&mut self, requests: Vec<Vec<String>>) -> Vec<Value> {
        let Some((_, line)) = &mut self.at else { return Vec::new() };
        let replies = line.ask(&requests).await;
        if replies.len() < requests.len() {
            self.at = None;
        }
        replies
    }

    async fn ask(&mut self, request: Vec<String>) -> Option<Value> {
        self.ask_all(vec![request]).await.pop()
    }

    fn note(&mut self, stream: Stream, call: Duration, what: What) {
        let ret = self.now();
        self.shared.trace.note(Called { client: self.index, stream, what: &what });
        self.ops.push(Op { client: self.index, stream, call, ret, what });
    }

    fn now(&self) -> Duration {
        self.shared.trace.now()
    }

    fn value(&self) -> u64 {
        self.shared.values.fetch_add(1, Ordering::SeqCst)
    }

    fn padding(&self) -> String {
        // Now and then one that needs a journal segment almost for itself.
        let most = match self.entropy.below(200) {
            0 => 48 << 10,
            _ => self.shared.padding_max,
        };
        "x".repeat(self.entropy.below(most + 1) as usize)
    }

    fn add(&self, stream: Stream, value: u64, once: Option<(u64, u64)>) -> Vec<String> {
        let mut request = request!["XADD", key(stream)];
        if let Some((producer, id)) = once {
            request.extend(request!["IDMP", producer.to_string(), id.to_string()]);
        }
        let padding = self.padding();
        request.extend(request!["*", "v", line::value_text(value, &padding), "p", padding]);
        request
    }

    /// One append, or a few in a pipeline, or in a transaction.
    async fn append(&mut self, stream: Stream) {
        let count = if self.entropy.below(4) == 0 { 1 + self.entropy.below(5) } else { 1 };
        let values: Vec<u64> = (0..count).map(|_| self.value()).collect();
        let mut requests: Vec<Vec<String>> =
            values.iter().map(|value| self.add(stream, *value, None)).collect();
        let atomic = count > 1 && self.entropy.below(2) == 0;
        if atomic {
            requests.insert(0, request!["MULTI"]);
            requests.push(request!["EXEC"]);
        }
        let call = self.now();
        let mut replies = self.ask_all(requests).await;
        if atomic {
            // What the queued commands were told says nothing; EXEC's answer says all.
            let executed = (replies.len() as u64 == count + 2).then(|| replies.pop()).flatten();
            replies = match executed {
                Some(Value::Array(items)) => items,
                Some(error) => vec![error; values.len()],
                None => Vec::new(),
            };
        }
        for (at, value) in values.into_iter().enumerate() {
            let outcome = judge(replies.get(at), id_of);
            self.note(stream, call, What::Add { value, once: None, outcome });
        }
    }

    async fn read(&mut self, stream: Stream) {
        let call = self.now();
        let reply = self.ask(request!["XRANGE", key(stream), "-", "+"]).await;
        if let Some(entries) = reply.as_ref().and_then(entries_of) {
            self.note_range(stream, call, entries);
        }
    }

    fn note_range(&mut self, stream: Stream, call: Duration, entries: Vec<Seen>) {
        if Use::of(stream) == Use::Thinned {
            self.known.retain(|(of, _)| *of != stream);
            self.known.extend(entries.iter().map(|(id, _)| (stream, *id)));
        }
        self.note(stream, call, What::Range { start: (0, 0), entries, whole: true });
    }

    async fn append_and_read(&mut self, stream: Stream) {
        match self.entropy.below(20) {
            0 | 1 => self.read(stream).await,
            2 | 3 => {
                let call = self.now();
                let reply = self.ask(request!["XLEN", key(stream)]).await;
                if let Some(count) = reply.as_ref().and_then(count_of) {
                    self.note(stream, call, What::Length { count });
                }
            }
            _ => self.append(stream).await,
        }
    }

    /// Half of it through gRPC.
    async fn mix(&mut self, stream: Stream) {
        if self.entropy.below(2) == 0 {
            return self.append_and_read(stream).await;
        }
        let Some((process, _)) = &self.at else { return };
        let (process, delay, call) = (process.clone(), self.shared.delay.clone(), self.now());
        if self.entropy.below(8) == 0 {
            if let Some(entries) = line::range(&process, &delay, &key(stream)).await {
                self.note_range(stream, call, entries);
            }
            return;
        }
        let (value, padding) = (self.value(), self.padding());
        let text = line::value_text(value, &padding);
        let fields = [("v", text.as_str()), ("p", padding.as_str())];
        let outcome = line::append(&process, &delay, &key(stream), &fields).await;
        self.note(stream, call, What::Add { value, once: None, outcome });
    }

    /// Appends under an id of its own, and asks again wherever nobody answers.
    async fn produce(&mut self, stream: Stream) {
        self.produced += 1;
        let once = (self.index as u64, self.produced);
        let value = self.value();
        for attempt in 0..=RETRIES {
            if attempt > 0 {
                self.shared.retried.fetch_add(1, Ordering::SeqCst);
                self.at = self.at.take().filter(|_| self.entropy.below(2) == 0);
            }
            if !self.reach() {
                return;
            }
            let (call, request) = (self.now(), self.add(stream, value, Some(once)));
            let outcome = judge(self.ask(request).await.as_ref(), id_of);
            self.note(stream, call, What::Add { value, once: Some(once), outcome });
            // Half of them although it was answered.
            if outcome.is_done() && self.entropy.below(2) > 0 {
                return;
            }
        }
    }

    async fn thin(&mut self, stream: Stream) {
        let known: Vec<Id> =
            self.known.iter().filter(|(of, _)| *of == stream).map(|(_, id)| *id).collect();
        let some = |below: usize| known.get(self.entropy.below(below as u64) as usize).copied();
        match self.entropy.below(12) {
            0 if let Some(id) = some(known.len()) => {
                let call = self.now();
                let reply = self.ask(request!["XDEL", key(stream), text_of(id)]).await;
                let outcome = judge(reply.as_ref(), count_of);
                self.note(stream, call, What::Delete { ids: vec![id], outcome });
            }
            1 if let Some(before) = some(known.len() / 4) => {
                let call = self.now();
                let reply =
                    self.ask(request!["XTRIM", key(stream), "MINID", text_of(before)]).await;
                let outcome = judge(reply.as_ref(), count_of);
                self.note(stream, call, What::Trim { before, outcome });
            }
            2..=4 => self.read(stream).await,
            _ => self.append(stream).await,
        }
    }

    async fn consume(&mut self, stream: Stream) {
        match self.entropy.below(10) {
            0..=3 => self.append(stream).await,
            4 | 5 => drop(self.deliver(stream, true).await),
            6 => drop(self.deliver(stream, false).await),
            7 => self.claim(stream).await,
            8 => self.acknowledge(stream).await,
            _ => self.describe(stream).await,
        }
    }

    /// How many entries it was given; none where nobody answers.
    async fn deliver(&mut self, stream: Stream, new: bool) -> Option<usize> {
        let from = if new { ">" } else { "0" };
        let consumer = self.index.to_string();
        let request = request![
            "XREADGROUP",
            "GROUP",
            GROUP,
            consumer,
            "COUNT",
            "3",
            "STREAMS",
            key(stream),
            from
        ];
        let call = self.now();
        let reply = self.ask(request).await;
        let entries = reply.as_ref().filter(|it| it.as_error().is_none()).and_then(first_of)?;
        let count = entries.len();
        if new && entries.is_empty() {
            return Some(count);
        }
        let ids: Vec<(Stream, Id)> = entries.iter().map(|(id, _)| (stream, *id)).collect();
        lock(&self.shared.delivered).extend(&ids);
        self.own.extend(ids);
        self.note(stream, call, What::Deliver { consumer: self.index, new, entries });
        Some(count)
    }

    /// Takes what nobody was given yet, when all is well.
    pub(crate) async fn drain(mut self) -> Vec<Op> {
        for stream in (0..self.shared.streams).filter(|stream| Use::of(*stream) == Use::Grouped) {
            while self.deliver(stream, true).await.expect("a group is answered at rest") > 0 {}
        }
        self.ops
    }

    /// Takes over one entry, or whatever is pending from one on.
    async fn claim(&mut self, stream: Stream) {
        let delivered: Vec<Id> = {
            let delivered = lock(&self.shared.delivered);
            delivered.iter().filter(|(of, _)| *of == stream).map(|(_, id)| *id).collect()
        };
        let at = self.entropy.below(delivered.len() as u64) as usize;
        let Some(id) = delivered.get(at).copied() else { return };
        let (consumer, of) = (self.index.to_string(), key(stream));
        let many = self.entropy.below(3) == 0;
        let request = match many {
            true => request!["XAUTOCLAIM", of, GROUP, consumer, "0", text_of(id), "COUNT", "4"],
            false => request!["XCLAIM", of, GROUP, consumer, "0", text_of(id)],
        };
        let call = self.now();
        let reply = self.ask(request).await;
        let claimed = |reply: &Value| {
            let entries = if many { reply.as_items()?.get(1)? } else { reply };
            Some(entries_of(entries)?.into_iter().map(|(id, _)| id).collect::<Vec<Id>>())
        };
        let (ids, outcome) = match judge(reply.as_ref(), claimed) {
            Outcome::Ok(ids) => (ids, Outcome::Ok(())),
            Outcome::Fail => (vec![id], Outcome::Fail),
            // It may have any that is pending when it happens.
            Outcome::Unknown if many => (Vec::new(), Outcome::Unknown),
            Outcome::Unknown => (vec![id], Outcome::Unknown),
        };
        self.own.extend(ids.iter().map(|id| (stream, *id)));
        self.note(stream, call, What::Claim { consumer: self.index, ids, outcome });
    }

    async fn acknowledge(&mut self, stream: Stream) {
        let mut ids: Vec<Id> =
            self.own.iter().filter(|(of, _)| *of == stream).map(|(_, id)| *id).collect();
        self.own.retain(|(of, _)| *of != stream);
        if ids.is_empty() {
            return;
        }
        ids.sort_unstable();
        ids.dedup();
        let mut request = request!["XACK", key(stream), GROUP];
        request.extend(ids.iter().copied().map(text_of));
        let call = self.now();
        let outcome = judge(self.ask(request).await.as_ref(), count_of);
        self.note(stream, call, What::Ack { consumer: self.index, ids, outcome });
    }

    async fn describe(&mut self, stream: Stream) {
        let call = self.now();
        let reply = self.ask(request!["XINFO", "GROUPS", key(stream)]).await;
        if let Some((last_delivered, entries_read)) = reply.as_ref().and_then(group_of) {
            self.note(stream, call, What::Group { last_delivered, entries_read });
        }
    }

    /// Waits for the entries of a stream, one after the other, until nobody is to read any more.
    pub(crate) async fn follow(mut self, stream: Stream) -> Vec<Op> {
        let mut after = (0, 0);
        loop {
            let last_round = !self.shared.reading.load(Ordering::SeqCst);
            sleep(Duration::from_millis(1 + self.entropy.below(20))).await;
            if !self.reach() {
                continue;
            }
            let request =
                request!["XREAD", "BLOCK", BLOCK_MS, "STREAMS", key(stream), text_of(after)];
            let call = self.now();
            let reply = self.ask(request).await;
            let reply = reply.as_ref().filter(|it| it.as_error().is_none());
            let Some(entries) = reply.and_then(first_of) else { continue };
            if let Some((last, _)) = entries.last().copied() {
                self.note(stream, call, What::Follow { after, entries });
                after = last;
            } else if last_round {
                return self.ops;
            }
        }
    }

    /// One append when all is well; whether it was answered.
    pub(crate) async fn append_once(mut self, stream: Stream) -> (bool, Vec<Op>) {
        let (value, call) = (self.value(), self.now());
        let request = self.add(stream, value, None);
        let outcome = judge(self.ask(request).await.as_ref(), id_of);
        self.note(stream, call, What::Add { value, once: None, outcome });
        (outcome.is_done(), self.ops)
    }

    /// Makes the groups that the others read by.
    pub(crate) async fn make_groups(mut self) {
        for stream in (0..self.shared.streams).filter(|stream| Use::of(*stream) == Use::Grouped) {
            let request = request!["XGROUP", "CREATE", key(stream), GROUP, "0", "MKSTREAM"];
            let reply = self.ask(request).await;
            assert!(reply.as_ref().is_some_and(|it| it.as_error().is_none()), "{reply:?}");
        }
    }

    /// Every stream as this client's node answers it, and what is pending in each.
    pub(crate) async fn read_all(mut self) -> (Vec<Vec<Seen>>, Vec<Option<Vec<Id>>>) {
        let (mut all, mut pending) = (Vec::new(), Vec::new());
        for stream in 0..self.shared.streams {
            let reply = self.ask(request!["XRANGE", key(stream), "-", "+"]).await;
            let entries = reply.as_ref().and_then(entries_of);
            all.push(entries.unwrap_or_else(|| panic!("a range at rest is answered {reply:?}")));
            pending.push(match Use::of(stream) {
                Use::Grouped => Some(self.pending(stream).await),
                _ => None,
            });
        }
        (all, pending)
    }

    async fn pending(&mut self, stream: Stream) -> Vec<Id> {
        let request = request!["XPENDING", key(stream), GROUP, "-", "+", "1000000"];
        let reply = self.ask(request).await;
        reply.as_ref().and_then(pending_of).expect("answered at rest")
    }
}

/// A call, in a line of the trace.
struct Called<'a> {
    client: usize,
    stream: Stream,
    what: &'a What,
}

impl std::fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { client, stream, what } = self;
        write!(f, "client {client} stream {stream}: ")?;
        match what {
            What::Range { entries, .. } => {
                write!(f, "range: {} entries to {:?}", entries.len(), entries.last())
            }
            what => write!(f, "{what:?}"),
        }
    }
}
