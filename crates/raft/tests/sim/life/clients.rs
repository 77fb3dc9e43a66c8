//! Clients of a life. Each stream is used in its own way: two are appended to and read, one by
//! producers that ask again, one loses entries on purpose, one has a group, one is waited for.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use checker::history::{Id, Outcome, Stream, What};
use streams::command::{
    Claim, GroupStart, Keep, Most, Producer, ReadFrom, ReadGroup, References, Trim,
};
use streams::query::After;
use streams::reply::Entry;

use super::*;

const PRODUCED: Stream = 2;
const THINNED: Stream = 3;
pub(super) const GROUPED: Stream = 4;
const FOLLOWED: Stream = 5;

const GROUP: Bytes = Bytes::from_static(b"g");

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a producer asks again.
const RETRIES: usize = 4;

/// What the clients of a life have in common.
pub(super) struct Shared {
    nodes: Mutex<Vec<Arc<Node>>>,
    began: Instant,
    values: AtomicU64,
    writing: AtomicBool,
    reading: AtomicBool,
    /// Entries of the group that somebody was given.
    delivered: Mutex<Vec<EntryId>>,
    /// What was appended in the phase of rest.
    at_rest: Mutex<Vec<Op>>,
}

impl Shared {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            nodes: Mutex::default(),
            began: Instant::now(),
            values: AtomicU64::new(seed << 32),
            writing: AtomicBool::new(true),
            reading: AtomicBool::new(true),
            delivered: Mutex::default(),
            at_rest: Mutex::default(),
        })
    }

    /// Which nodes can be asked.
    pub(super) fn publish(&self, sim: &Sim) {
        *self.nodes.lock().unwrap() = sim.nodes().cloned().collect();
    }

    pub(super) fn stop_writing(&self) {
        self.writing.store(false, Ordering::SeqCst);
    }

    pub(super) fn stop_reading(&self) {
        self.reading.store(false, Ordering::SeqCst);
    }

    fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::SeqCst)
    }
}

fn name(stream: Stream) -> Bytes {
    Bytes::from(format!("life-{stream}"))
}

fn plain(id: EntryId) -> Id {
    (id.ms, id.seq)
}

fn seen(entries: &[Entry]) -> Vec<Seen> {
    let value = |entry: &Entry| {
        let fields = entry.fields.as_ref().expect("an entry that is there");
        std::str::from_utf8(&fields[1]).unwrap().parse().unwrap()
    };
    entries.iter().map(|entry| (plain(entry.id), value(entry))).collect()
}

fn add(stream: Stream, value: u64, once: Option<(u64, u64)>) -> Command {
    let producer = |(name, id): (u64, u64)| Producer {
        name: Bytes::from(name.to_string()),
        id: Bytes::from(id.to_string()),
    };
    Command::Add(Add {
        key: name(stream),
        id: AddId::Auto,
        fields: vec![
            Bytes::from_static(b"value"),
            Bytes::from(value.to_string()),
            PADDING_NAME,
            Bytes::from(vec![b'x'; 200]),
        ],
        must_exist: false,
        trim: None,
        once: once.map(producer),
    })
}

/// What a change came to, as far as its client can tell.
async fn change(node: &Node, stream: Stream, command: Command) -> Outcome<Box<Reply<Entry>>> {
    let answer = timeout(PATIENCE, node.write(node.shard_of(&name(stream)), command)).await;
    match answer {
        Ok(Ok(Reply::Refused(refusal))) => panic!("refused: {refusal:?}"),
        Ok(Ok(reply)) => Outcome::Ok(Box::new(reply)),
        Ok(Err(ProposeError::Unknown | ProposeError::Stopped)) | Err(_) => Outcome::Unknown,
        Ok(Err(_)) => Outcome::Fail,
    }
}

async fn ask(node: &Node, stream: Stream, query: Query) -> Option<Reply<Entry>> {
    let answer = timeout(PATIENCE, node.read(node.shard_of(&name(stream)), query)).await;
    answer.ok()?.ok()
}

pub(super) async fn read_whole(node: &Node, stream: Stream) -> Option<Vec<Seen>> {
    let (start, end) = (EntryId::MIN, EntryId::MAX);
    let range = Query::Range { key: name(stream), start, end, count: None, reverse: false };
    match ask(node, stream, range).await? {
        Reply::Entries(entries) => Some(seen(&entries)),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn make_group(node: &Node) {
    let create = Command::GroupCreate {
        key: name(GROUPED),
        group: GROUP,
        start: GroupStart::After(EntryId::MIN),
        make_stream: true,
        entries_read: None,
    };
    assert!(matches!(change(node, GROUPED, create).await, Outcome::Ok(_)));
}

pub(super) async fn pending(node: &Node) -> Vec<Id> {
    let range = Query::PendingRange {
        key: name(GROUPED),
        group: GROUP,
        min_idle_ms: 0,
        start: EntryId::MIN,
        end: EntryId::MAX,
        count: u64::MAX,
        consumer: None,
    };
    match ask(node, GROUPED, range).await {
        Some(Reply::Pending(lines)) => lines.iter().map(|line| plain(line.id)).collect(),
        other => panic!("{other:?}"),
    }
}

/// One append when all is well; whether it was answered.
pub(super) async fn add_plainly(node: &Node, stream: Stream, shared: &Shared) -> bool {
    let (value, call) = (shared.value(), shared.began.elapsed());
    let outcome = added(change(node, stream, add(stream, value, None)).await);
    let what = What::Add { value, once: None, outcome };
    let ret = shared.began.elapsed();
    shared.at_rest.lock().unwrap().push(Op { client: usize::MAX, stream, call, ret, what });
    outcome.is_done()
}

fn added(outcome: Outcome<Box<Reply<Entry>>>) -> Outcome<Id> {
    match outcome {
        Outcome::Ok(reply) => match *reply {
            Reply::Added(id) => Outcome::Ok(plain(id)),
            other => panic!("{other:?}"),
        },
        Outcome::Fail => Outcome::Fail,
        Outcome::Unknown => Outcome::Unknown,
    }
}

fn counted(outcome: Outcome<Box<Reply<Entry>>>) -> Outcome<u64> {
    match outcome {
        Outcome::Ok(reply) => match *reply {
            Reply::Count(count) => Outcome::Ok(count),
            other => panic!("{other:?}"),
        },
        Outcome::Fail => Outcome::Fail,
        Outcome::Unknown => Outcome::Unknown,
    }
}

/// One client: it asks one thing after the other, each of any node.
pub(super) struct Client {
    index: usize,
    entropy: SeededEntropy,
    shared: Arc<Shared>,
    ops: Vec<Op>,
    produced: u64,
    /// Of the stream that loses entries.
    known: Vec<Id>,
    /// Of the group: given, and not acknowledged.
    own: Vec<EntryId>,
}

impl Client {
    pub(super) fn new(index: usize, seed: u64, shared: Arc<Shared>) -> Self {
        let entropy = SeededEntropy::new(seed);
        let (ops, known, own) = (Vec::new(), Vec::new(), Vec::new());
        Self { index, entropy, shared, ops, produced: 0, known, own }
    }

    /// Everything but waiting, until nobody is to write any more.
    pub(super) async fn work(mut self) -> Vec<Op> {
        while self.shared.writing.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(10 + self.entropy.below(80))).await;
            let Some(node) = self.node() else { continue };
            match self.entropy.below(STREAMS as u64) as Stream {
                PRODUCED => self.produce().await,
                THINNED => self.thin(&node).await,
                GROUPED => self.consume(&node).await,
                stream => self.append_and_read(&node, stream).await,
            }
        }
        self.ops
    }

    fn node(&self) -> Option<Arc<Node>> {
        let nodes = self.shared.nodes.lock().unwrap();
        nodes.get(self.entropy.below(nodes.len().max(1) as u64) as usize).cloned()
    }

    fn note(&mut self, stream: Stream, call: Duration, what: What) {
        let ret = self.shared.began.elapsed();
        self.ops.push(Op { client: self.index, stream, call, ret, what });
    }

    fn now(&self) -> Duration {
        self.shared.began.elapsed()
    }

    async fn append(&mut self, node: &Node, stream: Stream) {
        let (value, call) = (self.shared.value(), self.now());
        let outcome = added(change(node, stream, add(stream, value, None)).await);
        self.note(stream, call, What::Add { value, once: None, outcome });
    }

    async fn read(&mut self, node: &Node, stream: Stream) {
        let call = self.now();
        if let Some(entries) = read_whole(node, stream).await {
            if stream == THINNED {
                self.known = entries.iter().map(|(id, _)| *id).collect();
            }
            self.note(stream, call, What::Range { start: (0, 0), entries, whole: true });
        }
    }

    async fn append_and_read(&mut self, node: &Node, stream: Stream) {
        match self.entropy.below(10) {
            0 | 1 => self.read(node, stream).await,
            2 => {
                let call = self.now();
                let length = Query::Length { key: name(stream) };
                if let Some(Reply::Count(count)) = ask(node, stream, length).await {
                    self.note(stream, call, What::Length { count });
                }
            }
            _ => self.append(node, stream).await,
        }
    }

    /// Appends under an id of its own, and asks again wherever nobody answers.
    async fn produce(&mut self) {
        self.produced += 1;
        let once = (self.index as u64, self.produced);
        let value = self.shared.value();
        for _ in 0..RETRIES {
            let Some(node) = self.node() else { return };
            let call = self.now();
            let outcome = added(change(&node, PRODUCED, add(PRODUCED, value, Some(once))).await);
            self.note(PRODUCED, call, What::Add { value, once: Some(once), outcome });
            // Now and then although it was answered.
            if outcome.is_done() && self.entropy.below(4) > 0 {
                return;
            }
        }
    }

    async fn thin(&mut self, node: &Node) {
        let known = self.known.len() as u64;
        match self.entropy.below(12) {
            0 if known > 0 => {
                let id = self.known[self.entropy.below(known) as usize];
                let ids = vec![EntryId::new(id.0, id.1)];
                let (call, command) = (self.now(), Command::Delete { key: name(THINNED), ids });
                let outcome = counted(change(node, THINNED, command).await);
                self.note(THINNED, call, What::Delete { ids: vec![id], outcome });
            }
            1 if known > 0 => {
                let before = self.known[self.entropy.below(known) as usize / 4];
                let keep = Keep::From(EntryId::new(before.0, before.1));
                let references = References::Keep;
                let trim = Trim { keep, approximate: false, limit: None, references };
                let (call, command) = (self.now(), Command::Trim { key: name(THINNED), trim });
                let outcome = counted(change(node, THINNED, command).await);
                self.note(THINNED, call, What::Trim { before, outcome });
            }
            2..=4 => self.read(node, THINNED).await,
            _ => self.append(node, THINNED).await,
        }
    }

    async fn consume(&mut self, node: &Node) {
        match self.entropy.below(10) {
            0..=3 => self.append(node, GROUPED).await,
            4 | 5 => self.deliver(node, true).await,
            6 => self.deliver(node, false).await,
            7 => self.claim(node).await,
            8 => self.acknowledge(node).await,
            _ => self.describe(node).await,
        }
    }

    fn consumer(&self) -> Bytes {
        Bytes::from(self.index.to_string())
    }

    async fn deliver(&mut self, node: &Node, new: bool) {
        let from = if new { ReadFrom::New } else { ReadFrom::History(EntryId::MIN) };
        let read = ReadGroup {
            group: GROUP,
            consumer: self.consumer(),
            count: 3,
            streams: vec![(name(GROUPED), from)],
            ..ReadGroup::default()
        };
        let call = self.now();
        let outcome = change(node, GROUPED, Command::ReadGroup(read)).await;
        let Outcome::Ok(reply) = outcome else { return };
        let entries = match *reply {
            Reply::Nil => return,
            Reply::Streams(mut streams) => streams.pop().map_or_else(Vec::new, |(_, all)| all),
            other => panic!("{other:?}"),
        };
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.id).collect();
        self.shared.delivered.lock().unwrap().extend(&ids);
        self.own.extend(ids);
        let (consumer, entries) = (self.index, seen(&entries));
        self.note(GROUPED, call, What::Deliver { consumer, new, entries });
    }

    /// Takes what nobody was given yet, when all is well.
    pub(super) async fn drain(mut self, node: &Node) -> Vec<Op> {
        loop {
            let before = self.ops.len();
            self.deliver(node, true).await;
            if self.ops.len() == before {
                return self.ops;
            }
        }
    }

    async fn claim(&mut self, node: &Node) {
        let some = {
            let delivered = self.shared.delivered.lock().unwrap();
            let at = self.entropy.below(delivered.len().max(1) as u64) as usize;
            delivered.get(at).copied()
        };
        let Some(id) = some else { return };
        let claim = Claim {
            key: name(GROUPED),
            group: GROUP,
            consumer: self.consumer(),
            min_idle_ms: 0,
            ids: vec![id],
            delivered: None,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: None,
        };
        let call = self.now();
        let (ids, outcome) = match change(node, GROUPED, Command::Claim(claim)).await {
            Outcome::Ok(reply) => match *reply {
                Reply::Entries(entries) => {
                    (entries.iter().map(|entry| entry.id).collect(), Outcome::Ok(()))
                }
                other => panic!("{other:?}"),
            },
            Outcome::Fail => (vec![id], Outcome::Fail),
            Outcome::Unknown => (vec![id], Outcome::Unknown),
        };
        self.own.extend(&ids);
        let (consumer, ids) = (self.index, ids.into_iter().map(plain).collect());
        self.note(GROUPED, call, What::Claim { consumer, ids, outcome });
    }

    async fn acknowledge(&mut self, node: &Node) {
        let ids = std::mem::take(&mut self.own);
        if ids.is_empty() {
            return;
        }
        let call = self.now();
        let ack = Command::Ack { key: name(GROUPED), group: GROUP, ids: ids.clone() };
        let outcome = counted(change(node, GROUPED, ack).await);
        let mut ids: Vec<Id> = ids.into_iter().map(plain).collect();
        ids.sort_unstable();
        ids.dedup();
        self.note(GROUPED, call, What::Ack { consumer: self.index, ids, outcome });
    }

    async fn describe(&mut self, node: &Node) {
        let call = self.now();
        let groups = Query::Groups { key: name(GROUPED) };
        if let Some(Reply::Groups(groups)) = ask(node, GROUPED, groups).await
            && let [group] = &groups[..]
            && let Some(entries_read) = group.entries_read
        {
            let last_delivered = plain(group.last_delivered_id);
            self.note(GROUPED, call, What::Group { last_delivered, entries_read });
        }
    }

    /// Waits for entries of one stream, until all were read.
    pub(super) async fn follow(mut self) -> Vec<Op> {
        let mut place = EntryId::MIN;
        loop {
            let last = !self.shared.reading.load(Ordering::SeqCst);
            let Some(node) = self.node() else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let streams = vec![(name(FOLLOWED), After::Id(place))];
            let query = Query::Read { count: 10, most: Most::default(), streams };
            let call = self.now();
            match ask(&node, FOLLOWED, query.clone()).await {
                Some(Reply::Streams(mut streams)) => {
                    let (_, entries) = streams.pop().unwrap();
                    let after = plain(place);
                    place = entries.last().unwrap().id;
                    self.note(FOLLOWED, call, What::Follow { after, entries: seen(&entries) });
                }
                Some(Reply::Nil) if last => break,
                Some(Reply::Nil) => {
                    let mut watch = node.watch(node.shard_of(&name(FOLLOWED)), query);
                    let woken = poll_fn(|context| watch.poll_woken(context));
                    drop(timeout(Duration::from_secs(2), woken).await);
                }
                Some(other) => panic!("{other:?}"),
                None => sleep(Duration::from_millis(50)).await,
            }
        }
        if self.index == 3 * CLIENTS {
            self.ops.append(&mut self.shared.at_rest.lock().unwrap());
        }
        self.ops
    }
}
