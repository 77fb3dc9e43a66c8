//! What producers added, so that nothing is added twice: for each stream the ids that they gave, and
//! the entries that came of them. Bounded by age, by ids a producer and by bytes; knows no command.
//!
//! ```text
//! number   n ... n+k      what was added, oldest first; a checkpoint writes it in chunks
//! producer -> id -> number
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3Default, xxh3_128};

use crate::chunks::ChunkMap;
use crate::id::EntryId;
use crate::limits::IDEMPOTENCE_BYTES_MAX;
use crate::reply::IdempotenceInfo;
use crate::settings::Settings;

/// Ids in a chunk, the unit in which a checkpoint writes them.
pub(crate) const IDEMPOTENCE_CHUNK_ITEMS: usize = 64;

/// What a producer added under an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The shard clock then.
    pub(crate) added_ms: u64,
    pub(crate) producer: Bytes,
    pub(crate) id: Bytes,
    pub(crate) entry: EntryId,
}

impl Remembered {
    /// About what it takes in memory. A fixed number, not `size_of`: it decides what is forgotten,
    /// which must not depend on the compiler.
    fn bytes(&self) -> u64 {
        const OVERHEAD: u64 = 200;
        OVERHEAD + self.producer.len() as u64 + self.id.len() as u64
    }
}

/// How long and how much a stream remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) duration_ms: u64,
    /// Ids of each producer.
    pub(crate) ids_max: u64,
}

/// A stream's memory of its producers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Idempotence {
    /// Where XCFGSET said so.
    pub(crate) duration_ms: Option<u64>,
    pub(crate) ids_max: Option<u64>,
    pub(crate) number_next: u64,
    /// Entries that were added under an id, and adds that were found to be done already.
    pub(crate) added: u64,
    pub(crate) duplicates: u64,
    /// Ids that were forgotten before their time, for want of room.
    pub(crate) dropped: u64,
    pub(crate) list: ChunkMap<u64, Remembered, IDEMPOTENCE_CHUNK_ITEMS>,
    /// Made of the list, never stored.
    producers: BTreeMap<Bytes, Known>,
    bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct Known {
    by_id: BTreeMap<Bytes, u64>,
    /// The same, oldest first.
    by_number: BTreeMap<u64, Bytes>,
}

impl Idempotence {
    /// Whether it was ever used.
    pub(crate) fn is_used(&self) -> bool {
        self.number_next > 0 || self.duration_ms.is_some() || self.ids_max.is_some()
    }

    /// Its own, where XCFGSET gave it one.
    pub(crate) fn window(&self, settings: &Settings) -> Window {
        let shared = settings.window();
        Window {
            duration_ms: self.duration_ms.unwrap_or(shared.duration_ms),
            ids_max: self.ids_max.unwrap_or(shared.ids_max),
        }
    }

    /// The same as nobody stored it yet.
    pub(crate) fn copy(&self) -> Self {
        Self { list: self.list.copy(), ..self.clone() }
    }

    /// The entry that a producer added under an id, as far as it is remembered.
    pub(crate) fn find(&self, producer: &[u8], id: &[u8]) -> Option<EntryId> {
        let number = self.producers.get(producer)?.by_id.get(id)?;
        Some(self.list.get(number)?.entry)
    }

    /// Remembers an entry, and forgets the oldest for it where there is no room.
    pub(crate) fn remember(
        &mut self,
        producer: &[u8],
        id: &[u8],
        entry: EntryId,
        now_ms: u64,
        window: Window,
    ) {
        // Copies: the bytes at hand are slices of a whole batch.
        let (producer, id) = (Bytes::copy_from_slice(producer), Bytes::copy_from_slice(id));
        let one = Remembered { added_ms: now_ms, producer: producer.clone(), id, entry };
        let number = self.number_next;
        self.number_next += 1;
        self.added = self.added.saturating_add(1);
        self.index(number, &one);
        self.list.insert(number, one);
        self.bound(&producer, window);
        while self.bytes > IDEMPOTENCE_BYTES_MAX && self.list.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Forgets what is over the number of ids, of each producer.
    pub(crate) fn bound_all(&mut self, window: Window) {
        let producers: Vec<Bytes> = self.producers.keys().cloned().collect();
        producers.iter().for_each(|producer| self.bound(producer, window));
    }

    fn bound(&mut self, producer: &[u8], Window { ids_max, .. }: Window) {
        while let Some(of) = self.producers.get(producer)
            && of.by_number.len() as u64 > ids_max
            && let Some((number, _)) = of.by_number.first_key_value()
        {
            self.forget(*number);
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((number, _)) = self.list.first() {
            self.forget(*number);
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Forgets what is too old.
    pub(crate) fn expire(&mut self, now_ms: u64, Window { duration_ms, .. }: Window) {
        while let Some((number, one)) = self.list.first()
            && is_over(one, duration_ms, now_ms)
        {
            self.forget(*number);
        }
    }

    /// How many producers and ids are remembered at a time.
    pub(crate) fn tracked(&self, now_ms: u64, duration_ms: u64) -> (u64, u64) {
        let over = self.list.iter().take_while(|(_, one)| is_over(one, duration_ms, now_ms));
        let over = over.count();
        let first = self.list.iter().nth(over).map_or(u64::MAX, |(number, _)| *number);
        let newest = |producer: &&Known| {
            producer.by_number.last_key_value().is_some_and(|(number, _)| *number >= first)
        };
        let producers = self.producers.values().filter(newest).count();
        (producers as u64, (self.list.len() - over) as u64)
    }

    /// What XINFO says of it.
    pub(crate) fn info(&self, settings: &Settings, now_ms: u64) -> IdempotenceInfo {
        let Window { duration_ms, ids_max } = self.window(settings);
        let (producers_count, ids_count) = self.tracked(now_ms, duration_ms);
        let Self { added, duplicates, dropped, .. } = *self;
        IdempotenceInfo {
            duration_ms,
            ids_max,
            producers_count,
            ids_count,
            added,
            duplicates,
            dropped,
        }
    }

    fn index(&mut self, number: u64, one: &Remembered) {
        self.bytes += one.bytes();
        let producer = self.producers.entry(one.producer.clone()).or_default();
        producer.by_id.insert(one.id.clone(), number);
        producer.by_number.insert(number, one.id.clone());
    }

    fn forget(&mut self, number: u64) {
        let Some(one) = self.list.remove(&number) else { return };
        self.bytes -= one.bytes();
        let Some(producer) = self.producers.get_mut(&one.producer) else { return };
        producer.by_id.remove(&one.id);
        producer.by_number.remove(&number);
        if producer.by_number.is_empty() {
            self.producers.remove(&one.producer);
        }
    }

    /// Takes what a checkpoint has; false where it doesn't fit.
    pub(crate) fn load(&mut self, chunk: u64, items: Vec<(u64, Remembered)>) -> bool {
        let fits = items.iter().all(|(number, one)| {
            *number < self.number_next && self.find(&one.producer, &one.id).is_none()
        });
        items.iter().for_each(|(number, one)| self.index(*number, one));
        fits && self.list.load(chunk, items)
    }
}

fn is_over(one: &Remembered, duration_ms: u64, now_ms: u64) -> bool {
    one.added_ms.saturating_add(duration_ms) <= now_ms
}

/// An id made of an entry's fields, whatever their order: the same for the same pairs of names and
/// values. What IDMPAUTO stands for.
pub fn id_of_fields(fields: &[Bytes]) -> Bytes {
    let (mut sum, mut mixed) = (0u128, 0u128);
    for pair in fields.chunks(2) {
        let mut hasher = Xxh3Default::new();
        for text in pair {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        let hash = hasher.digest128();
        sum = sum.wrapping_add(hash);
        mixed ^= hash.rotate_left(u32::from(hash.to_le_bytes()[0]) % 128);
    }
    let mut all = sum.to_le_bytes().to_vec();
    all.extend_from_slice(&mixed.to_le_bytes());
    Bytes::copy_from_slice(&xxh3_128(&all).to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { duration_ms: 86_400_000, ids_max: 10_000 };

    fn id(number: u64) -> Bytes {
        Bytes::from(number.to_string())
    }

    #[test]
    fn the_oldest_of_a_producer_goes_first_and_is_counted() {
        let window = Window { ids_max: 2, ..WINDOW };
        let mut all = Idempotence::default();
        for number in 0..3 {
            all.remember(b"p", &id(number), EntryId::new(number, 0), number, window);
            all.remember(b"q", &id(number), EntryId::new(number, 1), number, window);
        }
        assert_eq!(all.find(b"p", b"0"), None);
        assert_eq!(all.find(b"p", b"1"), Some(EntryId::new(1, 0)));
        assert_eq!(all.find(b"q", b"2"), Some(EntryId::new(2, 1)));
        assert_eq!((all.added, all.dropped, all.tracked(2, window.duration_ms)), (6, 2, (2, 4)));
    }

    #[test]
    fn what_is_too_old_is_forgotten_and_not_counted_as_dropped() {
        let window = Window { duration_ms: 10, ..WINDOW };
        let mut all = Idempotence::default();
        all.remember(b"p", b"a", EntryId::new(1, 0), 100, window);
        all.remember(b"q", b"b", EntryId::new(2, 0), 105, window);
        assert_eq!(
            (all.tracked(109, 10), all.tracked(110, 10), all.tracked(115, 10)),
            ((2, 2), (1, 1), (0, 0))
        );
        all.expire(110, window);
        assert_eq!((all.find(b"p", b"a"), all.find(b"q", b"b")), (None, Some(EntryId::new(2, 0))));
        all.expire(115, window);
        assert_eq!((all.dropped, all.bytes, all.producers.len(), all.list.len()), (0, 0, 0, 0));
    }

    #[test]
    fn bytes_are_bounded_and_the_newest_always_stays() {
        let mut all = Idempotence::default();
        let big = vec![b'x'; usize::try_from(IDEMPOTENCE_BYTES_MAX / 4).unwrap()];
        for number in 0..6 {
            let producer = [&big[..], &[number]].concat();
            all.remember(&producer, b"a", EntryId::new(1, 0), 1, WINDOW);
            assert!(all.bytes <= IDEMPOTENCE_BYTES_MAX);
        }
        assert_eq!((all.list.len(), all.dropped), (3, 3));
        all.remember(&vec![b'y'; 5 * big.len()], b"a", EntryId::new(2, 0), 1, WINDOW);
        assert_eq!((all.list.len(), all.dropped), (1, 6));
    }

    #[test]
    fn an_id_of_fields_knows_pairs_and_no_order() {
        let of = |texts: &[&'static str]| {
            id_of_fields(
                &texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>(),
            )
        };
        assert_eq!(of(&["a", "1", "b", "2"]), of(&["b", "2", "a", "1"]));
        for other in [
            &["a", "2", "b", "1"][..],
            &["a", "1"],
            &["a", "1", "b", "2", "b", "2"],
            &["1", "a", "2", "b"],
            &["a", "1b", "", "2"],
            &["a", "1", "b", "2", "c", ""],
        ] {
            assert_ne!(of(&["a", "1", "b", "2"]), of(other), "{other:?}");
        }
        // Twice the same pair is not the same as none, nor as another one twice.
        assert_ne!(of(&["a", "1", "a", "1"]), of(&["b", "1", "b", "1"]));
        assert_eq!(of(&["a", "1"]).len(), 16);
    }
}
