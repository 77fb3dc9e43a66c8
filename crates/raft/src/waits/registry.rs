//! Who waits at a shard's leader, and who is to be woken when something arrives. Pure: never a
//! task, a clock or a message.
//!
//! A wait that was woken keeps its place until it is done, or found nothing and waits again. While
//! it is woken, as many entries count as promised to it as it asked for, so that no more readers of
//! a group are woken than there is something for.

use std::collections::{BTreeMap, BTreeSet};

use base::NodeId;
use bytes::Bytes;
use streams::command::ReadGroup;
use streams::query::Query;
use streams::{State, Undelivered};

/// A wait: the node whose client waits, and the number that it gave it.
pub(crate) type Who = (NodeId, u64);

/// The order in which waits came.
type Place = u64;

/// Undelivered entries of a group are counted up to here: more readers are not woken at once.
const UNDELIVERED_MOST: u64 = 1000;

struct Wait {
    who: Who,
    query: Query,
    queues: Vec<QueueName>,
}

/// A stream, and the group whose readers stand in line; none for those who read it alone.
type QueueName = (Bytes, Option<Bytes>);

#[derive(Default)]
struct Queue {
    waiting: BTreeSet<Place>,
    /// Those who were woken, and how many entries each may take.
    promised: BTreeMap<Place, u64>,
}

/// Everybody who waits.
#[derive(Default)]
pub(crate) struct Registry {
    next: Place,
    waits: BTreeMap<Place, Wait>,
    places: BTreeMap<Who, Place>,
    queues: BTreeMap<QueueName, Queue>,
    /// Those who would take over what others left lying.
    claims: BTreeSet<Place>,
    woken: Vec<Who>,
}

impl Registry {
    /// Somebody waits, behind those who do already. It may be woken at once.
    pub(crate) fn add(&mut self, state: &State, who: Who, query: Query) {
        self.remove(state, who);
        let place = self.next;
        self.next += 1;
        let queues = queues_of(&query);
        for name in &queues {
            self.queues.entry(name.clone()).or_default().waiting.insert(place);
        }
        if claim(&query).is_some() {
            self.claims.insert(place);
        }
        self.places.insert(who, place);
        self.waits.insert(place, Wait { who, query, queues });
        self.look_for(state, place);
    }

    /// Somebody waits no longer. What was promised to it is there for the next.
    pub(crate) fn remove(&mut self, state: &State, who: Who) {
        let Some(place) = self.places.remove(&who) else { return };
        let Some(wait) = self.waits.remove(&place) else { return };
        self.claims.remove(&place);
        for name in &wait.queues {
            if let Some(queue) = self.queues.get_mut(name) {
                queue.waiting.remove(&place);
                queue.promised.remove(&place);
                if queue.waiting.is_empty() && queue.promised.is_empty() {
                    self.queues.remove(name);
                }
            }
            // Who reads alone takes nothing from others.
            if name.1.is_some() {
                self.look(state, name);
            }
        }
    }

    /// Somebody was woken for nothing and goes on waiting in its place.
    pub(crate) fn again(&mut self, state: &State, who: Who) {
        let Some(place) = self.places.get(&who).copied() else { return };
        let Some(wait) = self.waits.get(&place) else { return };
        for name in &wait.queues {
            if let Some(queue) = self.queues.get_mut(name) {
                queue.promised.remove(&place);
                queue.waiting.insert(place);
            }
        }
        self.look_for(state, place);
    }

    /// A node's waits are gone.
    pub(crate) fn forget(&mut self, state: &State, node: NodeId) {
        let gone: Vec<Who> =
            self.places.range((node, 0)..=(node, u64::MAX)).map(|(who, _)| *who).collect();
        gone.into_iter().for_each(|who| self.remove(state, who));
        self.woken.retain(|(of, _)| *of != node);
    }

    /// Something happened to a key.
    pub(crate) fn touched(&mut self, state: &State, key: &Bytes) {
        let from = (key.clone(), None);
        let names: Vec<QueueName> = self
            .queues
            .range(from..)
            .map(|(name, _)| name)
            .take_while(|(of, _)| of == key)
            .cloned()
            .collect();
        names.iter().for_each(|name| self.look(state, name));
    }

    /// Time has passed: wakes readers that take over what others left lying for long enough.
    pub(crate) fn passed(&mut self, state: &State, now_ms: u64) {
        for place in self.claims.clone() {
            if self.may_claim(state, place, now_ms) {
                self.wake(place);
            }
        }
    }

    /// Who is to be woken since the last call, in order.
    pub(crate) fn take_woken(&mut self) -> Vec<Who> {
        std::mem::take(&mut self.woken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// Wakes somebody for whom there is something, or in a group whoever is first in line.
    fn look_for(&mut self, state: &State, place: Place) {
        let Some(wait) = self.waits.get(&place) else { return };
        match &wait.query {
            Query::WouldDeliver(_) => {
                wait.queues.clone().iter().for_each(|name| self.look(state, name));
            }
            query if state.is_worth(query) => self.wake(place),
            _ => {}
        }
    }

    /// Wakes those of a queue for whom there is something.
    fn look(&mut self, state: &State, name: &QueueName) {
        let Some(queue) = self.queues.get(name) else { return };
        let (key, group) = name;
        let woken: Vec<Place> = match group {
            None => {
                let is_worth = |place: &&Place| state.is_worth(&self.waits[*place].query);
                queue.waiting.iter().filter(is_worth).copied().collect()
            }
            Some(group) => match state.undelivered(key, group, UNDELIVERED_MOST) {
                Undelivered::Gone => queue.waiting.iter().copied().collect(),
                Undelivered::Entries(entries) => self.served_by(queue, entries),
            },
        };
        woken.into_iter().for_each(|place| self.wake(place));
        let waiting = self.queues.get(name).into_iter().flat_map(|queue| &queue.waiting);
        let claims = waiting.filter(|place| self.claims.contains(place));
        if let Some(place) = claims.copied().next()
            && self.may_claim(state, place, state.clock().now_ms)
        {
            self.wake(place);
        }
    }

    /// Whether there is something for a reader to take over, and nobody before it in line is about
    /// to.
    fn may_claim(&self, state: &State, place: Place, now_ms: u64) -> bool {
        let Some(wait) = self.waits.get(&place) else { return false };
        let is_first = |name: &QueueName| {
            let queue = self.queues.get(name);
            queue.is_some_and(|queue| queue.waiting.contains(&place) && queue.promised.is_empty())
        };
        let at_ms = claim(&wait.query).and_then(|read| state.claimable_ms(read));
        wait.queues.iter().all(is_first) && at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// The first ones in line that so many entries are enough for, beside what is promised.
    fn served_by(&self, queue: &Queue, entries: u64) -> Vec<Place> {
        let promised =
            queue.promised.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
        let mut left = entries.saturating_sub(promised);
        let served = queue.waiting.iter().take_while(|place| {
            let enough = left > 0;
            left = left.saturating_sub(entries_wanted(&self.waits[*place].query));
            enough
        });
        served.copied().collect()
    }

    fn wake(&mut self, place: Place) {
        let Some(wait) = self.waits.get(&place) else { return };
        for name in &wait.queues {
            if let Some(queue) = self.queues.get_mut(name) {
                queue.waiting.remove(&place);
                queue.promised.insert(place, entries_wanted(&wait.query));
            }
        }
        self.woken.push(wait.who);
    }
}

/// Where a wait stands in line. A stream that is named twice is one.
fn queues_of(query: &Query) -> Vec<QueueName> {
    let mut names: Vec<QueueName> = match query {
        Query::Read { streams, .. } => streams.iter().map(|(key, _)| (key.clone(), None)).collect(),
        Query::WouldDeliver(read) => {
            let group = Some(read.group.clone());
            read.streams.iter().map(|(key, _)| (key.clone(), group.clone())).collect()
        }
        _ => Vec::new(),
    };
    names.sort();
    names.dedup();
    names
}

/// The read of somebody who would take over what others left lying.
fn claim(query: &Query) -> Option<&ReadGroup> {
    match query {
        Query::WouldDeliver(read) if read.claim_idle_ms.is_some() => Some(read),
        _ => None,
    }
}

/// How many entries of a stream one reader may take.
fn entries_wanted(query: &Query) -> u64 {
    match query {
        Query::WouldDeliver(read) if read.count > 0 => read.count,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use streams::block::Blocks;
    use streams::command::{Add, AddId, Command, GroupStart, Most, ReadFrom, ReadGroup, Stamp};
    use streams::id::EntryId;
    use streams::query::After;

    use super::*;

    /// A shard whose waits are told of everything that is applied.
    #[derive(Default)]
    struct Shard {
        state: State,
        waits: Registry,
    }

    impl Shard {
        fn apply(&mut self, command: &Command) {
            let applied = self.state.apply(&Blocks::new(), Stamp { now_ms: 1 }, command).unwrap();
            for event in applied.events {
                self.waits.touched(&self.state, event.key());
            }
        }

        fn with_group() -> Self {
            let mut shard = Self::default();
            shard.apply(&Command::GroupCreate {
                key: key("s"),
                group: key("g"),
                start: GroupStart::Last,
                make_stream: true,
                entries_read: None,
            });
            shard
        }

        fn add_entry(&mut self, stream: &'static str, ms: u64) {
            self.apply(&Command::Add(Add {
                key: key(stream),
                id: AddId::Exact(EntryId::new(ms, 0)),
                fields: vec![key("f"), key("v")],
                must_exist: false,
                trim: None,
                once: None,
            }));
        }

        fn wait(&mut self, id: u64, query: Query) {
            self.waits.add(&self.state, (NodeId(1), id), query);
        }

        fn woken(&mut self) -> Vec<u64> {
            self.waits.take_woken().into_iter().map(|(_, id)| id).collect()
        }

        /// What a reader that was woken does: it reads, and is done.
        fn serve(&mut self, id: u64, count: u64) {
            self.apply(&Command::ReadGroup(read("c", count)));
            self.waits.remove(&self.state, (NodeId(1), id));
        }
    }

    fn key(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn read(consumer: &'static str, count: u64) -> ReadGroup {
        ReadGroup {
            group: key("g"),
            consumer: key(consumer),
            count,
            streams: vec![(key("s"), ReadFrom::New)],
            ..ReadGroup::default()
        }
    }

    fn in_group(count: u64) -> Query {
        Query::WouldDeliver(read("c", count))
    }

    fn alone(streams: &[(&'static str, u64)]) -> Query {
        let streams =
            streams.iter().map(|(name, ms)| (key(name), After::Id(EntryId::new(*ms, 0)))).collect();
        Query::Read { count: 0, most: Most::default(), streams }
    }

    #[test]
    fn all_who_read_alone_are_woken_by_what_is_new_to_them() {
        let mut shard = Shard::default();
        shard.wait(1, alone(&[("s", 0)]));
        shard.wait(2, alone(&[("s", 5), ("t", 0)]));
        shard.wait(3, alone(&[("t", 0)]));
        assert_eq!(shard.woken(), []);
        shard.add_entry("s", 5);
        assert_eq!(shard.woken(), [1]);
        shard.add_entry("s", 6);
        assert_eq!(shard.woken(), [2], "1 is woken already");
        shard.add_entry("t", 1);
        assert_eq!(shard.woken(), [3]);
        shard.wait(4, alone(&[("s", 5)]));
        assert_eq!(shard.woken(), [4], "it is there already");
    }

    /// Looking at all who wait whenever one comes or goes would make ten thousand readers of one
    /// stream cost minutes.
    #[test]
    fn a_reader_that_comes_or_goes_costs_the_others_nothing() {
        let mut shard = Shard::default();
        shard.add_entry("s", 1);
        (0..20_000).for_each(|id| shard.wait(id, alone(&[("s", 1)])));
        shard.add_entry("s", 2);
        assert_eq!(shard.woken().len(), 20_000);
        (0..20_000).for_each(|id| shard.waits.again(&shard.state, (NodeId(1), id)));
        assert_eq!(shard.woken().len(), 20_000, "it is still there");
        (0..20_000).for_each(|id| shard.waits.remove(&shard.state, (NodeId(1), id)));
        assert!(shard.waits.is_empty() && shard.waits.queues.is_empty());
    }

    #[test]
    fn one_entry_wakes_the_first_in_line_and_the_next_entry_the_second() {
        let mut shard = Shard::with_group();
        (1..=3).for_each(|id| shard.wait(id, in_group(1)));
        shard.add_entry("s", 1);
        assert_eq!(shard.woken(), [1]);
        shard.add_entry("s", 2);
        assert_eq!(shard.woken(), [2], "one entry is promised to the first");
        shard.serve(1, 1);
        shard.serve(2, 1);
        assert_eq!(shard.woken(), []);
        shard.add_entry("s", 3);
        assert_eq!(shard.woken(), [3]);
    }

    #[test]
    fn as_many_are_woken_as_there_is_something_for() {
        let mut shard = Shard::with_group();
        (1..=5).for_each(|ms| shard.add_entry("s", ms));
        (1..=4).for_each(|id| shard.wait(id, in_group(2)));
        assert_eq!(shard.woken(), [1, 2, 3], "five entries, two for each");
        shard.wait(9, in_group(0));
        shard.serve(1, 5);
        assert_eq!(shard.woken(), [], "the first took all");
    }

    #[test]
    fn whoever_takes_all_is_woken_alone() {
        let mut shard = Shard::with_group();
        (1..=2).for_each(|id| shard.wait(id, in_group(0)));
        (1..=3).for_each(|ms| shard.add_entry("s", ms));
        assert_eq!(shard.woken(), [1]);
    }

    #[test]
    fn a_reader_that_went_away_leaves_what_was_promised_to_the_next() {
        let mut shard = Shard::with_group();
        (1..=3).for_each(|id| shard.wait(id, in_group(1)));
        shard.add_entry("s", 1);
        assert_eq!(shard.woken(), [1]);
        shard.waits.remove(&shard.state, (NodeId(1), 1));
        assert_eq!(shard.woken(), [2]);
        shard.waits.forget(&shard.state, NodeId(1));
        assert!(shard.waits.is_empty() && shard.waits.queues.is_empty());
        assert_eq!(shard.woken(), []);
    }

    #[test]
    fn a_reader_that_found_nothing_keeps_its_place() {
        let mut shard = Shard::with_group();
        (1..=2).for_each(|id| shard.wait(id, in_group(1)));
        shard.add_entry("s", 1);
        assert_eq!(shard.woken(), [1]);
        // Somebody who did not wait was faster.
        shard.apply(&Command::ReadGroup(read("other", 1)));
        shard.waits.again(&shard.state, (NodeId(1), 1));
        assert_eq!(shard.woken(), []);
        shard.add_entry("s", 2);
        assert_eq!(shard.woken(), [1], "before 2");
    }

    #[test]
    fn what_others_left_lying_wakes_one_who_takes_it_over_when_its_time_has_come() {
        let mut shard = Shard::with_group();
        shard.add_entry("s", 1);
        shard.apply(&Command::ReadGroup(read("c", 1)));
        let claim = |consumer, idle_ms| {
            Query::WouldDeliver(ReadGroup { claim_idle_ms: Some(idle_ms), ..read(consumer, 1) })
        };
        shard.wait(1, in_group(1));
        shard.wait(2, claim("d", 500));
        shard.wait(3, claim("e", 500));
        shard.waits.passed(&shard.state, 500);
        assert_eq!(shard.woken(), [], "it was delivered at 1");
        shard.waits.passed(&shard.state, 501);
        assert_eq!(shard.woken(), [2], "one at a time");
        shard.waits.again(&shard.state, (NodeId(1), 2));
        shard.waits.remove(&shard.state, (NodeId(1), 2));
        shard.waits.passed(&shard.state, 501);
        assert_eq!(shard.woken(), [3]);
    }

    #[test]
    fn a_group_that_goes_wakes_all_its_readers_and_nobody_who_reads_alone() {
        for command in [
            Command::GroupDestroy { key: key("s"), group: key("g") },
            Command::Remove { keys: vec![key("s")] },
        ] {
            let mut shard = Shard::with_group();
            (1..=3).for_each(|id| shard.wait(id, in_group(1)));
            shard.wait(4, alone(&[("s", 9)]));
            shard.apply(&command);
            assert_eq!(shard.woken(), [1, 2, 3]);
        }
    }

    #[test]
    fn what_is_undelivered_is_counted_over_blocks_and_deletions() {
        let mut shard = Shard::with_group();
        (1..=250).for_each(|ms| shard.add_entry("s", ms));
        let left = |shard: &Shard| shard.state.undelivered(b"s", b"g", 1000);
        assert_eq!(left(&shard), Undelivered::Entries(250));
        assert_eq!(shard.state.undelivered(b"s", b"g", 7), Undelivered::Entries(7));
        shard.apply(&Command::ReadGroup(read("c", 200)));
        assert_eq!(left(&shard), Undelivered::Entries(50));
        let ids = (201..=249).map(|ms| EntryId::new(ms, 0)).collect();
        shard.apply(&Command::Delete { key: key("s"), ids });
        assert_eq!(left(&shard), Undelivered::Entries(1));
        shard.apply(&Command::ReadGroup(read("c", 1)));
        assert_eq!(left(&shard), Undelivered::Entries(0));
        assert_eq!(shard.state.undelivered(b"s", b"none", 1), Undelivered::Gone);
    }
}
