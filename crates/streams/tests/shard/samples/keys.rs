//! What concerns keys whatever they hold.

use streams::command::{AddId, Command, ExpireOnly, Stamp, Step, Transaction, When};
use streams::query::{About, Query};
use streams::reply::Reply;
use streams::{Blocks, Settings, State};

use super::{add, b, entries};

pub(crate) fn commands() -> Vec<Command> {
    vec![
        expire(When::InMs(-5), ExpireOnly::Always),
        expire(When::InMs(i64::MAX), ExpireOnly::WithoutTime),
        expire(When::AtMs(1_700_000_000_000), ExpireOnly::WithTime),
        expire(When::AtMs(i64::MIN), ExpireOnly::Later),
        expire(When::InMs(0), ExpireOnly::Earlier),
        expire(When::InMs(1), ExpireOnly::WithTimeEarlier),
        Command::Persist { key: b("orders") },
        Command::ExpireDue,
        Command::Rename { key: b("a"), to: b("b"), only_new: false },
        Command::Copy { key: b("a"), to: b("b"), replace: true },
        Command::Flush,
        Command::Watch { keys: vec![b("a"), b("b")] },
        Command::Transaction(Transaction::default()),
        Command::Transaction(Transaction {
            watched: vec![(b("a"), Some(300)), (b("b"), None)],
            steps: vec![
                Step::Command(add(AddId::Auto, None)),
                Step::Query(Query::Length { key: b("orders") }),
                Step::Command(Command::Flush),
            ],
        }),
        Command::Set(settings()),
    ]
}

pub(super) fn settings() -> Settings {
    Settings {
        revision: 300,
        block_entries_max: 10,
        block_bytes_max: 0,
        idempotence_ms: 100_000,
        idempotence_ids_max: 100,
    }
}

fn expire(when: When, only: ExpireOnly) -> Command {
    Command::Expire { key: b("orders"), when, only }
}

pub(crate) fn queries() -> Vec<Query> {
    let about = |about| Query::Object { key: b("orders"), about };
    vec![
        Query::Scan { place: 1 << 38, count: 10, pattern: None },
        Query::Scan { place: 0, count: 1, pattern: Some(b("o*")) },
        Query::Keys { pattern: b("*") },
        Query::KeyAt { place: 300 },
        about(About::Encoding),
        about(About::References),
        about(About::IdleTime),
        about(About::Frequency),
        about(About::Bytes),
        Query::Lifetime { key: b("orders"), absolute: true, in_ms: false },
        Query::Lifetime { key: b("orders"), absolute: false, in_ms: true },
    ]
}

pub(crate) fn replies<E>() -> Vec<Reply<E>> {
    let held = Reply::Entries(entries());
    vec![
        Reply::Watched(vec![Some(300), None]),
        Reply::Transaction(vec![Reply::Ok, Reply::Held(Box::new(held)), Reply::Nil]),
        Reply::Transaction(Vec::new()),
        Reply::NoKey,
        Reply::Text(b("stream")),
        Reply::Signed(-2),
        Reply::Signed(i64::MIN),
        Reply::Signed(i64::MAX),
        Reply::Keys(vec![b("orders"), b("")]),
        Reply::Scanned { next: 1 << 38, keys: vec![b("orders")] },
    ]
}

/// A shard with a key that expires.
pub(crate) fn expiring() -> State {
    let mut state = State::new();
    let mut apply = |now_ms: u64, command: Command| {
        state.apply(&Blocks::new(), Stamp { now_ms }, &command).unwrap();
    };
    apply(1_000, add(AddId::Auto, None));
    apply(1_000, expire(When::InMs(60_000), ExpireOnly::Always));
    state
}

/// A shard with a key that is watched.
pub(crate) fn watched() -> State {
    let mut state = expiring();
    let watch = Command::Watch { keys: vec![b("orders")] };
    state.apply(&Blocks::new(), Stamp::default(), &watch).unwrap();
    state
}

/// A shard whose settings were chosen.
pub(crate) fn settled() -> State {
    let mut state = expiring();
    state.apply(&Blocks::new(), Stamp::default(), &Command::Set(settings())).unwrap();
    state
}
