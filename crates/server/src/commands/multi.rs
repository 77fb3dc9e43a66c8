//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: what they are for. What they do stands where a connection
//! queues its requests.

use crate::resp::{Doc, Group};

pub(crate) static MULTI: Doc = Doc {
    summary: "Queues what follows until EXEC.",
    group: Group::Transactions,
    since: "1.2.0",
    complexity: "O(1)",
};

pub(crate) static EXEC: Doc = Doc {
    summary: "Executes what was queued since MULTI with nothing in between, all of it or nothing: \
              one entry of one shard's log. All keys are of one slot.",
    group: Group::Transactions,
    since: "1.2.0",
    complexity: "Depends on what was queued",
};

pub(crate) static DISCARD: Doc = Doc {
    summary: "Forgets what was queued since MULTI, and watches nothing any more.",
    group: Group::Transactions,
    since: "2.0.0",
    complexity: "O(N) in what was queued",
};

pub(crate) static WATCH: Doc = Doc {
    summary: "Lets EXEC do nothing if any of these keys changed meanwhile, its groups and pending \
              entries included. Survives the change of a leader. All keys are of one slot.",
    group: Group::Transactions,
    since: "2.2.0",
    complexity: "O(1) for each key, and one entry of the shard's log",
};

pub(crate) static UNWATCH: Doc = Doc {
    summary: "Watches nothing any more.",
    group: Group::Transactions,
    since: "2.2.0",
    complexity: "O(1)",
};
