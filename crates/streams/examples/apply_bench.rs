//! What `apply` costs: the processor time of one call, for the commands that matter.
//!
//! `cargo run --release -p streams --example apply_bench`

use std::time::Duration;

use base::{Incarnation, NodeId};
use bytes::Bytes;
use streams::command::{
    Add, AddId, Command, GroupStart, Keep, ReadFrom, ReadGroup, References, Stamp, Trim,
};
use streams::id::EntryId;
use streams::{Admit, Batch, Blocks, Origin, Run, State};

const ENTRIES: u64 = 1_000_000;
const PAYLOAD_BYTES: usize = 100;

fn main() {
    add("add, 1 stream", 1, None);
    add("add, 100 streams", 100, None);
    add("add, 10,000 streams", 10_000, None);
    let keep = Keep::Newest(1000);
    let trim =
        |approximate| Some(Trim { keep, approximate, limit: None, references: References::Keep });
    add("add, MAXLEN ~ 1000", 1, trim(true));
    add("add, MAXLEN 1000", 1, trim(false));
    whole_path();
    group();
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn report(what: &str, count: u64, elapsed: Duration) {
    let each = elapsed.as_nanos() / u128::from(count.max(1));
    println!("{what:<44} {each:>7} ns");
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = on_cpu();
    run();
    on_cpu() - start
}

/// How long this thread has been on a processor: other load on the machine doesn't count.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("it begins with a number"))
}

fn add_command(key: u64, trim: Option<Trim>) -> Command {
    Command::Add(Add {
        key: Bytes::from(format!("stream-{key}")),
        id: AddId::Auto,
        fields: vec![Bytes::from_static(b"payload"), Bytes::from(vec![b'x'; PAYLOAD_BYTES])],
        must_exist: false,
        trim,
        once: None,
    })
}

fn add(what: &str, streams: u64, trim: Option<Trim>) {
    let mut state = State::new();
    let none = Blocks::new();
    let commands: Vec<Command> = (0..streams).map(|key| add_command(key, trim)).collect();
    let mut elapsed = Duration::ZERO;
    let mut at = 0;
    while at < ENTRIES {
        // As in life: some thousands of adds, then a checkpoint, whose time isn't apply's.
        let end = at + 20_000;
        elapsed += timed(|| {
            for number in at..end {
                let stamp = Stamp { now_ms: number / 20 };
                let command = &commands[(number % streams) as usize];
                state.apply(&none, stamp, command).expect("no fault");
            }
        });
        drop(state.checkpoint());
        drop(state.release());
        if matches!(trim, Some(trim) if !trim.approximate) {
            // An exact cut looks into the block at the head, which is handed in by a shell.
            state = State::new();
        }
        at = end;
    }
    report(what, at, elapsed);
}

/// From the bytes of a Raft entry with 50 commands to replies that are kept.
fn whole_path() {
    const COMMANDS: u64 = 50;
    let mut state = State::new();
    let none = Blocks::new();
    let origin = Origin { node: NodeId(1), incarnation: Incarnation { count: 1, random: 7 } };
    let mut first = streams::SEQUENCE_FIRST;
    let (mut encoding, mut applying) = (Duration::ZERO, Duration::ZERO);
    let batches = ENTRIES / COMMANDS;
    for number in 0..batches {
        let commands = (0..COMMANDS).map(|key| add_command(key, None)).collect();
        let run = Run { origin, first, lowest_unanswered: first, commands };
        let batch = Batch { stamp: Stamp { now_ms: number }, runs: vec![run] };
        let mut bytes = Bytes::new();
        encoding += timed(|| bytes = batch.encode());
        applying += timed(|| {
            let batch = Batch::decode(&bytes).expect("just encoded");
            for run in &batch.runs {
                for (sequence, command) in (run.first..).zip(&run.commands) {
                    let admit = state.admit(&run.origin, sequence, run.lowest_unanswered);
                    assert_eq!(admit, Admit::Apply);
                    let applied = state.apply(&none, batch.stamp, command).expect("no fault");
                    state.keep(&run.origin, sequence, &applied.reply);
                }
            }
        });
        first += COMMANDS;
        if number % 400 == 0 {
            drop(state.checkpoint());
            drop(state.release());
        }
    }
    report("encode, of a batch of 50", ENTRIES, encoding);
    report("decode, admit, apply, keep, of a batch of 50", ENTRIES, applying);
}

fn group() {
    let mut state = State::new();
    let none = Blocks::new();
    let stamp = Stamp { now_ms: 1 };
    let (key, group) = (Bytes::from_static(b"stream-0"), Bytes::from_static(b"group"));
    let add = add_command(0, None);
    for number in 0..ENTRIES {
        state.apply(&none, Stamp { now_ms: number }, &add).expect("no fault");
    }
    let start = GroupStart::After(EntryId::MIN);
    let (make_stream, entries_read) = (false, None);
    let (key_of, group_of) = (key.clone(), group.clone());
    let create =
        Command::GroupCreate { key: key_of, group: group_of, start, make_stream, entries_read };
    state.apply(&none, stamp, &create).expect("no fault");
    let read = Command::ReadGroup(ReadGroup {
        group: group.clone(),
        consumer: Bytes::from_static(b"consumer"),
        count: 10,
        no_ack: false,
        streams: vec![(key.clone(), ReadFrom::New)],
        ..ReadGroup::default()
    });
    let elapsed = timed(|| {
        for _ in 0..ENTRIES / 10 {
            state.apply(&none, stamp, &read).expect("no fault");
        }
    });
    report("group read of 10, an entry", ENTRIES, elapsed);
    let mut hash = 0;
    report("hash, with 1,000,000 pending", 1, timed(|| hash = state.hash()));
    report("checkpoint of all of it", 1, timed(|| drop(state.checkpoint())));
    let ack = |number: u64| Command::Ack {
        key: key.clone(),
        group: group.clone(),
        ids: vec![EntryId::new(number, 0)],
    };
    let acks: Vec<Command> = (1..ENTRIES).map(ack).collect();
    let elapsed = timed(|| {
        for command in &acks {
            state.apply(&none, stamp, command).expect("no fault");
        }
    });
    report("ack of 1", ENTRIES, elapsed);
    assert_ne!(hash, state.hash());
}
