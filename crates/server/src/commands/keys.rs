//! DEL, UNLINK, EXISTS, TOUCH, TYPE, DBSIZE: what is asked of keys whatever they hold. Keys of many
//! shards may be named together: each shard answers for its own, and the answers are added up.

use streams::command::Command;
use streams::query::Query;

use super::arguments::Args;
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DEL: Doc = Doc {
    summary: "Removes keys. Each shard removes its own atomically, not all shards together.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1) for each key",
};

pub(crate) static UNLINK: Doc = Doc {
    summary: "Removes keys, exactly as DEL does: contents always go in the background.",
    group: Group::Generic,
    since: "4.0.0",
    complexity: "O(1) for each key",
};

pub(crate) static EXISTS: Doc = Doc {
    summary: "Counts how many of the named keys exist; one named twice counts twice.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1) for each key",
};

pub(crate) static TOUCH: Doc = Doc {
    summary: "Counts how many of the named keys exist, as EXISTS does: keys have no access times.",
    group: Group::Generic,
    since: "3.2.1",
    complexity: "O(1) for each key",
};

pub(crate) static TYPE: Doc = Doc {
    summary: "Tells what a key holds: a stream, or none.",
    group: Group::Generic,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static DBSIZE: Doc = Doc {
    summary: "Counts the keys of all shards.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1) for each shard",
};

pub(crate) fn remove(args: Args<'_>) -> Result<Command, SyntaxError> {
    Ok(Command::Remove { keys: args[1..].to_vec() })
}

pub(crate) fn exists(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::Exists { keys: args[1..].to_vec() })
}

pub(crate) fn type_of(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::Type { key: args[1].clone() })
}

pub(crate) fn count(_: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::KeysCount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn every_key_is_asked_for() {
        let keys = args("a b a");
        assert_eq!(remove(&args("DEL a b a")), Ok(Command::Remove { keys: keys.clone() }));
        assert_eq!(exists(&args("EXISTS a b a")), Ok(Query::Exists { keys }));
        assert_eq!(type_of(&args("TYPE a")), Ok(Query::Type { key: "a".into() }));
        assert_eq!(count(&args("DBSIZE")), Ok(Query::KeysCount));
    }
}
