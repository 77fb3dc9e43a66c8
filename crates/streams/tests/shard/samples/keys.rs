//! What concerns keys whatever they hold.

use streams::command::{AddId, Command, ExpireOnly, Stamp, When};
use streams::query::{About, Query};
use streams::reply::Reply;
use streams::{Blocks, State};

use super::{add, b};

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
    ]
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
    vec![
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
