//! What questions about a stream with a million pending entries cost: the processor time of each, and
//! the memory that the pending entries take.
//!
//! `cargo run --release -p streams --example pending_bench`

use std::time::Duration;

use bytes::Bytes;
use streams::command::{
    Add, AddId, Command, GroupStart, Nack, NackMode, ReadFrom, ReadGroup, Stamp,
};
use streams::id::EntryId;
use streams::query::Query;
use streams::reply::Reply;
use streams::{Blocks, State};

const ENTRIES: u64 = 1_000_000;
const CONSUMERS: u64 = 100;
const NOW: Stamp = Stamp { now_ms: 1_000 };

fn main() {
    let mut shard = State::new();
    for _ in 0..ENTRIES {
        run(&mut shard, &add());
    }
    let (key, group) = (name("s"), name("g"));
    let start = GroupStart::After(EntryId::MIN);
    run(
        &mut shard,
        &Command::GroupCreate {
            key: key.clone(),
            group: group.clone(),
            start,
            make_stream: false,
            entries_read: None,
        },
    );
    let before = resident_bytes();
    for consumer in 0..CONSUMERS {
        run(&mut shard, &Command::ReadGroup(read(consumer)));
    }
    let each = (resident_bytes() - before) / ENTRIES;
    report("a pending entry, bytes of memory", &each.to_string());
    let nacked = Nack {
        key: key.clone(),
        group: group.clone(),
        mode: NackMode::Fail,
        ids: (0..1000).map(|seq| EntryId::new(NOW.now_ms, seq)).collect(),
        deliveries: None,
        force: false,
    };
    run(&mut shard, &Command::Nack(nacked));
    // A deletion ahead of a group: how far it is behind has to be counted.
    let create = Command::GroupCreate {
        key: key.clone(),
        group: name("behind"),
        start: GroupStart::After(EntryId::new(NOW.now_ms, 150)),
        make_stream: false,
        entries_read: None,
    };
    run(&mut shard, &create);
    let deleted = EntryId::new(NOW.now_ms, ENTRIES / 2);
    run(&mut shard, &Command::Delete { key: key.clone(), ids: vec![deleted] });
    ask(&shard, "XPENDING", &Query::PendingSummary { key: key.clone(), group: group.clone() });
    let range = |min_idle_ms, count| Query::PendingRange {
        key: key.clone(),
        group: group.clone(),
        min_idle_ms,
        start: EntryId::MIN,
        end: EntryId::MAX,
        count,
        consumer: None,
    };
    ask(&shard, "XPENDING - + 10", &range(0, 10));
    ask(&shard, "XPENDING - + 1000000", &range(0, ENTRIES));
    ask(&shard, "XPENDING IDLE, none is", &range(u64::MAX, 10));
    ask(&shard, "XINFO STREAM", &Query::Stream { key: key.clone() });
    ask(&shard, "XINFO GROUPS, one lag counted", &Query::Groups { key: key.clone() });
    let consumers = Query::Consumers { key: key.clone(), group };
    ask(&shard, "XINFO CONSUMERS, 100", &consumers);
    ask(&shard, "XINFO STREAM FULL", &Query::StreamFull { key: key.clone(), count: 10 });
    ask(&shard, "XINFO STREAM FULL COUNT 0", &Query::StreamFull { key, count: 0 });
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn report(what: &str, value: &str) {
    println!("{what:<40} {value:>12}");
}

fn name(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn add() -> Command {
    Command::Add(Add {
        key: name("s"),
        id: AddId::Auto,
        fields: vec![name("f"), name("v")],
        must_exist: false,
        trim: None,
        once: None,
    })
}

fn read(consumer: u64) -> ReadGroup {
    ReadGroup {
        group: name("g"),
        consumer: Bytes::from(format!("consumer-{consumer}")),
        count: ENTRIES / CONSUMERS,
        streams: vec![(name("s"), ReadFrom::New)],
        ..ReadGroup::default()
    }
}

fn run(shard: &mut State, command: &Command) {
    shard.apply(&Blocks::new(), NOW, command).expect("nothing is damaged");
}

/// Everything that asking takes before it is written to a client: as often as it takes to tell.
fn ask(shard: &State, what: &str, query: &Query) {
    const LONG: Duration = Duration::from_millis(300);
    let (start, mut asked) = (on_cpu(), 0);
    let took = loop {
        let reply = shard.answer(&Blocks::new(), NOW, query).expect("nothing is damaged");
        let reply = shard.resolve(&Blocks::new(), reply).expect("nothing is damaged");
        assert!(!matches!(reply, Reply::Refused(_)), "{what}: {reply:?}");
        asked += 1;
        let took = on_cpu() - start;
        if took >= LONG {
            break took;
        }
    };
    report(what, &format!("{:.3} ms", took.as_secs_f64() * 1000.0 / f64::from(asked)));
}

/// How long this thread has been on a processor: other load on the machine doesn't count.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("it begins with a number"))
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("it is a number") * 4096
}
