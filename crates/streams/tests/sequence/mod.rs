//! Random but sensible sequences of commands and queries from a seed. Never looks at a state: it
//! remembers nothing but which ids it may have made.

use base::{Entropy, SeededEntropy};
use bytes::Bytes;
use streams::command::{
    Add, AddId, AutoClaim, Claim, Command, Delivered, GroupStart, Keep, ReadFrom, ReadGroup, Trim,
};
use streams::id::EntryId;
use streams::query::{After, Query};

/// One call and its stamp.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Change(u64, Command),
    Ask(u64, Query),
}

pub(crate) struct Sequence {
    random: SeededEntropy,
    now_ms: u64,
    /// The greatest id that an exact XADD used.
    ms: u64,
}

impl Sequence {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SeededEntropy::new(seed), now_ms: 1, ms: 1 }
    }

    pub(crate) fn steps(mut self) -> Vec<Step> {
        let length = 20 + self.below(100);
        let mut steps = Vec::new();
        for _ in 0..length {
            self.now_ms += self.below(4);
            if self.below(12) == 0 {
                for _ in 0..self.below(250) {
                    let add = self.add();
                    steps.push(Step::Change(self.now_ms, Command::Add(Add { trim: None, ..add })));
                }
            }
            let step = match self.below(10) {
                0..7 => Step::Change(self.now_ms, self.command()),
                _ => Step::Ask(self.now_ms, self.query()),
            };
            steps.push(step);
        }
        steps
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn chance(&self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    fn name(&self, of: &[&'static str]) -> Bytes {
        Bytes::from_static(of[self.below(of.len() as u64) as usize].as_bytes())
    }

    fn key(&self) -> Bytes {
        if self.chance(8) { self.name(&["", "other", "{x}"]) } else { self.name(&["a", "b"]) }
    }

    fn group(&self) -> Bytes {
        self.name(&["g", "g", "h"])
    }

    fn consumer(&self) -> Bytes {
        self.name(&["ann", "bob", "cy"])
    }

    fn id(&self) -> EntryId {
        match self.below(12) {
            0 => EntryId::MIN,
            1 => EntryId::MAX,
            2 => EntryId::new(self.ms + 3, 0),
            _ => EntryId::new(self.below(self.now_ms.max(self.ms) + 1), self.below(6)),
        }
    }

    fn ids(&self) -> Vec<EntryId> {
        (0..=self.below(4)).map(|_| self.id()).collect()
    }

    fn count(&self) -> u64 {
        [0, 1, 2, 3, 10, 150][self.below(6) as usize]
    }

    fn add(&mut self) -> Add {
        let id = match self.below(12) {
            0 => AddId::Ms(self.below(self.now_ms + 2)),
            1 => {
                self.ms = self.ms.max(self.now_ms) + self.below(3);
                AddId::Exact(EntryId::new(self.ms, self.below(3)))
            }
            2 if self.chance(200) => AddId::Exact(EntryId::MAX),
            _ => AddId::Auto,
        };
        let fields =
            (0..=self.below(2)).flat_map(|_| [self.name(&["f", "k"]), self.name(&["1", "xy", ""])]);
        let fields = fields.collect();
        let trim = if self.chance(6) { Some(self.trim()) } else { None };
        Add { key: self.key(), id, fields, must_exist: self.chance(15), trim }
    }

    fn trim(&self) -> Trim {
        let keep = if self.chance(2) {
            Keep::Newest([0, 1, 5, 50, 99, 100, 101, 180][self.below(8) as usize])
        } else {
            Keep::From(self.id())
        };
        let approximate = self.chance(2);
        let limit =
            (approximate && self.chance(2)).then(|| [0, 1, 50, 100, 150][self.below(5) as usize]);
        Trim { keep, approximate, limit }
    }

    fn start(&self) -> GroupStart {
        if self.chance(3) { GroupStart::Last } else { GroupStart::After(self.id()) }
    }

    fn command(&mut self) -> Command {
        let (key, group, consumer) = (self.key(), self.group(), self.consumer());
        let entries_read = self.chance(3).then(|| self.below(20));
        match self.below(32) {
            0..8 => Command::Add(self.add()),
            8 => Command::Trim { key, trim: self.trim() },
            9..11 => Command::Delete { key, ids: self.ids() },
            11 => Command::SetId {
                key,
                last_id: if self.chance(10) { self.id() } else { EntryId::new(self.now_ms + 5, 1) },
                entries_added: self.chance(2).then(|| self.below(400)),
                max_deleted_id: self.chance(3).then(|| self.id()),
            },
            12..15 => {
                let (start, make_stream) = (self.start(), self.chance(3));
                Command::GroupCreate { key, group, start, make_stream, entries_read }
            }
            15 => Command::GroupSetId { key, group, start: self.start(), entries_read },
            16 if self.chance(3) => Command::GroupDestroy { key, group },
            17 => Command::ConsumerCreate { key, group, consumer },
            18 if self.chance(3) => Command::ConsumerDelete { key, group, consumer },
            16..25 => Command::ReadGroup(self.read_group()),
            25..27 => Command::Ack { key, group, ids: self.ids() },
            27..29 => Command::Claim(self.claim(key)),
            29..31 => Command::AutoClaim(AutoClaim {
                key,
                group,
                consumer,
                min_idle_ms: self.below(4),
                start: if self.chance(2) { EntryId::MIN } else { self.id() },
                count: self.below(12) + 1,
                just_id: self.chance(3),
            }),
            _ if self.chance(6) => Command::Remove { keys: vec![key, self.key()] },
            _ => Command::Void,
        }
    }

    fn read_group(&self) -> ReadGroup {
        let from = |it: &Self| {
            if it.chance(3) { ReadFrom::History(it.id()) } else { ReadFrom::New }
        };
        let mut streams = vec![(self.key(), from(self))];
        if self.chance(4) {
            streams.push((self.key(), from(self)));
        }
        let (group, consumer) = (self.group(), self.consumer());
        ReadGroup { group, consumer, count: self.count(), no_ack: self.chance(5), streams }
    }

    fn claim(&self, key: Bytes) -> Claim {
        let delivered = match self.below(4) {
            0 => Some(Delivered::IdleMs(self.below(self.now_ms + 10))),
            1 => Some(Delivered::AtMs(self.below(self.now_ms + 10))),
            _ => None,
        };
        Claim {
            key,
            group: self.group(),
            consumer: self.consumer(),
            min_idle_ms: self.below(4),
            ids: self.ids(),
            delivered,
            deliveries: self.chance(4).then(|| self.below(9)),
            force: self.chance(2),
            just_id: self.chance(3),
            last_id: self.chance(4).then(|| self.id()),
        }
    }

    fn query(&self) -> Query {
        let (key, group) = (self.key(), self.group());
        match self.below(14) {
            0 => Query::Length { key },
            1..4 => {
                let (start, end) = match self.below(3) {
                    0 => (EntryId::MIN, EntryId::MAX),
                    1 => (self.id(), EntryId::MAX),
                    _ => (self.id(), self.id()),
                };
                let count = self.chance(2).then(|| self.count());
                Query::Range { key, start, end, count, reverse: self.chance(2) }
            }
            4 => {
                let after = |it: &Self| match it.below(4) {
                    0 => After::Last,
                    1 => After::Newest,
                    _ => After::Id(it.id()),
                };
                let streams = vec![(key, after(self)), (self.key(), after(self))];
                Query::Read { count: self.count(), streams }
            }
            5 => Query::PendingSummary { key, group },
            6 | 7 => Query::PendingRange {
                key,
                group,
                min_idle_ms: self.below(3),
                start: if self.chance(2) { EntryId::MIN } else { self.id() },
                end: if self.chance(2) { EntryId::MAX } else { self.id() },
                count: self.count(),
                consumer: self.chance(2).then(|| self.consumer()),
            },
            8 => Query::Stream { key },
            9 | 10 => Query::StreamFull { key, count: self.count() },
            11 => Query::Groups { key },
            12 => Query::Consumers { key, group },
            _ if self.chance(2) => Query::Exists { keys: vec![key, self.key()] },
            _ if self.chance(2) => Query::Type { key },
            _ => Query::KeysCount,
        }
    }
}
