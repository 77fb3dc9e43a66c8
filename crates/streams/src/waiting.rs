//! What readers that wait are told by: whether it is worth asking again, and for how many. Never who
//! waits, or for how long.

use crate::commands::would_deliver;
use crate::id::EntryId;
use crate::query::{After, Query};
use crate::state::State;
use crate::stream::Stream;

/// What there is for the readers of a group that wait for new entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Stream or group are gone: whoever asks is refused.
    Gone,
    /// So many entries, or a few more, were never given to the group.
    Entries(u64),
}

impl State {
    /// Whether a reader that waits would be given something now, or refused. Anything but
    /// [`Query::Read`] and [`Query::WouldDeliver`] is answered at once.
    pub fn is_worth(&self, query: &Query) -> bool {
        let view = self.at(self.clock.now_ms);
        match query {
            Query::Read { streams, .. } => streams.iter().any(|(key, after)| {
                let last = view.stream(key).map_or(EntryId::MIN, Stream::last_live_id);
                match after {
                    After::Id(id) => last > *id,
                    After::Last => false,
                    After::Newest => last > EntryId::MIN,
                }
            }),
            Query::WouldDeliver(read) => would_deliver(view, read) != Ok(false),
            _ => true,
        }
    }

    /// What of a stream was never given to a group. Counts no further than `most` and at most one
    /// block entry by entry: in an older one that was given in part, all count.
    pub fn undelivered(&self, key: &[u8], group: &[u8], most: u64) -> Undelivered {
        let Some(stream) = self.at(self.clock.now_ms).stream(key) else {
            return Undelivered::Gone;
        };
        let Some(group) = stream.groups.get(group) else { return Undelivered::Gone };
        let mut entries = 0;
        for span in stream.spans_from(group.last_id) {
            if entries >= most {
                break;
            }
            entries += match &stream.tail {
                _ if span.first() > group.last_id => u64::from(span.live),
                _ if span.last() <= group.last_id => 0,
                Some(tail) if span.sealed.is_none() => {
                    let new = tail.open.entries().filter(|entry| entry.id > group.last_id);
                    new.filter(|entry| !span.is_deleted(entry.position)).count() as u64
                }
                _ => u64::from(span.live),
            };
        }
        Undelivered::Entries(entries.min(most))
    }
}
