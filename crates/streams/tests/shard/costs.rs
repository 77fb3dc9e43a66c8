//! What things may cost: which blocks are looked into, how much a checkpoint writes, how much one
//! read takes.

use super::stored::Stored;
use bytes::Bytes;
use streams::Settings;
use streams::command::{
    Add, AddId, AutoClaim, Command, GroupStart, Keep, Most, ReadFrom, ReadGroup, References, Stamp,
    Step, Transaction, Trim,
};
use streams::error::Refusal;
use streams::id::EntryId;
use streams::query::{After, Query};
use streams::reply::Reply;

const STAMP: Stamp = Stamp { now_ms: 10 };

fn key() -> Bytes {
    Bytes::from_static(b"s")
}

fn group() -> Bytes {
    Bytes::from_static(b"g")
}

fn add(value: Bytes) -> Command {
    let fields = vec![Bytes::from_static(b"f"), value];
    Command::Add(Add {
        key: key(),
        id: AddId::Auto,
        fields,
        must_exist: false,
        trim: None,
        once: None,
    })
}

fn trim(newest: u64, approximate: bool) -> Trim {
    let limit = Some(0).filter(|_| approximate);
    Trim { keep: Keep::Newest(newest), approximate, limit, references: References::Keep }
}

fn id(seq: u64) -> EntryId {
    EntryId::new(10, seq)
}

fn read_group(count: u64, from: ReadFrom) -> ReadGroup {
    let (group, consumer) = (group(), Bytes::from_static(b"c"));
    ReadGroup { group, consumer, count, streams: vec![(key(), from)], ..ReadGroup::default() }
}

/// A stream of so many entries and a group at its start; sealed blocks are in the store alone.
fn shard(entries: u64) -> Stored {
    let mut shard = Stored::default();
    for number in 0..entries {
        shard.apply(STAMP, &add(Bytes::from(number.to_string())));
    }
    let start = GroupStart::After(EntryId::MIN);
    let (key, group, make_stream, entries_read) = (key(), group(), false, None);
    let create = Command::GroupCreate { key, group, start, make_stream, entries_read };
    shard.apply(STAMP, &create);
    shard.evict();
    shard
}

#[test]
fn what_needs_no_entry_looks_at_no_block() {
    let mut shard = shard(1000);
    shard.apply(STAMP, &Command::ReadGroup(read_group(500, ReadFrom::New)));
    shard.evict();
    let state = &shard.state;
    let none = |command: Command| assert_eq!(state.needs(STAMP, &command), [], "{command:?}");
    none(add(Bytes::new()));
    none(Command::Ack { key: key(), group: group(), ids: vec![id(1), id(499)] });
    none(Command::Trim { key: key(), trim: trim(250, true) });
    none(Command::Trim { key: key(), trim: trim(300, false) });
    none(Command::Trim { key: key(), trim: trim(0, false) });
    none(Command::Remove { keys: vec![key()] });
    none(Command::Delete { key: key(), ids: vec![EntryId::new(9, 0), EntryId::new(11, 0)] });
    // What is pending and lies in a block without deletions is there.
    none(Command::ReadGroup(read_group(0, ReadFrom::History(EntryId::MIN))));
    none(Command::AutoClaim(AutoClaim {
        key: key(),
        group: group(),
        consumer: Bytes::from_static(b"d"),
        min_idle_ms: 0,
        start: EntryId::MIN,
        count: 100,
        just_id: false,
    }));
    let none = |query: Query| assert_eq!(state.needs_query(&query), [], "{query:?}");
    let whole = |consumer| Query::PendingRange {
        key: key(),
        group: group(),
        min_idle_ms: 0,
        start: EntryId::MIN,
        end: EntryId::MAX,
        count: 1000,
        consumer,
    };
    none(Query::Length { key: key() });
    none(Query::PendingSummary { key: key(), group: group() });
    none(whole(None));
    none(whole(Some(Bytes::from_static(b"c"))));
    none(Query::Groups { key: key() });
    none(Query::Stream { key: key() });
    none(Query::WouldDeliver(read_group(0, ReadFrom::New)));
}

#[test]
fn a_trim_looks_into_what_is_held_alone() {
    let mut shard = shard(1000);
    let held = |references| Trim { references, ..trim(0, false) };
    let needs = |shard: &Stored, references| {
        let trim = held(references);
        shard.state.needs(STAMP, &Command::Trim { key: key(), trim }).len()
    };
    // A group that has read nothing holds all, one that has read and acknowledged all nothing.
    assert_eq!(needs(&shard, References::Acked), 0);
    shard.apply(STAMP, &Command::ReadGroup(read_group(0, ReadFrom::New)));
    assert_eq!(needs(&shard, References::Delete), 0);
    let ids = (0..1000).filter(|seq| *seq != 450).map(id).collect();
    shard.apply(STAMP, &Command::Ack { key: key(), group: group(), ids });
    shard.evict();
    // Up to the first that is held nothing is looked at; behind it, all.
    assert_eq!(needs(&shard, References::Acked), 5);
    let command = Command::Trim { key: key(), trim: held(References::Acked) };
    assert_eq!(shard.apply(STAMP, &command), Reply::Count(999));
}

#[test]
fn what_needs_an_entry_looks_at_its_block_alone() {
    let shard = shard(1000);
    let needs = |command: Command| shard.state.needs(STAMP, &command).len();
    assert_eq!(needs(Command::Delete { key: key(), ids: vec![id(150), id(151)] }), 1);
    assert_eq!(needs(Command::Delete { key: key(), ids: vec![id(150), id(250), id(950)] }), 2);
    assert_eq!(needs(Command::Trim { key: key(), trim: trim(250, false) }), 1);
    assert_eq!(needs(Command::ReadGroup(read_group(10, ReadFrom::New))), 1);
    assert_eq!(needs(Command::ReadGroup(read_group(150, ReadFrom::New))), 2);
    let range = |start, end, count, reverse| {
        shard.state.needs_query(&Query::Range { key: key(), start, end, count, reverse }).len()
    };
    assert_eq!(range(id(120), id(130), None, false), 1);
    assert_eq!(range(id(199), id(200), None, true), 2);
    assert_eq!(range(EntryId::MIN, EntryId::MAX, Some(1), false), 1);
    assert_eq!(range(EntryId::MIN, EntryId::MAX, Some(1), true), 0);
    assert_eq!(range(EntryId::MIN, EntryId::MAX, None, false), 9);
}

#[test]
fn a_checkpoint_writes_what_changed() {
    let mut shard = shard(20_000);
    shard.apply(STAMP, &Command::ReadGroup(read_group(0, ReadFrom::New)));
    shard.evict();
    let mut parts = |command: Command| {
        shard.apply(STAMP, &command);
        let checkpoint = shard.state.checkpoint();
        let count = (checkpoint.put.len(), checkpoint.removed.len());
        shard.store(checkpoint);
        shard.state.release();
        count
    };
    // The stream and its tail.
    assert_eq!(parts(add(Bytes::new())), (4, 0), "a block was full: it, and a chunk of the index");
    assert_eq!(parts(add(Bytes::new())), (2, 0));
    // The one chunk of pending entries.
    assert_eq!(parts(Command::Ack { key: key(), group: group(), ids: vec![id(7_000)] }), (1, 0));
    // The stream and the one chunk of the index.
    assert_eq!(parts(Command::Delete { key: key(), ids: vec![id(7_000)] }), (2, 0));
    // The stream, two chunks of the index; ten blocks.
    assert_eq!(parts(Command::Trim { key: key(), trim: trim(19_001, true) }), (2, 10));
    assert_eq!(shard.state.checkpoint().put, []);
}

#[test]
fn a_removed_stream_is_one_prefix() {
    let mut shard = shard(5_000);
    assert!(shard.parts.len() > 50);
    shard.apply(STAMP, &Command::Remove { keys: vec![key()] });
    let checkpoint = shard.state.checkpoint();
    assert_eq!((checkpoint.put.len(), checkpoint.removed.len()), (0, 0));
    assert_eq!(checkpoint.dropped_prefixes.len(), 1);
    shard.store(checkpoint);
    assert_eq!(shard.parts.len(), 0);
}

#[test]
fn a_stream_that_no_checkpoint_has_leaves_nothing_behind() {
    let mut shard = Stored::default();
    shard.apply(STAMP, &add(Bytes::new()));
    shard.apply(STAMP, &Command::Remove { keys: vec![key()] });
    let checkpoint = shard.state.checkpoint();
    assert_eq!((checkpoint.put.len(), checkpoint.dropped_prefixes.len()), (0, 0));
}

#[test]
fn names_hold_no_batch_in_memory() {
    // A key that is a slice of a big batch must not keep the batch.
    let batch = Bytes::from(vec![b'k'; 1 << 20]);
    let mut shard = Stored::default();
    let Command::Add(mut command) = add(batch.slice(10..20)) else { unreachable!() };
    command.key = batch.slice(0..3);
    shard.apply(STAMP, &Command::Add(command));
    let create = Command::GroupCreate {
        key: batch.slice(0..3),
        group: batch.slice(3..5),
        start: GroupStart::Last,
        make_stream: false,
        entries_read: None,
    };
    shard.apply(STAMP, &create);
    drop(create);
    let (key, group, consumer) = (batch.slice(0..3), batch.slice(3..5), batch.slice(5..6));
    shard.apply(STAMP, &Command::ConsumerCreate { key, group, consumer });
    assert!(batch.is_unique());
}

#[test]
fn one_read_is_bounded_in_bytes_and_goes_on_where_it_ended() {
    const ENTRIES: u64 = 80;
    let mut shard = Stored::default();
    let value = Bytes::from(vec![b'v'; 1 << 20]);
    for _ in 0..ENTRIES {
        shard.apply(STAMP, &add(value.clone()));
    }
    shard.evict();
    let range =
        |start| Query::Range { key: key(), start, end: EntryId::MAX, count: None, reverse: false };
    assert_eq!(shard.state.needs_query(&range(EntryId::MIN)).len(), 64);
    let Reply::Entries(first) = shard.answer(STAMP, &range(EntryId::MIN)) else { unreachable!() };
    assert_eq!(first.len(), 64);
    let after = first.last().unwrap().id.next().unwrap();
    let Reply::Entries(rest) = shard.answer(STAMP, &range(after)) else { unreachable!() };
    assert_eq!(first.len() + rest.len(), ENTRIES as usize);

    let start = GroupStart::After(EntryId::MIN);
    let (make_stream, entries_read) = (false, None);
    let create =
        Command::GroupCreate { key: key(), group: group(), start, make_stream, entries_read };
    shard.apply(STAMP, &create);
    let mut read = read_group(0, ReadFrom::New);
    // The same stream three times shares the bytes of one read.
    read.streams = vec![(key(), ReadFrom::New); 3];
    let Reply::Streams(streams) = shard.apply(STAMP, &Command::ReadGroup(read)) else {
        unreachable!()
    };
    let delivered: usize = streams.iter().map(|(_, entries)| entries.len()).sum();
    assert_eq!(delivered, 66, "each may go over its share by one block");
    let history = Command::ReadGroup(read_group(0, ReadFrom::History(EntryId::MIN)));
    let Reply::Streams(streams) = shard.apply(STAMP, &history) else { unreachable!() };
    assert_eq!(streams[0].1.len(), 64);
}

#[test]
fn what_is_pending_and_gone_stands_in_the_way_of_claims_once() {
    let mut shard = shard(2500);
    shard.apply(STAMP, &Command::ReadGroup(read_group(0, ReadFrom::New)));
    shard.apply(STAMP, &Command::Trim { key: key(), trim: trim(10, false) });
    shard.evict();
    let claim = ReadGroup { claim_idle_ms: Some(5), ..read_group(1, ReadFrom::New) };
    assert_eq!(shard.state.claimable_ms(&claim), Some(15));
    let later = Stamp { now_ms: 15 };
    let command = Command::ReadGroup(claim.clone());
    // Each time it goes a thousand and one further, in a state that is loaded as well.
    assert_eq!(shard.apply(later, &command), Reply::Nil);
    shard.reload();
    assert_eq!(shard.apply(later, &command), Reply::Nil);
    assert_eq!(shard.answer(later, &Query::WouldDeliver(claim.clone())), Reply::Count(1));
    let Reply::Deliveries(streams) = shard.apply(later, &command) else { unreachable!() };
    assert_eq!(streams[0].1[0].entry.id, id(2490));
    let summary = Query::PendingSummary { key: key(), group: group() };
    let Reply::PendingSummary(summary) = shard.answer(later, &summary) else { unreachable!() };
    assert_eq!(summary.total, 2500);
    // The next one that is in the way is there.
    assert_eq!(shard.state.claimable_ms(&claim), Some(15));
    let rest = ReadGroup { count: 0, ..claim };
    shard.apply(later, &Command::ReadGroup(rest.clone()));
    assert_eq!(shard.state.claimable_ms(&rest), Some(20));
}

#[test]
fn a_read_bounded_in_bytes_asks_for_few_blocks() {
    let mut shard = shard(10_000);
    let most = Most { entries: None, bytes: Some(1000) };
    let read = Query::Read { count: 0, most, streams: vec![(key(), After::Id(EntryId::MIN))] };
    // An entry takes about 40 bytes in the reply, and at least 5 in its block.
    assert!(shard.state.needs_query(&read).len() <= 3);
    let read = ReadGroup { most, ..read_group(0, ReadFrom::New) };
    assert!(shard.state.needs(STAMP, &Command::ReadGroup(read)).len() <= 3);
    shard.apply(STAMP, &Command::ReadGroup(read_group(0, ReadFrom::New)));
    shard.evict();
    let claim = ReadGroup { most, claim_idle_ms: Some(0), ..read_group(0, ReadFrom::New) };
    assert_eq!(shard.state.needs(STAMP, &Command::ReadGroup(claim.clone())).len(), 1);
    // Not idle for so long: nothing is looked at.
    let claim = ReadGroup { claim_idle_ms: Some(1), ..claim };
    assert_eq!(shard.state.needs(STAMP, &Command::ReadGroup(claim)).len(), 0);
}

#[test]
fn what_was_noted_as_seen_is_in_no_hash_and_no_checkpoint() {
    let mut shard = shard(10);
    shard.apply(STAMP, &Command::ReadGroup(read_group(0, ReadFrom::New)));
    shard.evict();
    let hash = shard.state.hash();
    let later = Stamp { now_ms: 500 };
    shard.state.note_seen(&read_group(0, ReadFrom::New), later);
    assert_eq!(shard.state.hash(), hash);
    assert_eq!(shard.state.checkpoint().put, []);
    let idle = |shard: &Stored| {
        let consumers = Query::Consumers { key: key(), group: group() };
        let Reply::Consumers(consumers) = shard.answer(Stamp { now_ms: 510 }, &consumers) else {
            unreachable!()
        };
        consumers[0].idle_ms
    };
    assert_eq!(idle(&shard), 10);
    shard.reload();
    assert_eq!(idle(&shard), 500);
}

#[test]
fn a_description_shows_a_million_of_what_is_pending_at_most() {
    let mut shard = shard(600_000);
    shard.apply(STAMP, &Command::ReadGroup(read_group(0, ReadFrom::New)));
    let Reply::StreamFull(info) = shard.answer(STAMP, &Query::StreamFull { key: key(), count: 0 })
    else {
        panic!()
    };
    let [full] = &info.groups[..] else { panic!() };
    let [consumer] = &full.consumers[..] else { panic!() };
    assert_eq!((full.info.pending_count, consumer.pending_count), (600_000, 600_000));
    assert_eq!((full.pending.len(), consumer.pending.len()), (600_000, 400_000));
}

/// Groups that stand inside blocks of a mebibyte each, with a deletion behind them.
#[test]
fn a_lag_is_counted_within_what_one_read_may_look_into() {
    let mut shard = Stored::default();
    let block_bytes_max = 0;
    let settings = Settings { revision: 1, block_bytes_max, ..Settings::default() };
    shard.apply(STAMP, &Command::Set(settings));
    let value = Bytes::from(vec![b'x'; 400 << 10]);
    for entry in 0..200 {
        shard.apply(STAMP, &add(value.clone()));
        // After the first of the two entries of each block.
        if entry % 2 == 0 {
            let (name, start) = (Bytes::from(entry.to_string()), GroupStart::Last);
            let (key, make_stream, entries_read) = (key(), false, None);
            let create =
                Command::GroupCreate { key, group: name, start, make_stream, entries_read };
            shard.apply(STAMP, &create);
        }
        shard.evict();
    }
    shard.apply(STAMP, &Command::Delete { key: key(), ids: vec![id(199)] });
    let needs = shard.state.needs_query(&Query::Groups { key: key() });
    let bytes: usize = needs.len() * 2 * (400 << 10);
    assert!((64 << 20..66 << 20).contains(&bytes), "{} blocks", needs.len());
    let Reply::Groups(groups) = shard.answer(STAMP, &Query::Groups { key: key() }) else {
        panic!()
    };
    for group in groups {
        let place: u64 = std::str::from_utf8(&group.name).unwrap().parse().unwrap();
        // The last one stands before nothing but what was deleted.
        let after = 198_u64.saturating_sub(place);
        let (least, most) =
            if place / 2 < needs.len() as u64 { (after, after) } else { (after, after + 1) };
        let told = group.lag.or(group.unread).unwrap();
        assert!((least..=most).contains(&told), "{told} after {place}");
    }
}

#[test]
fn a_missing_block_is_a_fault_and_not_an_answer() {
    let mut shard = shard(1000);
    let delete = Command::Delete { key: key(), ids: vec![id(5)] };
    let needs = shard.state.needs(STAMP, &delete);
    let fault = shard.state.apply(&streams::Blocks::new(), STAMP, &delete).unwrap_err();
    assert_eq!(fault, streams::error::Fault::BlockMissing(needs[0]));
}

#[test]
fn a_copy_is_refused_where_it_would_be_too_much_at_once() {
    let mut shard = Stored::default();
    let mib = Bytes::from(vec![b'v'; 1 << 20]);
    let copy = Command::Copy { key: key(), to: Bytes::from_static(b"t"), replace: false };
    for _ in 0..63 {
        shard.apply(STAMP, &add(mib.clone()));
    }
    assert_eq!(shard.apply(STAMP, &copy), Reply::Count(1));
    shard.apply(STAMP, &Command::Remove { keys: vec![Bytes::from_static(b"t")] });
    shard.apply(STAMP, &add(mib));
    shard.evict();
    assert_eq!(shard.state.needs(STAMP, &copy), []);
    assert_eq!(shard.apply(STAMP, &copy), Reply::Refused(Refusal::TooBigToCopy));
    assert_eq!(shard.state.keys_count(), 1);
}

/// A log entry of a few megabytes took more memory than any replica has, on each of them, and again
/// when it was replayed.
#[test]
fn a_transaction_reads_no_more_than_a_read_does() {
    const ENTRIES: u64 = 64;
    const READS: usize = 40;
    let big = || {
        let mut shard = shard(1);
        for _ in 1..ENTRIES {
            shard.apply(STAMP, &add(Bytes::from(vec![b'v'; 64 << 10])));
        }
        shard
    };
    let (start, end, reverse) = (EntryId::MIN, EntryId::MAX, false);
    let all = Query::Range { key: key(), start, end, count: None, reverse };
    let mut steps = vec![Step::Query(all); READS];
    steps.push(Step::Command(Command::ReadGroup(read_group(0, ReadFrom::New))));
    steps.push(Step::Command(add(Bytes::from_static(b"last"))));
    steps.push(Step::Query(Query::Length { key: key() }));
    let transaction = Command::Transaction(Transaction { watched: Vec::new(), steps });
    let run = |shard: &mut Stored| {
        let Reply::Transaction(replies) = shard.apply(STAMP, &transaction) else { unreachable!() };
        let refused = Reply::Refused(Refusal::TransactionReadsTooMuch);
        let answered = replies.iter().take_while(|reply| **reply != refused).count();
        assert!(answered > 10 && answered < READS, "{answered} were answered");
        for reply in &replies[..answered] {
            let Reply::Entries(entries) = reply else { unreachable!() };
            assert_eq!(entries.len() as u64, ENTRIES);
        }
        assert!(replies[answered..=READS].iter().all(|reply| *reply == refused));
        assert!(matches!(replies[READS + 1], Reply::Added(_)));
        assert_eq!(replies[READS + 2], Reply::Count(ENTRIES + 1));
        let pending = Query::PendingSummary { key: key(), group: group() };
        let Reply::PendingSummary(pending) = shard.answer(STAMP, &pending) else { unreachable!() };
        assert_eq!(pending.total, 0);
        answered
    };
    let (mut evicted, mut resident) = (big(), big());
    evicted.evict();
    assert_eq!(run(&mut evicted), run(&mut resident));
    assert_eq!(evicted.state.hash(), resident.state.hash());
}
