//! What is asked about keys whatever they hold: going through all, one of them, what one takes.
//! Looks at no block.

use bytes::Bytes;

use crate::error::Refusal;
use crate::glob::{self, Case};
use crate::id::EntryId;
use crate::places::PLACE_BITS;
use crate::query::About;
use crate::reply::{EntryRef, Reply};
use crate::stream::Stream;
use crate::view::View;

/// What a stream, a group, a consumer or a pending entry takes in memory, roughly. Not `size_of`:
/// two builds would answer differently.
const STREAM_BYTES: u64 = 512;
const GROUP_BYTES: u64 = 256;
const CONSUMER_BYTES: u64 = 128;
const PENDING_BYTES: u64 = 96;
/// The same of a sealed block, without what is in it.
const BLOCK_BYTES: u64 = 64;

pub(super) fn scan(
    view: View<'_>,
    place: u64,
    count: u64,
    pattern: Option<&[u8]>,
) -> Reply<EntryRef> {
    let covers = |key: &[u8]| pattern.is_none_or(|it| glob::matches(it, key, Case::Counts));
    let mut keys = Vec::new();
    let (count, mut looked, mut last) = (count.max(1), 0, None);
    for (place, stream) in view.streams_from(place) {
        // Keys of one place stay together: between them nobody could go on.
        if looked >= count && last != Some(place) {
            return Reply::Scanned { next: place, keys };
        }
        looked += 1;
        last = Some(place);
        if covers(&stream.key) {
            keys.push(stream.key.clone());
        }
    }
    Reply::Scanned { next: 0, keys }
}

pub(super) fn all(view: View<'_>, pattern: &[u8]) -> Reply<EntryRef> {
    let keys = view.keys().filter(|key| glob::matches(pattern, key, Case::Counts));
    Reply::Keys(keys.cloned().collect())
}

pub(super) fn at(view: View<'_>, place: u64) -> Reply<EntryRef> {
    let place = place & ((1 << PLACE_BITS) - 1);
    let mut around = view.streams_from(place).chain(view.streams_from(0));
    around.next().map_or(Reply::NoKey, |(_, stream)| Reply::Text(stream.key.clone()))
}

pub(super) fn lifetime(
    view: View<'_>,
    key: &Bytes,
    absolute: bool,
    in_ms: bool,
) -> Reply<EntryRef> {
    let Some(stream) = view.stream(key) else { return Reply::Signed(-2) };
    let Some(expires_ms) = stream.expires_ms else { return Reply::Signed(-1) };
    let ms = if absolute { expires_ms } else { expires_ms.saturating_sub(view.now_ms()) };
    let told = if in_ms { ms } else { ms.saturating_add(500) / 1000 };
    Reply::Signed(i64::try_from(told).unwrap_or(i64::MAX))
}

pub(super) fn object(
    view: View<'_>,
    key: &Bytes,
    about: About,
) -> Result<Reply<EntryRef>, Refusal> {
    let Some(stream) = view.stream(key) else { return Ok(Reply::NoKey) };
    Ok(match about {
        About::Encoding => Reply::Text(Bytes::from_static(b"stream")),
        About::References => Reply::Count(1),
        // Nothing notes when a key was asked for.
        About::IdleTime => Reply::Count(0),
        About::Frequency => return Err(Refusal::NoFrequency),
        About::Bytes => Reply::Count(bytes_of(stream)),
    })
}

/// What the contents of a stream take: its entries, wherever they lie, and what is known of them.
fn bytes_of(stream: &Stream) -> u64 {
    let blocks = stream.spans_from(EntryId::MIN).map(|span| span.bytes + BLOCK_BYTES);
    let groups = stream.groups.iter().map(|(name, group)| {
        let consumers = group.names.keys().map(|name| CONSUMER_BYTES + 2 * name.len() as u64);
        let pending = group.pending.len() as u64 * PENDING_BYTES;
        GROUP_BYTES + name.len() as u64 + consumers.sum::<u64>() + pending
    });
    STREAM_BYTES + 2 * stream.key.len() as u64 + blocks.sum::<u64>() + groups.sum::<u64>()
}
