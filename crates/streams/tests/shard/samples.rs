//! One of each thing that is encoded.

pub(crate) mod keys;

use base::{Incarnation, NodeId};
use bytes::Bytes;
use streams::command::{
    Add, AddId, AutoClaim, Claim, Command, Delivered, GroupStart, Keep, Most, Nack, NackMode,
    Producer, ReadFrom, ReadGroup, References, Stamp, Trim,
};
use streams::error::Refusal;
use streams::id::{EntryId, StreamNumber};
use streams::query::{After, Query};
use streams::reply::{
    Claimed, ConsumerFullInfo, ConsumerInfo, Deleted, Delivery, Earlier, Entry, EntryRef,
    GroupFullInfo, GroupInfo, IdempotenceInfo, PendingDetail, PendingEntry, PendingSummary, Reply,
    StreamFullInfo, StreamInfo, StreamSummary,
};
use streams::{Admit, Batch, Blocks, Origin, Run, State};

fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn id(ms: u64, seq: u64) -> EntryId {
    EntryId::new(ms, seq)
}

fn add(id: AddId, trim: Option<Trim>) -> Command {
    let fields = vec![b("item"), b("7"), b(""), Bytes::from_static(&[0, 255])];
    Command::Add(Add { key: b("orders"), id, fields, must_exist: trim.is_some(), trim, once: None })
}

fn add_once(name: Bytes, id: Bytes) -> Command {
    let Command::Add(plain) = add(AddId::Auto, None) else { unreachable!() };
    Command::Add(Add { once: Some(Producer { name, id }), ..plain })
}

pub(crate) fn commands() -> Vec<Command> {
    let (key, group, consumer) = (b("orders"), b("workers"), b("alice"));
    let (newest, from) = trims();
    let claim = |delivered, deliveries| {
        Command::Claim(Claim {
            key: b("orders"),
            group: b("workers"),
            consumer: b("bob"),
            min_idle_ms: 60_000,
            ids: vec![id(1, 2), id(300, 4)],
            delivered,
            deliveries,
            force: deliveries.is_some(),
            just_id: deliveries.is_none(),
            last_id: deliveries.map(|_| id(9, 9)),
        })
    };
    let first = vec![
        add(AddId::Auto, None),
        add(AddId::Ms(1_700_000_000_000), Some(newest)),
        add(AddId::Exact(EntryId::MAX), Some(from)),
        Command::Trim { key: key.clone(), trim: newest },
        Command::Delete { key: key.clone(), ids: vec![id(1, 2), EntryId::MIN] },
        Command::SetId {
            key: key.clone(),
            last_id: id(7, 8),
            entries_added: Some(9),
            max_deleted_id: None,
        },
        Command::GroupCreate {
            key: key.clone(),
            group: group.clone(),
            start: GroupStart::Last,
            make_stream: true,
            entries_read: Some(4),
        },
        Command::GroupSetId {
            key: key.clone(),
            group: group.clone(),
            start: GroupStart::After(id(3, 3)),
            entries_read: None,
        },
        Command::GroupDestroy { key: key.clone(), group: group.clone() },
        Command::ConsumerCreate {
            key: key.clone(),
            group: group.clone(),
            consumer: consumer.clone(),
        },
        Command::ConsumerDelete { key: key.clone(), group: group.clone(), consumer },
        Command::ReadGroup(read_group()),
        Command::Ack { key: key.clone(), group: group.clone(), ids: vec![id(1, 0)] },
        claim(None, None),
        claim(Some(Delivered::IdleMs(5)), Some(3)),
        claim(Some(Delivered::AtMs(6)), None),
        Command::AutoClaim(AutoClaim {
            key,
            group,
            consumer: b("eve"),
            min_idle_ms: 1,
            start: id(2, 0),
            count: 100,
            just_id: true,
        }),
        Command::Remove { keys: vec![b("a"), b("")] },
        Command::Void,
        Command::Misplaced,
    ];
    [first, later_commands(), keys::commands()].concat()
}

/// Commands that came later, in the order in which they came.
fn later_commands() -> Vec<Command> {
    let (key, group, ids) = (b("orders"), b("workers"), vec![id(1, 2), id(300, 4)]);
    let trim =
        |references| Trim { keep: Keep::Newest(9), approximate: true, limit: None, references };
    let mut commands = reads_within().map(Command::ReadGroup).to_vec();
    commands.extend([
        Command::Trim { key: key.clone(), trim: trim(References::Acked) },
        add(AddId::Auto, Some(trim(References::Delete))),
        Command::DeleteWith { key: key.clone(), ids: ids.clone(), references: References::Keep },
        Command::AckDelete {
            key: key.clone(),
            group: group.clone(),
            ids: ids.clone(),
            references: References::Acked,
        },
        Command::Nack(Nack {
            key: key.clone(),
            group,
            mode: NackMode::Fatal,
            ids,
            deliveries: Some(3),
            force: true,
        }),
        Command::Configure { key, duration_ms: Some(60_000), ids_max: None },
        add_once(b("payments"), b("42")),
    ]);
    commands
}

fn read_group() -> ReadGroup {
    ReadGroup {
        group: b("workers"),
        consumer: b("alice"),
        count: 10,
        most: Most::default(),
        no_ack: true,
        claim_idle_ms: None,
        streams: vec![(b("a"), ReadFrom::New), (b("b"), ReadFrom::History(id(4, 5)))],
    }
}

fn trims() -> (Trim, Trim) {
    let (keep, references) = (Keep::Newest(1000), References::Keep);
    let newest = Trim { keep, approximate: true, limit: Some(50), references };
    let keep = Keep::From(id(5, u64::MAX));
    (newest, Trim { keep, approximate: false, limit: None, references })
}

fn reads_within() -> [ReadGroup; 2] {
    let most = Most { entries: Some(300), bytes: Some(1 << 20) };
    [ReadGroup { most, ..read_group() }, ReadGroup { claim_idle_ms: Some(60_000), ..read_group() }]
}

pub(crate) fn queries() -> Vec<Query> {
    let [_, claiming] = reads_within();
    let (key, group) = (b("orders"), b("workers"));
    let first = vec![
        Query::Length { key: key.clone() },
        Query::Range {
            key: key.clone(),
            start: EntryId::MIN,
            end: EntryId::MAX,
            count: Some(0),
            reverse: true,
        },
        Query::Read {
            count: 5,
            most: Most::default(),
            streams: vec![
                (b("a"), After::Id(id(1, 1))),
                (b("b"), After::Last),
                (b("c"), After::Newest),
            ],
        },
        Query::PendingSummary { key: key.clone(), group: group.clone() },
        Query::PendingRange {
            key: key.clone(),
            group: group.clone(),
            min_idle_ms: 9,
            start: id(1, 0),
            end: id(2, 0),
            count: 10,
            consumer: Some(b("alice")),
        },
        Query::Stream { key: key.clone() },
        Query::StreamFull { key: key.clone(), count: 10 },
        Query::Groups { key: key.clone() },
        Query::Consumers { key: key.clone(), group },
        Query::Exists { keys: vec![b("a"), b("b")] },
        Query::Type { key },
        Query::KeysCount,
        Query::WouldDeliver(read_group()),
        Query::LastIds { keys: vec![b("a"), b("b")] },
        Query::Read {
            count: 0,
            most: Most { entries: None, bytes: Some(9) },
            streams: vec![(b("a"), After::Newest)],
        },
        Query::WouldDeliver(claiming),
    ];
    [first, keys::queries()].concat()
}

pub(crate) fn entry_refs() -> Vec<EntryRef> {
    let stream = StreamNumber(300);
    vec![EntryRef { stream, id: id(1, 2) }, EntryRef { stream, id: EntryId::MAX }]
}

pub(crate) fn entries() -> Vec<Entry> {
    let fields = Some(vec![b("item"), b("7")]);
    vec![Entry { id: id(1, 2), fields }, Entry { id: id(3, 4), fields: None }]
}

fn refusals() -> Vec<Refusal> {
    let (key, group) = (b("orders"), b("workers"));
    vec![
        Refusal::IdNotAbove,
        Refusal::IdsExhausted,
        Refusal::NoKey,
        Refusal::GroupNeedsKey,
        Refusal::NoGroupForRead { key: key.clone(), group: group.clone() },
        Refusal::NoGroup { key: key.clone(), group: group.clone() },
        Refusal::NoGroupForKey { key, group },
        Refusal::GroupExists,
        Refusal::SetIdBelowLast,
        Refusal::SetIdBelowDeleted,
        Refusal::SetIdBelowGivenDeleted,
        Refusal::SetIdAddedBelowLength,
        Refusal::Stale,
        Refusal::TooManyKept,
        Refusal::Misplaced,
        Refusal::NoFrequency,
        Refusal::TooBigToCopy,
        Refusal::TransactionReadsTooMuch,
    ]
}

fn summary() -> StreamSummary {
    StreamSummary {
        length: 3,
        blocks_count: 2,
        tree_nodes_count: 4,
        last_id: id(9, 0),
        max_deleted_id: id(2, 0),
        entries_added: 300,
        first_id: id(5, 6),
        idempotence: None,
    }
}

fn group_info() -> GroupInfo {
    GroupInfo {
        name: b("workers"),
        consumers_count: 1,
        pending_count: 2,
        last_delivered_id: id(8, 0),
        entries_read: Some(7),
        lag: None,
        unread: None,
        nacked_count: None,
    }
}

fn group_full() -> GroupFullInfo {
    let detail =
        PendingDetail { id: id(5, 6), consumer: b("alice"), delivered_ms: 1000, deliveries: 2 };
    let consumer = ConsumerFullInfo {
        name: b("alice"),
        seen_ms: 2000,
        active_ms: Some(1000),
        pending_count: 1,
        pending: vec![detail.clone()],
    };
    GroupFullInfo { info: group_info(), pending: vec![detail], consumers: vec![consumer] }
}

/// What XINFO says since it tells of producers and of entries that are nobody's.
fn later_descriptions<E: Clone>(entries: &[E]) -> [Reply<E>; 3] {
    let idempotence = Some(IdempotenceInfo {
        duration_ms: 86_400_000,
        ids_max: 10_000,
        producers_count: 2,
        ids_count: 300,
        added: 400,
        duplicates: 5,
        dropped: 6,
    });
    let summary = StreamSummary { idempotence, ..summary() };
    let info = GroupInfo { unread: Some(3), nacked_count: Some(1), ..group_info() };
    let group = GroupFullInfo { info: info.clone(), ..group_full() };
    let (first, entries) = (entries.first().cloned(), entries.to_vec());
    let (groups_count, groups, last) = (1, vec![group], None);
    [
        Reply::Stream(Box::new(StreamInfo { summary: summary.clone(), groups_count, first, last })),
        Reply::StreamFull(Box::new(StreamFullInfo { summary, entries, groups })),
        Reply::Groups(vec![info]),
    ]
}

pub(crate) fn replies<E: Clone>(entries: &[E]) -> Vec<Reply<E>> {
    let all = entries.to_vec();
    let mut replies = vec![
        Reply::Ok,
        Reply::Nil,
        Reply::Count(1 << 40),
        Reply::Added(id(1_700_000_000_000, 3)),
        Reply::Entries(all.clone()),
        Reply::Ids(vec![id(1, 1), id(2, 2)]),
        Reply::Streams(vec![(b("a"), all.clone()), (b("b"), Vec::new())]),
        Reply::AutoClaimed {
            next: id(6, 0),
            claimed: Claimed::Entries(all.clone()),
            deleted: vec![id(4, 4)],
        },
        Reply::AutoClaimed {
            next: EntryId::MIN,
            claimed: Claimed::Ids(vec![id(5, 5)]),
            deleted: Vec::new(),
        },
        Reply::PendingSummary(PendingSummary {
            total: 4,
            range: Some((id(1, 0), id(4, 0))),
            consumers: vec![(b("alice"), 4)],
        }),
        Reply::Pending(vec![PendingEntry {
            id: id(1, 0),
            consumer: b("alice"),
            idle_ms: Some(12),
            deliveries: 2,
        }]),
        Reply::Stream(Box::new(StreamInfo {
            summary: summary(),
            groups_count: 1,
            first: all.first().cloned(),
            last: None,
        })),
        Reply::StreamFull(Box::new(StreamFullInfo {
            summary: summary(),
            entries: all,
            groups: vec![group_full()],
        })),
        Reply::Groups(vec![group_info()]),
        Reply::Consumers(vec![ConsumerInfo {
            name: b("alice"),
            pending_count: 2,
            idle_ms: 3,
            inactive_ms: None,
        }]),
        Reply::Type { exists: true },
    ];
    let earlier = |idle_ms, deliveries| Some(Earlier { idle_ms, deliveries });
    let deliveries = entries.iter().cloned().zip([earlier(900, 3), None]);
    let deliveries = deliveries.map(|(entry, earlier)| Delivery { entry, earlier }).collect();
    replies.extend(refusals().into_iter().map(Reply::Refused));
    replies.push(Reply::Deliveries(vec![(b("a"), deliveries), (b("b"), Vec::new())]));
    let pending =
        |consumer, idle_ms| PendingEntry { id: id(1, 0), consumer, idle_ms, deliveries: 2 };
    let released = vec![pending(b("alice"), Some(12)), pending(b(""), None)];
    replies.push(Reply::Deleted(vec![Deleted::Missing, Deleted::Done, Deleted::Kept]));
    replies.push(Reply::Pending(released));
    replies.extend(keys::replies());
    replies.extend(later_descriptions(entries));
    replies
}

fn origin() -> Origin {
    let incarnation = Incarnation { count: 3, random: 0x0123_4567_89ab_cdef };
    Origin { node: NodeId(2), incarnation }
}

pub(crate) fn batches() -> Vec<Batch> {
    let stamp = Stamp { now_ms: 1_700_000_000_000 };
    let run = Run { origin: origin(), first: 7, lowest_unanswered: 5, commands: commands() };
    let empty = Run { origin: origin(), first: 1, lowest_unanswered: 1, commands: Vec::new() };
    vec![Batch { stamp, runs: vec![run, empty] }, Batch::default()]
}

/// A shard with something of everything.
pub(crate) fn state() -> State {
    let mut state = State::new();
    let blocks = Blocks::new();
    let mut sequence = streams::SEQUENCE_FIRST;
    let mut apply = |now_ms: u64, command: Command| {
        assert_eq!(state.admit(&origin(), sequence, sequence.saturating_sub(3)), Admit::Apply);
        let applied = state.apply(&blocks, Stamp { now_ms }, &command).unwrap();
        state.keep(&origin(), sequence, &applied.reply);
        sequence += 1;
    };
    for number in 0..120 {
        apply(1_000 + number / 7, add(AddId::Auto, None));
    }
    let (key, group) = (b("orders"), b("workers"));
    let create = |group: Bytes, start| Command::GroupCreate {
        key: b("orders"),
        group,
        start,
        make_stream: false,
        entries_read: None,
    };
    apply(2_000, create(group.clone(), GroupStart::After(EntryId::MIN)));
    apply(2_000, create(b("idle"), GroupStart::Last));
    let read = |consumer, count| {
        let streams = vec![(b("orders"), ReadFrom::New)];
        let group = b("workers");
        Command::ReadGroup(ReadGroup {
            group,
            consumer,
            count,
            streams,
            no_ack: false,
            ..read_group()
        })
    };
    apply(2_100, read(b("alice"), 4));
    apply(2_200, read(b("bob"), 3));
    apply(2_300, Command::ConsumerCreate { key: key.clone(), group, consumer: b("eve") });
    apply(2_400, Command::Delete { key, ids: vec![id(1_000, 0), id(1_001, 3), id(1_016, 6)] });
    apply(2_500, Command::Remove { keys: vec![b("none")] });
    apply(2_600, read(b("alice"), 2));
    state
}

/// A shard with what came later: entries that are nobody's or gone, and producers.
pub(crate) fn state_marked() -> State {
    let (mut state, blocks) = (State::new(), Blocks::new());
    let mut apply = |now_ms: u64, command: Command| {
        state.apply(&blocks, Stamp { now_ms }, &command).unwrap();
    };
    let (key, group) = (b("orders"), b("workers"));
    apply(100, add_once(b("payments"), b("41")));
    apply(101, add_once(b("payments"), b("42")));
    apply(102, add_once(b("refunds"), b("42")));
    apply(103, add_once(b("refunds"), b("42")));
    apply(104, Command::Configure { key: key.clone(), duration_ms: Some(5000), ids_max: Some(1) });
    let (start, make_stream, entries_read) = (GroupStart::After(EntryId::MIN), false, None);
    let (of, name) = (key.clone(), group.clone());
    apply(105, Command::GroupCreate { key: of, group: name, start, make_stream, entries_read });
    let streams = vec![(key.clone(), ReadFrom::New)];
    let consumer = b("alice");
    let read = ReadGroup { group: group.clone(), consumer, streams, ..ReadGroup::default() };
    apply(106, Command::ReadGroup(read.clone()));
    let nack = |ids| Nack {
        key: b("orders"),
        group: b("workers"),
        mode: NackMode::Fail,
        ids,
        deliveries: None,
        force: false,
    };
    apply(107, Command::Nack(nack(vec![id(102, 0)])));
    apply(108, Command::Delete { key, ids: vec![id(100, 0)] });
    apply(200, Command::ReadGroup(ReadGroup { claim_idle_ms: Some(90), count: 2, ..read }));
    apply(201, Command::Nack(nack(vec![id(102, 0)])));
    state
}
