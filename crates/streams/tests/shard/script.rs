//! The words of a script line as a command or query, and a reply as a line. Lenient where a door
//! would be strict: scripts test the state machine, not syntax.

use std::collections::VecDeque;

use bytes::Bytes;
use streams::Settings;
use streams::command::{
    Add, AddId, AutoClaim, Claim, Command, Delivered, ExpireOnly, GroupStart, Keep, Most, Nack,
    NackMode, Producer, ReadFrom, ReadGroup, References, Step, Transaction, Trim, When,
};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::query::{About, After, Query};
use streams::reply::{
    Claimed, Delivery, Earlier, Entry, GroupInfo, IdempotenceInfo, PendingDetail, Reply,
    StreamFullInfo, StreamSummary,
};

pub(crate) enum Asked {
    Command(Command),
    Query(Query),
}

pub(crate) struct Words(VecDeque<String>);

impl Words {
    pub(crate) fn new(line: &str) -> Self {
        Self(line.split_whitespace().map(|word| word.replace("\"\"", "")).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, word: &str) -> bool {
        let found = self.0.front().is_some_and(|front| front == word);
        if found {
            self.0.pop_front();
        }
        found
    }

    fn word(&mut self) -> String {
        self.0.pop_front().expect("another word")
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.word().parse().expect("a number")
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        Bytes::from(self.word())
    }

    fn after<T>(&mut self, word: &str, read: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.take(word).then(|| read(self))
    }

    fn id(&mut self) -> EntryId {
        id_of(&self.word(), 0)
    }

    fn end_id(&mut self) -> EntryId {
        id_of(&self.word(), u64::MAX)
    }

    fn ids(&mut self) -> Vec<EntryId> {
        let mut ids = Vec::new();
        while self.0.front().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
            ids.push(self.id());
        }
        ids
    }

    fn trim(&mut self) -> Option<Trim> {
        let newest = match self.0.front()?.as_str() {
            "maxlen" => true,
            "minid" => false,
            _ => return None,
        };
        self.word();
        let approximate = self.take("~");
        let keep = if newest { Keep::Newest(self.number()) } else { Keep::From(self.id()) };
        let limit = self.after("limit", Self::number);
        Some(Trim { keep, approximate, limit, references: self.references() })
    }

    fn references(&mut self) -> References {
        if self.take("delref") {
            References::Delete
        } else if self.take("acked") {
            References::Acked
        } else {
            self.take("keepref");
            References::Keep
        }
    }

    fn start(&mut self) -> GroupStart {
        if self.take("$") { GroupStart::Last } else { GroupStart::After(self.id()) }
    }

    /// `streams key key place place`.
    fn streams<T>(&mut self, mut place: impl FnMut(&str) -> T) -> Vec<(Bytes, T)> {
        assert!(self.take("streams"));
        let half = self.0.len() / 2;
        let keys: Vec<Bytes> = (0..half).map(|_| self.bytes()).collect();
        keys.into_iter().map(|key| (key, place(&self.word()))).collect()
    }

    pub(crate) fn asked(&mut self) -> Asked {
        let name = self.word();
        match name.as_str() {
            "xlen" | "xrange" | "xrevrange" | "xread" | "xpending" | "xinfo" | "exists"
            | "type" | "dbsize" | "would" | "scan" | "keys" | "keyat" | "object" | "pttl"
            | "ttl" | "pexpiretime" | "expiretime" => Asked::Query(self.query(&name)),
            _ => Asked::Command(self.command(&name)),
        }
    }

    fn command(&mut self, name: &str) -> Command {
        match name {
            "xgroup" => return self.xgroup(),
            "xreadgroup" => return Command::ReadGroup(self.read_group()),
            "flush" => return Command::Flush,
            "watch" => return Command::Watch { keys: self.0.drain(..).map(Bytes::from).collect() },
            "multi" => return Command::Transaction(self.transaction()),
            "tick" => return Command::ExpireDue,
            "set" => return Command::Set(self.settings()),
            "del" => {
                return Command::Remove { keys: self.0.drain(..).map(Bytes::from).collect() };
            }
            _ => {}
        }
        let key = self.bytes();
        match name {
            "xadd" => Command::Add(self.add(key)),
            "xtrim" => Command::Trim { key, trim: self.trim().expect("maxlen or minid") },
            "xdel" => Command::Delete { key, ids: self.ids() },
            "xcfgset" => Command::Configure {
                key,
                duration_ms: self.after("duration", Self::number),
                ids_max: self.after("maxsize", Self::number),
            },
            "xdelex" => {
                let references = self.references();
                Command::DeleteWith { key, ids: self.ids(), references }
            }
            "xackdel" => {
                let (group, references) = (self.bytes(), self.references());
                Command::AckDelete { key, group, ids: self.ids(), references }
            }
            "xsetid" => Command::SetId {
                key,
                last_id: self.id(),
                entries_added: self.after("entriesadded", Self::number),
                max_deleted_id: self.after("maxdeletedid", Self::id),
            },
            "xack" => Command::Ack { key, group: self.bytes(), ids: self.ids() },
            "xnack" => Command::Nack(Nack {
                key,
                group: self.bytes(),
                mode: match self.word().as_str() {
                    "silent" => NackMode::Silent,
                    "fail" => NackMode::Fail,
                    mode => {
                        assert_eq!(mode, "fatal");
                        NackMode::Fatal
                    }
                },
                ids: self.ids(),
                deliveries: self.after("retrycount", Self::number),
                force: self.take("force"),
            }),
            "xclaim" => Command::Claim(self.claim(key)),
            "xautoclaim" => Command::AutoClaim(AutoClaim {
                key,
                group: self.bytes(),
                consumer: self.bytes(),
                min_idle_ms: self.number(),
                start: self.id(),
                count: self.after("count", Self::number).unwrap_or(100),
                just_id: self.take("justid"),
            }),
            _ => self.key_command(name, key),
        }
    }

    fn settings(&mut self) -> Settings {
        let default = Settings::default();
        Settings {
            revision: self.number(),
            block_entries_max: self
                .after("entries", Self::number)
                .unwrap_or(default.block_entries_max),
            block_bytes_max: self.after("bytes", Self::number).unwrap_or(default.block_bytes_max),
            idempotence_ms: self.after("duration", Self::number).unwrap_or(default.idempotence_ms),
            idempotence_ids_max: self
                .after("ids", Self::number)
                .unwrap_or(default.idempotence_ids_max),
        }
    }

    fn add(&mut self, key: Bytes) -> Add {
        let must_exist = self.take("nomkstream");
        let once = self.after("idmp", |words| Producer { name: words.bytes(), id: words.bytes() });
        let trim = self.trim();
        let id = match self.word().as_str() {
            "*" => AddId::Auto,
            word => match word.strip_suffix("-*") {
                Some(ms) => AddId::Ms(ms.parse().expect("milliseconds")),
                None => AddId::Exact(id_of(word, 0)),
            },
        };
        Add { key, id, fields: self.0.drain(..).map(Bytes::from).collect(), must_exist, trim, once }
    }

    fn claim(&mut self, key: Bytes) -> Claim {
        let (group, consumer, min_idle_ms) = (self.bytes(), self.bytes(), self.number());
        let ids = self.ids();
        let idle = self.after("idle", |words| Delivered::IdleMs(words.number()));
        Claim {
            key,
            group,
            consumer,
            min_idle_ms,
            ids,
            delivered: idle.or(self.after("time", |words| Delivered::AtMs(words.number()))),
            deliveries: self.after("retrycount", Self::number),
            force: self.take("force"),
            just_id: self.take("justid"),
            last_id: self.after("lastid", Self::id),
        }
    }

    fn xgroup(&mut self) -> Command {
        let (what, key, group) = (self.word(), self.bytes(), self.bytes());
        match what.as_str() {
            "create" => Command::GroupCreate {
                key,
                group,
                start: self.start(),
                make_stream: self.take("mkstream"),
                entries_read: self.after("entriesread", Self::number),
            },
            "setid" => Command::GroupSetId {
                key,
                group,
                start: self.start(),
                entries_read: self.after("entriesread", Self::number),
            },
            "destroy" => Command::GroupDestroy { key, group },
            "createconsumer" => Command::ConsumerCreate { key, group, consumer: self.bytes() },
            "delconsumer" => Command::ConsumerDelete { key, group, consumer: self.bytes() },
            _ => panic!("no such subcommand: {what}"),
        }
    }

    fn read_group(&mut self) -> ReadGroup {
        assert!(self.take("group"));
        ReadGroup {
            group: self.bytes(),
            consumer: self.bytes(),
            count: self.after("count", Self::number).unwrap_or(0),
            most: self.most(),
            no_ack: self.take("noack"),
            claim_idle_ms: self.after("claim", Self::number),
            streams: self.streams(|place| match place {
                ">" => ReadFrom::New,
                id => ReadFrom::History(id_of(id, 0)),
            }),
        }
    }

    fn most(&mut self) -> Most {
        Most {
            entries: self.after("maxcount", Self::number),
            bytes: self.after("maxsize", Self::number),
        }
    }

    fn query(&mut self, name: &str) -> Query {
        match name {
            "xread" => {
                let count = self.after("count", Self::number).unwrap_or(0);
                let most = self.most();
                let streams = self.streams(|place| match place {
                    "$" => After::Last,
                    "+" => After::Newest,
                    id => After::Id(id_of(id, 0)),
                });
                return Query::Read { count, most, streams };
            }
            "exists" => {
                return Query::Exists { keys: self.0.drain(..).map(Bytes::from).collect() };
            }
            "dbsize" => return Query::KeysCount,
            "scan" => {
                let (place, count) = (self.number(), self.number());
                return Query::Scan { place, count, pattern: self.0.pop_front().map(Bytes::from) };
            }
            "keys" => return Query::Keys { pattern: self.bytes() },
            "keyat" => return Query::KeyAt { place: self.number() },
            "object" => return self.object(),
            "would" => return Query::WouldDeliver(self.read_group()),
            "xinfo" => {
                let (what, key) = (self.word(), self.bytes());
                return match what.as_str() {
                    "stream" => Query::Stream { key },
                    "full" => Query::StreamFull {
                        key,
                        count: self.after("count", Self::number).unwrap_or(10),
                    },
                    "groups" => Query::Groups { key },
                    "consumers" => Query::Consumers { key, group: self.bytes() },
                    _ => panic!("no such subcommand: {what}"),
                };
            }
            _ => {}
        }
        let key = self.bytes();
        match name {
            "xlen" => Query::Length { key },
            "pttl" | "ttl" | "pexpiretime" | "expiretime" => Query::Lifetime {
                key,
                absolute: name.contains("time"),
                in_ms: name.starts_with('p'),
            },
            "type" => Query::Type { key },
            "xpending" => self.pending(key),
            _ => {
                let reverse = name == "xrevrange";
                let (start, end) = if reverse {
                    let end = self.end_id();
                    (self.id(), end)
                } else {
                    (self.id(), self.end_id())
                };
                Query::Range { key, start, end, count: self.after("count", Self::number), reverse }
            }
        }
    }

    /// `multi watching key number key none ; step ; step`.
    fn transaction(&mut self) -> Transaction {
        let words: Vec<String> = self.0.drain(..).collect();
        let mut parts = words.split(|word| word == ";").map(|part| Words(part.to_vec().into()));
        let mut watching = parts.next().expect("what is watched");
        let mut watched = Vec::new();
        while !watching.is_empty() {
            watched.push((watching.bytes(), watching.word().parse().ok()));
        }
        let step = |mut part: Words| match part.asked() {
            Asked::Command(command) => Step::Command(command),
            Asked::Query(query) => Step::Query(query),
        };
        Transaction { watched, steps: parts.map(step).collect() }
    }

    fn key_command(&mut self, name: &str, key: Bytes) -> Command {
        match name {
            "pexpire" => {
                let when = When::InMs(self.signed());
                Command::Expire { key, when, only: self.only() }
            }
            "pexpireat" => {
                let when = When::AtMs(self.signed());
                Command::Expire { key, when, only: self.only() }
            }
            "persist" => Command::Persist { key },
            "rename" | "renamenx" => {
                Command::Rename { key, to: self.bytes(), only_new: name == "renamenx" }
            }
            "copy" => Command::Copy { key, to: self.bytes(), replace: self.take("replace") },
            _ => panic!("no such command: {name}"),
        }
    }

    fn signed(&mut self) -> i64 {
        self.word().parse().expect("a number")
    }

    fn only(&mut self) -> ExpireOnly {
        match self.0.drain(..).collect::<Vec<_>>().join(" ").as_str() {
            "" => ExpireOnly::Always,
            "nx" => ExpireOnly::WithoutTime,
            "xx" => ExpireOnly::WithTime,
            "gt" => ExpireOnly::Later,
            "lt" => ExpireOnly::Earlier,
            "xx lt" => ExpireOnly::WithTimeEarlier,
            other => panic!("no such condition: {other}"),
        }
    }

    fn object(&mut self) -> Query {
        let about = match self.word().as_str() {
            "encoding" => About::Encoding,
            "refcount" => About::References,
            "idletime" => About::IdleTime,
            "freq" => About::Frequency,
            "bytes" => About::Bytes,
            word => panic!("no such question: {word}"),
        };
        Query::Object { key: self.bytes(), about }
    }

    fn pending(&mut self, key: Bytes) -> Query {
        let group = self.bytes();
        if self.is_empty() {
            return Query::PendingSummary { key, group };
        }
        Query::PendingRange {
            key,
            group,
            min_idle_ms: self.after("idle", Self::number).unwrap_or(0),
            start: self.id(),
            end: self.end_id(),
            count: self.number(),
            consumer: self.0.pop_front().map(Bytes::from),
        }
    }
}

fn id_of(word: &str, seq_missing: u64) -> EntryId {
    match word {
        "-" => return EntryId::MIN,
        "+" => return EntryId::MAX,
        _ => {}
    }
    let (ms, seq) = match word.split_once('-') {
        Some((ms, seq)) => (ms, seq.parse().expect("a sequence")),
        None => (word, seq_missing),
    };
    EntryId::new(ms.parse().expect("milliseconds"), seq)
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn list<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let shown: Vec<String> = items.iter().map(show).collect();
    format!("[{}]", shown.join(", "))
}

fn or_nil<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "nil".to_owned(), |value| value.to_string())
}

fn entry(entry: &Entry) -> String {
    match &entry.fields {
        None => format!("{} gone", entry.id),
        Some(fields) => {
            let pairs =
                fields.chunks(2).map(|pair| format!("{}={}", text(&pair[0]), text(&pair[1])));
            format!("{} {}", entry.id, pairs.collect::<Vec<_>>().join(" "))
        }
    }
}

fn delivery(delivery: &Delivery<Entry>) -> String {
    let shown = entry(&delivery.entry);
    match delivery.earlier {
        Some(Earlier { idle_ms, deliveries }) => format!("{shown} idle {idle_ms} of {deliveries}"),
        None => shown,
    }
}

pub(crate) fn shown(reply: &Reply<Entry>) -> String {
    match reply {
        Reply::Ok => "ok".to_owned(),
        Reply::Nil => "nil".to_owned(),
        Reply::Count(count) => count.to_string(),
        Reply::Added(id) => id.to_string(),
        Reply::Entries(entries) => list(entries, entry),
        Reply::Ids(ids) => list(ids, EntryId::to_string),
        Reply::Deleted(done) => list(done, |done| format!("{done:?}").to_lowercase()),
        Reply::Streams(streams) => {
            let one = |(key, entries): &(Bytes, Vec<Entry>)| {
                format!("{} {}", text(key), list(entries, entry))
            };
            streams.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Reply::Deliveries(streams) => {
            let one = |(key, deliveries): &(Bytes, Vec<Delivery<Entry>>)| {
                format!("{} {}", text(key), list(deliveries, delivery))
            };
            streams.iter().map(one).collect::<Vec<_>>().join("; ")
        }
        Reply::AutoClaimed { next, claimed, deleted } => {
            let claimed = match claimed {
                Claimed::Entries(entries) => list(entries, entry),
                Claimed::Ids(ids) => list(ids, EntryId::to_string),
            };
            format!("next {next} claimed {claimed} deleted {}", list(deleted, EntryId::to_string))
        }
        Reply::PendingSummary(summary) => {
            let range = summary.range.map(|(first, last)| format!("{first} to {last}"));
            let consumers =
                list(&summary.consumers, |(name, count)| format!("{} {count}", text(name)));
            format!("{} pending, {}, {consumers}", summary.total, or_nil(range))
        }
        Reply::Pending(pending) => list(pending, |one| {
            let consumer = text(&one.consumer);
            let idle = or_nil(one.idle_ms);
            format!("{} {consumer} idle {idle} deliveries {}", one.id, one.deliveries)
        }),
        Reply::Stream(info) => {
            let (first, last) = (info.first.as_ref().map(entry), info.last.as_ref().map(entry));
            let groups = info.groups_count;
            let edges = format!("first ({}) last ({})", or_nil(first), or_nil(last));
            format!("{} groups {groups} {edges}", summary(&info.summary))
        }
        Reply::StreamFull(info) => full(info),
        Reply::Groups(groups) => list(groups, group),
        Reply::Consumers(consumers) => list(consumers, |one| {
            let (name, pending, idle) = (text(&one.name), one.pending_count, one.idle_ms);
            format!("{name} pending {pending} idle {idle} inactive {}", or_nil(one.inactive_ms))
        }),
        Reply::Type { exists } => if *exists { "stream" } else { "none" }.to_owned(),
        Reply::Watched(numbers) => list(numbers, |number| or_nil(*number)),
        Reply::Transaction(replies) => {
            let all: Vec<String> = replies.iter().map(shown).collect();
            format!("({})", all.join(" | "))
        }
        Reply::Held(reply) => format!("held {}", shown(reply)),
        Reply::NoKey => "no key".to_owned(),
        Reply::Signed(number) => number.to_string(),
        Reply::Text(found) => text(found),
        Reply::Keys(keys) => list(keys, text),
        Reply::Scanned { next, keys } => format!("next {next} {}", list(keys, text)),
        Reply::Refused(refusal) => format!("refused: {}", refused(refusal)),
    }
}

fn refused(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoGroupForRead { key, group } => {
            format!("NoGroupForRead {} {}", text(key), text(group))
        }
        Refusal::NoGroup { key, group } => format!("NoGroup {} {}", text(key), text(group)),
        Refusal::NoGroupForKey { key, group } => {
            format!("NoGroupForKey {} {}", text(key), text(group))
        }
        other => format!("{other:?}"),
    }
}

/// Nothing of a stream that never knew any.
fn producers(info: IdempotenceInfo) -> String {
    let IdempotenceInfo { duration_ms, ids_max, producers_count, ids_count, .. } = info;
    let IdempotenceInfo { added, duplicates, dropped, .. } = info;
    if added == 0 {
        return String::new();
    }
    format!(
        " producers {producers_count} ids {ids_count} added {added} duplicates {duplicates} \
         dropped {dropped} within {duration_ms} ms and {ids_max}"
    )
}

fn summary(summary: &StreamSummary) -> String {
    let StreamSummary { length, blocks_count, tree_nodes_count, entries_added, .. } = summary;
    let StreamSummary { last_id, max_deleted_id, first_id, .. } = summary;
    format!(
        "length {length} blocks {blocks_count} nodes {tree_nodes_count} last-id {last_id} \
         max-deleted {max_deleted_id} added {entries_added} first-id {first_id}{}",
        summary.idempotence.map_or_else(|| " unknown producers".to_owned(), producers)
    )
}

fn group(group: &GroupInfo) -> String {
    let GroupInfo { consumers_count, pending_count, last_delivered_id, .. } = group;
    let read = or_nil(group.entries_read);
    let lag = match (group.lag, group.unread) {
        (Some(lag), None) => lag.to_string(),
        (None, Some(unread)) => format!("nil counted {unread}"),
        both => format!("{both:?}"),
    };
    let nacked = match group.nacked_count {
        Some(0) => String::new(),
        nacked => format!(" nacked {}", or_nil(nacked)),
    };
    let name = text(&group.name);
    format!(
        "{name} consumers {consumers_count} pending {pending_count} last {last_delivered_id} \
         read {read} lag {lag}{nacked}"
    )
}

fn full(info: &StreamFullInfo<Entry>) -> String {
    let detail = |one: &PendingDetail| {
        let consumer = text(&one.consumer);
        format!("{} {consumer} at {} deliveries {}", one.id, one.delivered_ms, one.deliveries)
    };
    let groups = list(&info.groups, |one| {
        let consumers = list(&one.consumers, |consumer| {
            let (seen, active) = (consumer.seen_ms, or_nil(consumer.active_ms));
            let pending = list(&consumer.pending, detail);
            let name = text(&consumer.name);
            format!("{name} seen {seen} active {active} {} {pending}", consumer.pending_count)
        });
        format!("{} {} {consumers}", group(&one.info), list(&one.pending, detail))
    });
    format!("{} {} {groups}", summary(&info.summary), list(&info.entries, entry))
}
