//! What the shards answer, in the shapes of RESP2 and RESP3 that clients know from Redis.
//! Never a decision about what the answer is.

use std::borrow::Cow;

use bytes::Bytes;
use resp::Writer;
use streams::id::EntryId;
use streams::reply::{
    Claimed, ConsumerFullInfo, ConsumerInfo, Deleted, Delivery, Earlier, Entry, GroupFullInfo,
    GroupInfo, IdempotenceInfo, PendingDetail, PendingEntry, PendingSummary, Reply, StreamFullInfo,
    StreamInfo, StreamSummary,
};

use super::error::refusal_text;

/// What "nothing" looks like to the client that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    /// No id: XADD.
    String,
    /// No entries: reads.
    Array,
    /// There is never nothing: WAITAOF, whose count stands behind that of the leader's own disk.
    BehindLeader,
}

/// Writes an answer; gives its text where it is an error.
pub(crate) fn write(
    out: &mut Writer<'_>,
    reply: &Reply<Entry>,
    nothing: Nothing,
) -> Option<Cow<'static, str>> {
    match reply {
        Reply::Ok => out.simple("OK"),
        Reply::Nil => match nothing {
            Nothing::String => out.null(),
            Nothing::Array | Nothing::BehindLeader => out.null_array(),
        },
        Reply::Count(count) if nothing == Nothing::BehindLeader => {
            out.array(2);
            out.unsigned(1);
            out.unsigned(*count);
        }
        Reply::Count(count) => out.unsigned(*count),
        Reply::Added(added) => id(out, *added),
        Reply::Entries(found) => entries(out, found),
        Reply::Ids(found) => ids(out, found),
        Reply::Deleted(done) => each(out, done, |out, done| {
            out.integer(match done {
                Deleted::Missing => -1,
                Deleted::Done => 1,
                Deleted::Kept => 2,
            });
        }),
        Reply::Streams(streams) => write_streams(out, streams, entry),
        Reply::Deliveries(streams) => write_streams(out, streams, delivery),
        Reply::AutoClaimed { next, claimed, deleted } => {
            out.array(3);
            id(out, *next);
            match claimed {
                Claimed::Entries(claimed) => entries(out, claimed),
                Claimed::Ids(claimed) => ids(out, claimed),
            }
            ids(out, deleted);
        }
        Reply::PendingSummary(summary) => pending_summary(out, summary),
        Reply::Pending(lines) => each(out, lines, pending_entry),
        Reply::Stream(info) => stream(out, info),
        Reply::StreamFull(info) => stream_full(out, info),
        Reply::Groups(groups) => each(out, groups, |out, info| {
            out.map(6);
            group(out, info);
        }),
        Reply::Consumers(consumers) => each(out, consumers, consumer),
        Reply::Type { exists } => out.simple(if *exists { "stream" } else { "none" }),
        // Told where the connection knows what was asked.
        Reply::Watched(_) | Reply::Transaction(_) => out.simple("OK"),
        Reply::Held(reply) => return write(out, reply, nothing),
        Reply::NoKey => out.null(),
        Reply::Signed(number) => out.integer(*number),
        Reply::Text(text) => out.bulk(text),
        Reply::Keys(keys) => each(out, keys, |out, key| out.bulk(key)),
        Reply::Scanned { next, keys } => {
            out.array(2);
            out.bulk(itoa::Buffer::new().format(*next));
            each(out, keys, |out, key| out.bulk(key));
        }
        Reply::Refused(refusal) => {
            let text = refusal_text(refusal);
            out.error(&text);
            return Some(text);
        }
    }
    None
}

fn each<T>(out: &mut Writer<'_>, items: &[T], write: impl Fn(&mut Writer<'_>, &T)) {
    out.array(items.len());
    items.iter().for_each(|item| write(out, item));
}

fn id(out: &mut Writer<'_>, id: EntryId) {
    let (mut ms, mut seq) = (itoa::Buffer::new(), itoa::Buffer::new());
    let (ms, seq) = (ms.format(id.ms).as_bytes(), seq.format(id.seq).as_bytes());
    let mut text = [0u8; 41];
    text[..ms.len()].copy_from_slice(ms);
    text[ms.len()] = b'-';
    let end = ms.len() + 1 + seq.len();
    text[ms.len() + 1..end].copy_from_slice(seq);
    out.bulk(&text[..end]);
}

fn ids(out: &mut Writer<'_>, found: &[EntryId]) {
    each(out, found, |out, found| id(out, *found));
}

fn entries(out: &mut Writer<'_>, found: &[Entry]) {
    each(out, found, entry);
}

/// `[id, [name, value, ...]]`, and no fields where the entry is gone.
fn entry(out: &mut Writer<'_>, entry: &Entry) {
    out.array(2);
    id_and_fields(out, entry);
}

/// `[id, fields, idle-ms, deliveries before]`, and the last two are left out of a history.
fn delivery(out: &mut Writer<'_>, delivery: &Delivery<Entry>) {
    let Some(Earlier { idle_ms, deliveries }) = delivery.earlier else {
        return entry(out, &delivery.entry);
    };
    out.array(4);
    id_and_fields(out, &delivery.entry);
    out.unsigned(idle_ms);
    out.unsigned(deliveries);
}

fn id_and_fields(out: &mut Writer<'_>, entry: &Entry) {
    id(out, entry.id);
    match &entry.fields {
        Some(fields) => each(out, fields, |out, field| out.bulk(field)),
        None => out.null_array(),
    }
}

/// An array of pairs in RESP2, a map in RESP3.
fn write_streams<T>(
    out: &mut Writer<'_>,
    streams: &[(Bytes, Vec<T>)],
    write: impl Fn(&mut Writer<'_>, &T),
) {
    let resp3 = out.protocol() == resp::Protocol::Resp3;
    if resp3 {
        out.map(streams.len());
    } else {
        out.array(streams.len());
    }
    for (key, found) in streams {
        if !resp3 {
            out.array(2);
        }
        out.bulk(key);
        each(out, found, &write);
    }
}

fn pending_summary(out: &mut Writer<'_>, summary: &PendingSummary) {
    out.array(4);
    out.unsigned(summary.total);
    let Some((first, last)) = summary.range else {
        out.null();
        out.null();
        out.null_array();
        return;
    };
    id(out, first);
    id(out, last);
    each(out, &summary.consumers, |out, (name, count)| {
        out.array(2);
        out.bulk(name);
        out.bulk(itoa::Buffer::new().format(*count));
    });
}

fn pending_entry(out: &mut Writer<'_>, line: &PendingEntry) {
    out.array(4);
    id(out, line.id);
    out.bulk(&line.consumer);
    match line.idle_ms {
        Some(idle_ms) => out.unsigned(idle_ms),
        None => out.integer(-1),
    }
    out.unsigned(line.deliveries);
}

fn stream(out: &mut Writer<'_>, info: &StreamInfo<Entry>) {
    let dropped = info.summary.idempotence.map(|known| known.dropped);
    out.map(10 + if dropped.is_some() { IDEMPOTENCE_PAIRS + 1 } else { 0 });
    summary(out, &info.summary);
    number(out, "groups", info.groups_count);
    for (name, found) in [("first-entry", &info.first), ("last-entry", &info.last)] {
        out.bulk(name);
        match found {
            Some(found) => entry(out, found),
            None => out.null(),
        }
    }
    // Not in Redis, and so behind everything that is.
    if let Some(dropped) = dropped {
        number(out, "iids-dropped", dropped);
    }
}

/// What a description tells of a stream's producers.
const IDEMPOTENCE_PAIRS: usize = 6;

fn summary(out: &mut Writer<'_>, summary: &StreamSummary) {
    number(out, "length", summary.length);
    number(out, "radix-tree-keys", summary.blocks_count);
    number(out, "radix-tree-nodes", summary.tree_nodes_count);
    out.bulk("last-generated-id");
    id(out, summary.last_id);
    out.bulk("max-deleted-entry-id");
    id(out, summary.max_deleted_id);
    number(out, "entries-added", summary.entries_added);
    out.bulk("recorded-first-entry-id");
    id(out, summary.first_id);
    if let Some(known) = &summary.idempotence {
        idempotence(out, known);
    }
}

fn idempotence(out: &mut Writer<'_>, known: &IdempotenceInfo) {
    number(out, "idmp-duration", known.duration_ms.div_ceil(1000));
    number(out, "idmp-maxsize", known.ids_max);
    number(out, "pids-tracked", known.producers_count);
    number(out, "iids-tracked", known.ids_count);
    number(out, "iids-added", known.added);
    number(out, "iids-duplicates", known.duplicates);
}

fn number(out: &mut Writer<'_>, name: &str, value: u64) {
    out.bulk(name);
    out.unsigned(value);
}

fn number_or_null(out: &mut Writer<'_>, name: &str, value: Option<u64>) {
    out.bulk(name);
    match value {
        Some(value) => out.unsigned(value),
        None => out.null(),
    }
}

/// A number, or -1 for never.
fn number_or_never(out: &mut Writer<'_>, name: &str, value: Option<u64>) {
    out.bulk(name);
    match value {
        Some(value) => out.unsigned(value),
        None => out.integer(-1),
    }
}

/// The six pairs of a group, without the line that announces them.
fn group(out: &mut Writer<'_>, info: &GroupInfo) {
    out.bulk("name");
    out.bulk(&info.name);
    number(out, "consumers", info.consumers_count);
    number(out, "pending", info.pending_count);
    out.bulk("last-delivered-id");
    id(out, info.last_delivered_id);
    number_or_null(out, "entries-read", info.entries_read);
    number_or_null(out, "lag", info.lag.or(info.unread));
}

fn consumer(out: &mut Writer<'_>, info: &ConsumerInfo) {
    out.map(4);
    out.bulk("name");
    out.bulk(&info.name);
    number(out, "pending", info.pending_count);
    number(out, "idle", info.idle_ms);
    number_or_never(out, "inactive", info.inactive_ms);
}

fn stream_full(out: &mut Writer<'_>, info: &StreamFullInfo<Entry>) {
    let later = if info.summary.idempotence.is_some() { IDEMPOTENCE_PAIRS } else { 0 };
    out.map(9 + later);
    summary(out, &info.summary);
    out.bulk("entries");
    entries(out, &info.entries);
    out.bulk("groups");
    each(out, &info.groups, group_full);
}

fn group_full(out: &mut Writer<'_>, full: &GroupFullInfo) {
    let info = &full.info;
    out.map(7 + usize::from(info.nacked_count.is_some()));
    out.bulk("name");
    out.bulk(&info.name);
    out.bulk("last-delivered-id");
    id(out, info.last_delivered_id);
    number_or_null(out, "entries-read", info.entries_read);
    number_or_null(out, "lag", info.lag.or(info.unread));
    number(out, "pel-count", info.pending_count);
    if let Some(nacked_count) = info.nacked_count {
        number(out, "nacked-count", nacked_count);
    }
    out.bulk("pending");
    each(out, &full.pending, |out, pending| {
        out.array(4);
        id(out, pending.id);
        out.bulk(&pending.consumer);
        delivered(out, pending);
    });
    out.bulk("consumers");
    each(out, &full.consumers, consumer_full);
}

fn consumer_full(out: &mut Writer<'_>, full: &ConsumerFullInfo) {
    out.map(5);
    out.bulk("name");
    out.bulk(&full.name);
    number(out, "seen-time", full.seen_ms);
    number_or_never(out, "active-time", full.active_ms);
    number(out, "pel-count", full.pending_count);
    out.bulk("pending");
    each(out, &full.pending, |out, pending| {
        out.array(3);
        id(out, pending.id);
        delivered(out, pending);
    });
}

fn delivered(out: &mut Writer<'_>, pending: &PendingDetail) {
    out.unsigned(pending.delivered_ms);
    out.unsigned(pending.deliveries);
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use resp::{Protocol, ReplyParser};
    use streams::error::Refusal;

    use super::*;

    fn shown(reply: &Reply<Entry>, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        write(&mut Writer::new(&mut out, protocol), reply, Nothing::Array);
        let value = ReplyParser::new().next(&mut out).unwrap().expect("one whole reply");
        assert!(out.is_empty(), "more than one reply");
        value.to_string()
    }

    fn check(reply: Reply<Entry>, resp2: &str, resp3: &str) {
        assert_eq!(shown(&reply, Protocol::Resp2), resp2);
        assert_eq!(shown(&reply, Protocol::Resp3), resp3);
    }

    fn five() -> Entry {
        Entry { id: EntryId::new(5, 1), fields: Some(vec!["a".into(), "1".into()]) }
    }

    #[test]
    fn plain_answers() {
        check(Reply::Ok, "+OK", "+OK");
        check(Reply::Nil, "nil-array", "nil");
        let done = vec![Deleted::Missing, Deleted::Done, Deleted::Kept];
        check(Reply::Deleted(done), "*3[:-1, :1, :2]", "*3[:-1, :1, :2]");
        check(Reply::Count(3), ":3", ":3");
        let max = "'18446744073709551615-18446744073709551615'";
        check(Reply::Added(EntryId::MAX), max, max);
        check(Reply::Type { exists: true }, "+stream", "+stream");
        check(Reply::Refused(Refusal::NoKey), "-ERR no such key", "-ERR no such key");
        let moved = "-TRYAGAIN the slot of this key is not of the shard that was asked";
        check(Reply::Refused(Refusal::Misplaced), moved, moved);
    }

    #[test]
    fn entries_by_stream_are_pairs_or_a_map() {
        let gone = Entry { id: EntryId::new(6, 0), fields: None };
        check(
            Reply::Streams(vec![("s".into(), vec![five(), gone])]),
            "*1[*2['s', *2[*2['5-1', *2['a', '1']], *2['6-0', nil-array]]]]",
            "%1{'s': *2[*2['5-1', *2['a', '1']], *2['6-0', nil]]}",
        );
    }

    #[test]
    fn what_was_claimed_says_how_it_was_delivered_before() {
        let earlier = |idle_ms, deliveries| Some(Earlier { idle_ms, deliveries });
        let claimed = Delivery { entry: five(), earlier: earlier(900, 2) };
        let new = Delivery { entry: five(), earlier: earlier(0, 0) };
        let of_history = Delivery { entry: five(), earlier: None };
        let (a, b) = (vec![claimed, new], vec![of_history]);
        check(
            Reply::Deliveries(vec![("a".into(), a), ("b".into(), b)]),
            "*2[*2['a', *2[*4['5-1', *2['a', '1'], :900, :2], *4['5-1', *2['a', '1'], :0, :0]]], \
             *2['b', *1[*2['5-1', *2['a', '1']]]]]",
            "%2{'a': *2[*4['5-1', *2['a', '1'], :900, :2], *4['5-1', *2['a', '1'], :0, :0]], \
             'b': *1[*2['5-1', *2['a', '1']]]}",
        );
    }

    #[test]
    fn what_is_pending() {
        check(
            Reply::PendingSummary(PendingSummary::default()),
            "*4[:0, nil, nil, nil-array]",
            "*4[:0, nil, nil, nil]",
        );
        let id = EntryId::new(5, 1);
        let summary =
            PendingSummary { total: 1, range: Some((id, id)), consumers: vec![("c".into(), 1)] };
        let expected = "*4[:1, '5-1', '5-1', *1[*2['c', '1']]]";
        check(Reply::PendingSummary(summary), expected, expected);
        let claimed = Claimed::Entries(vec![five()]);
        let expected = "*3['0-0', *1[*2['5-1', *2['a', '1']]], *1['5-1']]";
        let next = EntryId::MIN;
        check(Reply::AutoClaimed { next, claimed, deleted: vec![id] }, expected, expected);
    }

    fn summary_of(idempotence: Option<IdempotenceInfo>) -> StreamSummary {
        StreamSummary {
            length: 1,
            blocks_count: 1,
            tree_nodes_count: 2,
            last_id: EntryId::new(9, 9),
            max_deleted_id: EntryId::new(5, 1),
            entries_added: 9,
            first_id: EntryId::new(6, 0),
            idempotence,
        }
    }

    fn known() -> IdempotenceInfo {
        IdempotenceInfo {
            duration_ms: 100_000,
            ids_max: 200,
            producers_count: 3,
            ids_count: 40,
            added: 500,
            duplicates: 6,
            dropped: 7,
        }
    }

    #[test]
    fn descriptions_have_the_pairs_of_redis_7_2_where_nothing_later_is_told() {
        let info = StreamInfo {
            summary: summary_of(None),
            groups_count: 1,
            first: Some(five()),
            last: None,
        };
        check(
            Reply::Stream(Box::new(info)),
            "*20['length', :1, 'radix-tree-keys', :1, 'radix-tree-nodes', :2, \
             'last-generated-id', '9-9', 'max-deleted-entry-id', '5-1', 'entries-added', :9, \
             'recorded-first-entry-id', '6-0', 'groups', :1, 'first-entry', \
             *2['5-1', *2['a', '1']], 'last-entry', nil]",
            "%10{'length': :1, 'radix-tree-keys': :1, 'radix-tree-nodes': :2, \
             'last-generated-id': '9-9', 'max-deleted-entry-id': '5-1', 'entries-added': :9, \
             'recorded-first-entry-id': '6-0', 'groups': :1, 'first-entry': \
             *2['5-1', *2['a', '1']], 'last-entry': nil}",
        );
        let never =
            ConsumerInfo { name: "c".into(), pending_count: 0, idle_ms: 7, inactive_ms: None };
        check(
            Reply::Consumers(vec![never]),
            "*1[*8['name', 'c', 'pending', :0, 'idle', :7, 'inactive', :-1]]",
            "*1[%4{'name': 'c', 'pending': :0, 'idle': :7, 'inactive': :-1}]",
        );
    }

    #[test]
    fn a_description_tells_of_producers_and_last_of_what_redis_does_not_count() {
        let summary = summary_of(Some(known()));
        let info = StreamInfo { summary, groups_count: 1, first: None, last: None };
        let resp2 = "*34['length', :1, 'radix-tree-keys', :1, 'radix-tree-nodes', :2, \
             'last-generated-id', '9-9', 'max-deleted-entry-id', '5-1', 'entries-added', :9, \
             'recorded-first-entry-id', '6-0', 'idmp-duration', :100, 'idmp-maxsize', :200, \
             'pids-tracked', :3, 'iids-tracked', :40, 'iids-added', :500, 'iids-duplicates', :6, \
             'groups', :1, 'first-entry', nil, 'last-entry', nil, 'iids-dropped', :7]";
        let reply = Reply::Stream(Box::new(info));
        assert_eq!(shown(&reply, Protocol::Resp2), resp2);
        assert!(shown(&reply, Protocol::Resp3).starts_with("%17{'length': :1, "));
    }

    fn group_of(unread: Option<u64>, nacked_count: Option<u64>) -> GroupInfo {
        GroupInfo {
            name: "g".into(),
            consumers_count: 1,
            pending_count: 1,
            last_delivered_id: EntryId::new(5, 1),
            entries_read: None,
            lag: None,
            unread,
            nacked_count,
        }
    }

    #[test]
    fn a_full_description_shows_groups_and_consumers() {
        let detail = || PendingDetail {
            id: EntryId::new(5, 1),
            consumer: "c".into(),
            delivered_ms: 100,
            deliveries: 2,
        };
        let full = |idempotence, unread, nacked_count| {
            let consumer = ConsumerFullInfo {
                name: "c".into(),
                seen_ms: 100,
                active_ms: None,
                pending_count: 1,
                pending: vec![detail()],
            };
            let info = group_of(unread, nacked_count);
            let group = GroupFullInfo { info, pending: vec![detail()], consumers: vec![consumer] };
            let summary = summary_of(idempotence);
            Reply::StreamFull(Box::new(StreamFullInfo {
                summary,
                entries: Vec::new(),
                groups: vec![group],
            }))
        };
        let start = "'length': :1, 'radix-tree-keys': :1, 'radix-tree-nodes': :2, \
             'last-generated-id': '9-9', 'max-deleted-entry-id': '5-1', 'entries-added': :9, \
             'recorded-first-entry-id': '6-0', ";
        let producers = "'idmp-duration': :100, 'idmp-maxsize': :200, 'pids-tracked': :3, \
             'iids-tracked': :40, 'iids-added': :500, 'iids-duplicates': :6, ";
        let end = "'pending': *1[*4['5-1', 'c', :100, :2]], 'consumers': \
             *1[%5{'name': 'c', 'seen-time': :100, 'active-time': :-1, 'pel-count': :1, \
             'pending': *1[*3['5-1', :100, :2]]}]}]}";
        assert_eq!(
            shown(&full(None, None, None), Protocol::Resp3),
            format!(
                "%9{{{start}'entries': *0[], 'groups': *1[%7{{'name': 'g', 'last-delivered-id': \
                 '5-1', 'entries-read': nil, 'lag': nil, 'pel-count': :1, {end}"
            )
        );
        assert_eq!(
            shown(&full(Some(known()), Some(8), Some(1)), Protocol::Resp3),
            format!(
                "%15{{{start}{producers}'entries': *0[], 'groups': *1[%8{{'name': 'g', \
                 'last-delivered-id': '5-1', 'entries-read': nil, 'lag': :8, 'pel-count': :1, \
                 'nacked-count': :1, {end}"
            )
        );
    }
}
