//! Random commands over few keys, groups and ids, so that they meet. From one seed.

use base::{Entropy, SeededEntropy};
use bytes::Bytes;
use streams::Settings;
use streams::command::{
    Add, AddId, AutoClaim, Claim, Command, Delivered, ExpireOnly, GroupStart, Keep, Most, Nack,
    NackMode, Producer, ReadFrom, ReadGroup, References, Step as Taken, Transaction, Trim, When,
};
use streams::id::EntryId;
use streams::query::{About, After, Query};

use super::sequences::Step;

pub(crate) struct Script {
    random: SeededEntropy,
    now: u64,
    /// Big entries fill blocks by bytes, small ones by count.
    value_bytes: u64,
}

impl Script {
    pub(crate) fn new(seed: u64) -> Self {
        let random = SeededEntropy::new(seed);
        let value_bytes = [4, 40, 300, 1500, 4000][random.below(5) as usize];
        Self { random, now: 1, value_bytes }
    }

    pub(crate) fn steps(mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let count = 5 + self.below(50);
        for _ in 0..count {
            // Mostly forward, at times back: leaders differ.
            self.now = (self.now + self.below(12)).saturating_sub(self.below(4));
            match self.below(12) {
                0 => self.burst(&mut steps),
                1 | 2 => steps.push(Step::Query(self.now, self.query())),
                _ => {
                    steps.push(Step::Command(self.now, self.command()));
                    steps.push(Step::Query(self.now + self.below(3), self.query()));
                }
            }
        }
        steps
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn coin(&self) -> bool {
        self.below(2) == 0
    }

    fn maybe<T>(&self, one_in: u64, make: impl FnOnce() -> T) -> Option<T> {
        (self.below(one_in) == 0).then(make)
    }

    fn name(&self, of: &[&'static str]) -> Bytes {
        Bytes::from_static(of[self.below(of.len() as u64) as usize].as_bytes())
    }

    fn key(&self) -> Bytes {
        self.name(&["s", "s", "s", "s", "t", ""])
    }

    fn group(&self) -> Bytes {
        self.name(&["g", "g", "g", "h"])
    }

    fn consumer(&self) -> Bytes {
        self.name(&["alice", "alice", "bob", "eve"])
    }

    fn id(&self) -> EntryId {
        match self.below(30) {
            0 => EntryId::MIN,
            1 if self.below(10) == 0 => EntryId::new(u64::MAX, self.below(2).wrapping_sub(1)),
            2 => EntryId::new(self.now, u64::MAX),
            _ => EntryId::new(self.now.saturating_sub(self.below(100)), self.below(4)),
        }
    }

    fn ids(&self) -> Vec<EntryId> {
        (0..1 + self.below(6)).map(|_| self.id()).collect()
    }

    fn fields(&self) -> Vec<Bytes> {
        let mut fields = Vec::new();
        for _ in 0..1 + self.below(8) / 6 {
            fields.push(self.name(&["item", "item", "item", "item", "17", "x"]));
            let bytes = self.below(self.value_bytes);
            fields.push(match self.below(4) {
                0 => Bytes::from(self.random.next_u64().to_string()),
                1 => Bytes::from((self.below(600) as i64 - 300).to_string()),
                _ => Bytes::from(vec![b'v'; bytes as usize]),
            });
        }
        fields
    }

    fn trim(&self) -> Trim {
        let newest = self.coin();
        let keep = if newest { Keep::Newest(self.below(60)) } else { Keep::From(self.id()) };
        let approximate = self.coin();
        let limit = if approximate { self.maybe(3, || self.below(150)) } else { None };
        Trim { keep, approximate, limit, references: self.references() }
    }

    fn references(&self) -> References {
        [References::Keep, References::Delete, References::Acked][self.below(3) as usize]
    }

    fn add(&self) -> Add {
        let id = match self.below(20) {
            0..=13 => AddId::Auto,
            14 | 15 => AddId::Ms(self.now.saturating_sub(self.below(3))),
            _ => AddId::Exact(self.id()),
        };
        let producer = || {
            let (name, id) = (self.name(&["p", "q"]), self.name(&["1", "2", "3", "4", "5"]));
            Producer { name, id }
        };
        let once = if id == AddId::Auto { self.maybe(3, producer) } else { None };
        Add {
            once,
            key: self.key(),
            id,
            fields: self.fields(),
            must_exist: self.below(20) == 0,
            trim: self.maybe(8, || self.trim()),
        }
    }

    fn burst(&mut self, steps: &mut Vec<Step>) {
        let key = self.key();
        for _ in 0..self.below(if self.value_bytes < 100 { 130 } else { 20 }) {
            self.now += u64::from(self.below(3) == 0);
            let fields = self.fields();
            let add = Add {
                key: key.clone(),
                id: AddId::Auto,
                fields,
                must_exist: false,
                trim: None,
                once: None,
            };
            steps.push(Step::Command(self.now, Command::Add(add)));
        }
    }

    fn start(&self) -> GroupStart {
        match self.below(4) {
            0 => GroupStart::Last,
            1 => GroupStart::After(EntryId::MIN),
            _ => GroupStart::After(self.id()),
        }
    }

    fn count(&self) -> u64 {
        [0, 1, 2, 3, 10, 1000][self.below(6) as usize]
    }

    fn most(&self) -> Most {
        Most {
            entries: self.maybe(5, || 1 + self.below(8)),
            bytes: self.maybe(5, || 1 + self.below(40 * self.value_bytes)),
        }
    }

    fn read_group(&self) -> ReadGroup {
        let one = || {
            let from = match self.below(5) {
                0 => ReadFrom::History(EntryId::MIN),
                1 => ReadFrom::History(self.id()),
                _ => ReadFrom::New,
            };
            (self.key(), from)
        };
        ReadGroup {
            group: self.group(),
            consumer: self.consumer(),
            count: self.count(),
            most: self.most(),
            no_ack: self.below(6) == 0,
            claim_idle_ms: self.maybe(3, || self.below(20).saturating_sub(8)),
            streams: (0..1 + self.below(12) / 10).map(|_| one()).collect(),
        }
    }

    fn claim(&self) -> Claim {
        let delivered = match self.below(8) {
            0 => Some(Delivered::IdleMs(self.below(2 * self.now))),
            1 => Some(Delivered::AtMs(self.below(2 * self.now))),
            _ => None,
        };
        Claim {
            key: self.key(),
            group: self.group(),
            consumer: self.consumer(),
            min_idle_ms: self.below(20).saturating_sub(8),
            ids: self.ids(),
            delivered,
            deliveries: self.maybe(8, || self.below(5)),
            force: self.below(3) == 0,
            just_id: self.below(3) == 0,
            last_id: self.maybe(10, || self.id()),
        }
    }

    /// Mostly soon, so that it is seen to happen.
    fn expire(&self) -> Command {
        let only = match self.below(12) {
            0 => ExpireOnly::WithoutTime,
            1 => ExpireOnly::WithTime,
            2 => ExpireOnly::Later,
            3 => ExpireOnly::Earlier,
            4 => ExpireOnly::WithTimeEarlier,
            _ => ExpireOnly::Always,
        };
        let ms = self.below(40).cast_signed() - 2;
        let when = match self.below(8) {
            0 => When::AtMs(self.now.cast_signed() + ms),
            1 => When::InMs(1 << 40),
            _ => When::InMs(ms),
        };
        Command::Expire { key: self.key(), when, only }
    }

    /// To another key: to itself is refused before.
    fn copy(&self, key: Bytes) -> Command {
        let to = self.key();
        let to = if to == key { Bytes::from_static(b"copied") } else { to };
        Command::Copy { key, to, replace: self.coin() }
    }

    fn of_all_keys(&self) -> Command {
        if self.below(3) == 0 {
            return Command::Flush;
        }
        let any = |of: &[u64]| of[self.below(of.len() as u64) as usize];
        Command::Set(Settings {
            revision: self.below(6),
            block_entries_max: any(&[0, 1, 3, 10, 100, 128, 1000]),
            block_bytes_max: any(&[0, 1, 300, 4096, 10_000]),
            idempotence_ms: any(&[5, 50, 86_400_000]),
            idempotence_ids_max: any(&[1, 3, 10_000]),
        })
    }

    /// Without numbers of WATCH: which they are is not the model's business.
    fn transaction(&self) -> Command {
        let step = |_| match self.coin() {
            true => Taken::Query(self.query()),
            false => loop {
                let command = self.command();
                if !matches!(command, Command::Transaction(_)) {
                    return Taken::Command(command);
                }
            },
        };
        let steps = (0..self.below(6)).map(step).collect();
        Command::Transaction(Transaction { watched: Vec::new(), steps })
    }

    fn command(&self) -> Command {
        let (key, group, consumer) = (self.key(), self.group(), self.consumer());
        match self.below(48) {
            0..=8 => Command::Add(self.add()),
            9 | 10 => Command::Trim { key, trim: self.trim() },
            11 | 12 => Command::Delete { key, ids: self.ids() },
            13 => Command::DeleteWith { key, ids: self.ids(), references: self.references() },
            14 => {
                let (ids, references) = (self.ids(), self.references());
                Command::AckDelete { key, group, ids, references }
            }
            15 => Command::SetId {
                key,
                last_id: self.id(),
                entries_added: self.maybe(2, || self.below(300)),
                max_deleted_id: self.maybe(2, || self.id()),
            },
            16..=18 => Command::GroupCreate {
                key,
                group,
                start: self.start(),
                make_stream: self.coin(),
                entries_read: self.maybe(3, || self.below(20)),
            },
            19 => Command::GroupSetId {
                key,
                group,
                start: self.start(),
                entries_read: self.maybe(3, || self.below(20)),
            },
            20 => self.seldom(Command::GroupDestroy { key, group }),
            21 => Command::ConsumerCreate { key, group, consumer },
            22 => self.seldom(Command::ConsumerDelete { key, group, consumer }),
            23..=29 => Command::ReadGroup(self.read_group()),
            30..=32 => Command::Ack { key, group, ids: self.ids() },
            33 => Command::Nack(Nack {
                key,
                group,
                mode: [NackMode::Silent, NackMode::Fail, NackMode::Fatal][self.below(3) as usize],
                ids: self.ids(),
                deliveries: self.maybe(6, || self.below(5)),
                force: self.below(4) == 0,
            }),
            34 => Command::Claim(self.claim()),
            35 | 36 => Command::AutoClaim(AutoClaim {
                key,
                group,
                consumer,
                min_idle_ms: self.below(20).saturating_sub(8),
                start: if self.coin() { EntryId::MIN } else { self.id() },
                count: 1 + self.below(20),
                just_id: self.below(3) == 0,
            }),
            37 => self.seldom(Command::Remove { keys: vec![self.key(), self.key()] }),
            39 => self.expire(),
            40 => Command::Persist { key },
            41 => Command::ExpireDue,
            42 => Command::Rename { key, to: self.key(), only_new: self.coin() },
            43 => self.copy(key),
            44 => self.of_all_keys(),
            45 | 46 => self.transaction(),
            38 if self.coin() => Command::Misplaced,
            38 => Command::Configure {
                key,
                duration_ms: self.maybe(2, || self.below(40)),
                ids_max: self.maybe(2, || self.below(5)),
            },
            _ => Command::Void,
        }
    }

    /// What ends a history is worth having, but not often.
    fn seldom(&self, command: Command) -> Command {
        if self.below(3) == 0 { command } else { Command::Add(self.add()) }
    }

    fn about(&self) -> About {
        match self.below(4) {
            0 => About::Encoding,
            1 => About::References,
            2 => About::IdleTime,
            _ => About::Frequency,
        }
    }

    fn query(&self) -> Query {
        let (key, group) = (self.key(), self.group());
        let after = || match self.below(8) {
            0 => After::Last,
            1 => After::Newest,
            _ => After::Id(self.id()),
        };
        match self.below(21) {
            0 => Query::Length { key },
            1..=3 => Query::Range {
                key,
                start: if self.coin() { EntryId::MIN } else { self.id() },
                end: if self.coin() { EntryId::MAX } else { self.id() },
                count: self.maybe(2, || self.below(150)),
                reverse: self.coin(),
            },
            4 => Query::Read {
                count: self.count(),
                most: self.most(),
                streams: (0..1 + self.below(2)).map(|_| (self.key(), after())).collect(),
            },
            5 => Query::PendingSummary { key, group },
            6 | 7 => Query::PendingRange {
                key,
                group,
                min_idle_ms: self.below(8),
                start: if self.coin() { EntryId::MIN } else { self.id() },
                end: if self.coin() { EntryId::MAX } else { self.id() },
                count: self.below(20),
                consumer: self.maybe(2, || self.consumer()),
            },
            8 | 9 => Query::Stream { key },
            10 => Query::StreamFull { key, count: self.count() },
            11 | 12 => Query::Groups { key },
            13 => Query::Consumers { key, group },
            14 => Query::WouldDeliver(self.read_group()),
            15 if self.coin() => Query::KeysCount,
            15 => Query::LastIds { keys: vec![self.key(), key] },
            16 => Query::Keys { pattern: self.name(&["*", "s*", "x*"]) },
            17 => Query::Object { key, about: self.about() },
            18 | 19 => Query::Lifetime { key, absolute: self.coin(), in_ms: self.coin() },
            _ => Query::Exists { keys: vec![self.key(), self.key()] },
        }
    }
}
