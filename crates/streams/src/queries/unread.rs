//! How many entries there are after the places of groups, counted: for groups of which Redis can't
//! tell how far they are behind. One walk over the index for all of them, and a look into the blocks
//! inside which they stand.

use std::collections::BTreeMap;

use crate::block::Blocks;
use crate::error::Fault;
use crate::group::Group;
use crate::id::{BlockKey, EntryId};
use crate::reading::Looked;
use crate::stream::{Span, Stream};

/// The places of groups that have to be counted for.
struct Places {
    ascending: Vec<EntryId>,
    looked: Looked,
}

impl Places {
    fn of(stream: &Stream) -> Self {
        let unknown = stream.groups.values().filter(|group| stream.lag(group).is_none());
        let mut ascending: Vec<EntryId> = unknown.map(|group| group.last_id).collect();
        ascending.sort_unstable();
        ascending.dedup();
        Self { ascending, looked: Looked::default() }
    }

    /// The blocks that have anything after the first of them.
    fn spans<'a>(&self, stream: &'a Stream) -> impl Iterator<Item = Span<'a>> + use<'a> {
        let first = self.ascending.first().copied();
        first.into_iter().flat_map(|first| stream.spans_from(first))
    }

    /// Those inside a block, with entries before and after them.
    fn inside(&self, span: &Span<'_>) -> &[EntryId] {
        let below = |end: EntryId| self.ascending.partition_point(move |place| *place < end);
        &self.ascending[below(span.first())..below(span.last().max(span.first()))]
    }

    /// Whether a block is to be looked into. Past what one read may look into, none is.
    fn cut(&mut self, span: &Span<'_>) -> bool {
        !self.inside(span).is_empty() && self.looked.admits(span)
    }
}

/// The blocks that [`Unread::count`] looks into and that aren't in the state.
pub(super) fn needs(stream: &Stream) -> Vec<BlockKey> {
    let mut places = Places::of(stream);
    let cut: Vec<Span<'_>> = places.spans(stream).filter(|span| places.cut(span)).collect();
    cut.iter().filter_map(|span| stream.is_absent(span)).collect()
}

/// Entries after each place.
pub(super) struct Unread(BTreeMap<EntryId, u64>);

impl Unread {
    /// Counts for all groups of a stream that need it. Where more blocks are cut than one read may
    /// look into, a group that stands inside one of the others has read nothing of it.
    pub(super) fn count(stream: &Stream, blocks: &Blocks) -> Result<Self, Fault> {
        let mut places = Places::of(stream);
        let mut upto = BTreeMap::new();
        let mut passed = 0;
        for span in places.spans(stream) {
            for place in places.ascending.iter().take_while(|place| **place < span.first()) {
                upto.entry(*place).or_insert(passed);
            }
            let looked = places.cut(&span);
            let inside = places.inside(&span).to_vec();
            let mut counts = vec![passed; inside.len()];
            if looked {
                stream.visit(blocks, &span, false, |entry| {
                    let from = inside.partition_point(|place| *place < entry.id);
                    counts[from..].iter_mut().for_each(|count| *count += 1);
                    true
                })?;
            }
            upto.extend(inside.into_iter().zip(counts));
            passed += u64::from(span.live);
        }
        let counted = places.ascending.iter();
        let after = |place: &EntryId| passed - upto.get(place).copied().unwrap_or(passed);
        Ok(Self(counted.map(|place| (*place, after(place))).collect()))
    }

    /// How many entries a group has yet to read, where that was counted.
    pub(super) fn of(&self, group: &Group) -> Option<u64> {
        self.0.get(&group.last_id).copied()
    }
}
