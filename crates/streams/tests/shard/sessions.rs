//! Exactly once: what a gateway sent is applied in its order, each command once, whatever is sent
//! again, by which life, and whatever is saved and loaded between.

use super::stored::Stored;
use base::{Incarnation, NodeId};
use bytes::Bytes;
use streams::command::{
    Add, AddId, Command, GroupStart, Keep, ReadFrom, ReadGroup, References, Stamp, Trim,
};
use streams::id::EntryId;
use streams::limits::{KEPT_REPLIES_MAX, KEPT_REPLY_BYTES_MAX};
use streams::reply::{Entry, Reply};
use streams::{Admit, Blocks, NotAdmitted, Origin, State};

const STAMP: Stamp = Stamp { now_ms: 100 };

fn life(node: u64, count: u64) -> Origin {
    let incarnation = Incarnation { count, random: count * 7 };
    Origin { node: NodeId(node), incarnation }
}

fn key() -> Bytes {
    Bytes::from_static(b"s")
}

fn add() -> Command {
    let fields = vec![Bytes::from_static(b"f"), Bytes::from_static(b"v")];
    Command::Add(Add {
        key: key(),
        id: AddId::Auto,
        fields,
        must_exist: false,
        trim: None,
        once: None,
    })
}

/// As a shard does it.
fn send(state: &mut State, from: Origin, sequence: u64, lowest: u64, command: &Command) -> Admit {
    let admit = state.admit(&from, sequence, lowest);
    if admit == Admit::Apply {
        let applied = state.apply(&Blocks::new(), STAMP, command).unwrap();
        state.keep(&from, sequence, &applied.reply);
    }
    admit
}

fn refused(why: NotAdmitted) -> Admit {
    Admit::Refused(why)
}

fn kept(ms: u64, seq: u64) -> Admit {
    Admit::Kept(Reply::Added(EntryId::new(ms, seq)))
}

#[test]
fn what_is_sent_again_is_not_applied_again() {
    let mut state = State::new();
    for sequence in 1..=3 {
        assert_eq!(send(&mut state, life(1, 1), sequence, 1, &add()), Admit::Apply);
    }
    assert_eq!(send(&mut state, life(1, 1), 2, 1, &add()), kept(100, 1));
    assert_eq!(send(&mut state, life(1, 1), 3, 1, &add()), kept(100, 2));
    assert_eq!(state.mark(&life(1, 1)), Some(3));
    assert_eq!(state.keys_count(), 1);
    assert_eq!(send(&mut state, life(1, 1), 4, 1, &add()), Admit::Apply);
}

#[test]
fn a_gap_is_refused_until_it_is_filled() {
    let mut state = State::new();
    assert_eq!(send(&mut state, life(1, 1), 2, 1, &add()), refused(NotAdmitted::Gap));
    assert_eq!(send(&mut state, life(1, 1), 1, 1, &add()), Admit::Apply);
    assert_eq!(send(&mut state, life(1, 1), 3, 1, &add()), refused(NotAdmitted::Gap));
    assert_eq!(send(&mut state, life(1, 1), 2, 1, &add()), Admit::Apply);
}

#[test]
fn what_was_answered_is_forgotten_and_never_applied_again() {
    let mut state = State::new();
    for sequence in 1..=3 {
        send(&mut state, life(1, 1), sequence, 1, &add());
    }
    assert_eq!(send(&mut state, life(1, 1), 4, 3, &add()), Admit::Apply);
    assert_eq!(send(&mut state, life(1, 1), 2, 3, &add()), refused(NotAdmitted::Stale));
    assert_eq!(send(&mut state, life(1, 1), 3, 3, &add()), kept(100, 2));
    assert_eq!(send(&mut state, life(1, 1), 0, 3, &add()), refused(NotAdmitted::Stale));
    // Even when everything is forgotten, the mark stays.
    assert_eq!(send(&mut state, life(1, 1), 4, 99, &add()), refused(NotAdmitted::Stale));
    assert_eq!(send(&mut state, life(1, 1), 5, 99, &add()), Admit::Apply);
}

#[test]
fn an_older_life_is_refused_and_a_newer_one_begins_anew() {
    let mut state = State::new();
    send(&mut state, life(1, 2), 1, 1, &add());
    assert_eq!(send(&mut state, life(1, 1), 1, 1, &add()), refused(NotAdmitted::Stale));
    assert_eq!(send(&mut state, life(1, 3), 2, 1, &add()), refused(NotAdmitted::Gap));
    assert_eq!(send(&mut state, life(1, 3), 1, 1, &add()), Admit::Apply);
    assert_eq!(send(&mut state, life(1, 2), 2, 1, &add()), refused(NotAdmitted::Stale));
    assert_eq!(state.mark(&life(1, 2)), None);
    // Another node has numbers of its own.
    assert_eq!(send(&mut state, life(2, 1), 1, 1, &add()), Admit::Apply);
}

#[test]
fn a_copied_file_makes_another_life_of_the_same_count() {
    let mut state = State::new();
    let twin = |random| Origin { node: NodeId(1), incarnation: Incarnation { count: 1, random } };
    send(&mut state, twin(5), 1, 1, &add());
    assert_eq!(send(&mut state, twin(4), 1, 1, &add()), refused(NotAdmitted::Stale));
    assert_eq!(send(&mut state, twin(6), 1, 1, &add()), Admit::Apply);
}

#[test]
fn a_void_command_uses_its_number_up() {
    let mut state = State::new();
    assert_eq!(send(&mut state, life(1, 1), 1, 1, &Command::Void), Admit::Apply);
    assert_eq!(send(&mut state, life(1, 1), 1, 1, &add()), Admit::Kept(Reply::Nil));
    assert_eq!(state.keys_count(), 0);
}

#[test]
fn too_many_unanswered_replies_are_refused_without_using_the_number_up() {
    let mut state = State::new();
    let max = KEPT_REPLIES_MAX as u64;
    for sequence in 1..=max {
        assert_eq!(send(&mut state, life(1, 1), sequence, 1, &Command::Void), Admit::Apply);
    }
    let next = max + 1;
    assert_eq!(send(&mut state, life(1, 1), next, 1, &add()), refused(NotAdmitted::TooMany));
    assert_eq!(state.keys_count(), 0);
    assert_eq!(send(&mut state, life(1, 1), next, 2, &add()), Admit::Apply);
}

#[test]
fn too_many_bytes_of_replies_are_refused() {
    let mut state = State::new();
    let create = Command::GroupCreate {
        key: key(),
        group: Bytes::from_static(b"g"),
        start: GroupStart::After(EntryId::MIN),
        make_stream: true,
        entries_read: None,
    };
    send(&mut state, life(1, 1), 1, 1, &create);
    for sequence in 2..=1001 {
        send(&mut state, life(1, 1), sequence, sequence, &add());
    }
    let read = |from| {
        Command::ReadGroup(ReadGroup {
            group: Bytes::from_static(b"g"),
            consumer: Bytes::from_static(b"c"),
            count: 0,
            no_ack: false,
            streams: vec![(key(), from)],
            ..ReadGroup::default()
        })
    };
    send(&mut state, life(1, 1), 1002, 1002, &read(ReadFrom::New));
    let history = read(ReadFrom::History(EntryId::MIN));
    let mut sequence = 1003;
    while send(&mut state, life(1, 1), sequence, 1003, &history) == Admit::Apply {
        sequence += 1;
    }
    let replies = sequence - 1003;
    assert!((replies * (1000 * 24 + 200)) as usize >= KEPT_REPLY_BYTES_MAX);
    assert!(replies < 200, "{replies}");
}

#[test]
fn kept_replies_and_marks_survive_a_save_and_load() {
    let mut shard = Stored::default();
    for sequence in 1..=5 {
        send(&mut shard.state, life(1, 1), sequence, 3, &add());
        shard.reload();
    }
    assert_eq!(shard.state.mark(&life(1, 1)), Some(5));
    assert_eq!(send(&mut shard.state, life(1, 1), 4, 3, &add()), kept(100, 3));
    assert_eq!(send(&mut shard.state, life(1, 1), 2, 3, &add()), refused(NotAdmitted::Stale));
    assert_eq!(send(&mut shard.state, life(1, 1), 7, 3, &add()), refused(NotAdmitted::Gap));
}

#[test]
fn sessions_count_in_the_hash() {
    let (mut one, mut other) = (State::new(), State::new());
    send(&mut one, life(1, 1), 1, 1, &Command::Void);
    assert_ne!(one.hash(), other.hash());
    send(&mut other, life(1, 1), 1, 1, &Command::Void);
    assert_eq!(one.hash(), other.hash());
}

#[test]
fn a_kept_reply_shows_what_was_trimmed_since_as_a_history_read_does() {
    let mut state = State::new();
    let none = Blocks::new();
    for sequence in 1..=2 {
        send(&mut state, life(1, 1), sequence, 1, &add());
    }
    let (group, start) = (Bytes::from_static(b"g"), GroupStart::After(EntryId::MIN));
    let (make_stream, entries_read) = (false, None);
    let create = Command::GroupCreate { key: key(), group, start, make_stream, entries_read };
    send(&mut state, life(1, 1), 3, 1, &create);
    let read = Command::ReadGroup(ReadGroup {
        group: Bytes::from_static(b"g"),
        consumer: Bytes::from_static(b"c"),
        count: 0,
        no_ack: false,
        streams: vec![(key(), ReadFrom::New)],
        ..ReadGroup::default()
    });
    send(&mut state, life(1, 1), 4, 1, &read);
    let trim = Trim {
        keep: Keep::Newest(1),
        approximate: false,
        limit: None,
        references: References::Keep,
    };
    send(&mut state, life(1, 1), 5, 1, &Command::Trim { key: key(), trim });
    let Admit::Kept(reply) = send(&mut state, life(1, 1), 4, 1, &read) else {
        panic!("it was kept");
    };
    let Reply::Streams(streams) = state.resolve(&none, reply).unwrap() else {
        panic!("of streams");
    };
    let fields = Some(vec![Bytes::from_static(b"f"), Bytes::from_static(b"v")]);
    let gone = Entry { id: EntryId::new(100, 0), fields: None };
    assert_eq!(streams, [(key(), vec![gone, Entry { id: EntryId::new(100, 1), fields }])]);
}
