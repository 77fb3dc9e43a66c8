//! The differences that are meant, each with its reason; whatever else differs is a bug.

use resp::Value;

use super::sequence::Request;
use crate::conformance::Kind;
use crate::conformance::alike::{timeless, without};

/// A difference that is meant.
struct Explained {
    reason: &'static str,
    /// Of one server only, or of both.
    server: Option<Kind>,
    /// Takes what differs out of a reply; the same is done to both.
    leave_out: fn(&Request, Value) -> Value,
}

const EXPLAINED: &[Explained] = &[
    Explained {
        reason: "`inactive` and `active-time` came with 7.2",
        server: Some(Kind::Redis),
        leave_out: |_, reply| without(&reply, &["inactive", "active-time"]),
    },
    Explained {
        reason: "what a group has read, and its lag, were not yet mended where entries were deleted \
                 or trimmed between others",
        server: Some(Kind::Redis),
        leave_out: |_, reply| without(&reply, &["entries-read", "lag"]),
    },
    Explained {
        reason: "until 7.2 XCLAIM and XAUTOCLAIM made a consumer only when they gave it something: \
                 consumers with nothing pending are not compared",
        server: Some(Kind::Redis),
        leave_out: busy_consumers,
    },
    Explained {
        reason: "since 8.0 ENTRIESREAD counts no more entries than were ever added: where it is said \
                 (of stream `c`), what groups have read and their lag are not compared",
        server: None,
        leave_out: |request, reply| match request.name() == "XINFO" && request.says("c") {
            true => without(&reply, &["entries-read", "lag"]),
            false => reply,
        },
    },
    Explained {
        reason: "where entries were deleted by id, blocks may be cut otherwise: the block before one \
                 that was deleted whole is not gone on with, and one that an exact MINID empties goes \
                 at once. Of such streams nodes are not compared",
        server: None,
        leave_out: |request, reply| match request.name() == "XINFO" && has_deleted(&reply) {
            true => without(&reply, &["radix-tree-keys", "radix-tree-nodes"]),
            false => reply,
        },
    },
    Explained {
        reason: "newer servers say the name of the command in lower case where keys and ids don't \
                 match, and which symbols may stand for an id",
        server: None,
        leave_out: |_, reply| match reply.as_error() {
            Some(error) if error.starts_with("ERR Unbalanced ") => Value::bulk("unbalanced"),
            _ => reply,
        },
    },
];

/// Weir reads a request whole before it asks any shard; Redis sometimes looks at the key first.
const MALFORMED_FIRST: &str = "a request that is malformed, about a key or group that is not there, \
    is told that it is malformed, not that nothing is there";

/// Why replies may differ, a line each.
pub fn reasons() -> impl Iterator<Item = String> {
    let lists = EXPLAINED.iter().map(|it| match it.server {
        Some(server) => format!("{server}: {}", it.reason),
        None => it.reason.to_owned(),
    });
    lists.chain([NEWER, LAST, GREATEST, MALFORMED_FIRST, LAG].map(str::to_owned))
}

/// Which sequences a server is asked: those of even seeds have nothing that Redis 7.0 lacks.
const NEWER: &str = "Redis 7.0.15: XREAD knew no `+`, and XSETID went below what was deleted: it is \
    not asked sequences with these";
/// What Weir finds there is the last entry that is left.
const LAST: &str = "Valkey 9.1.2: XREAD with `+` gives nothing once the newest entry was deleted, or \
    XSETID went above it";

fn is_last_deleted(request: &Request, theirs: &Value, ours: &Value) -> bool {
    let is_less = match (theirs, ours) {
        (theirs, _) if theirs.is_null() => true,
        (Value::Array(theirs), Value::Array(ours)) => theirs.iter().all(|it| ours.contains(it)),
        (Value::Map(theirs), Value::Map(ours)) => theirs.iter().all(|it| ours.contains(it)),
        _ => false,
    };
    request.name() == "XREAD" && request.says("+") && is_less
}

/// A word that stands for something else.
const GREATEST: &str = "XREADGROUP takes the greatest of all ids for `>` in Redis, and for an id in Weir: \
    no sequence has it";

/// Whether a server is asked the sequence of a seed.
pub(super) fn asks(kind: Kind, seed: u64) -> bool {
    kind == Kind::Valkey || seed.is_multiple_of(2)
}

/// As mended in Redis 8: a number where it can be known.
const LAG: &str = "a group's lag never counts more than its stream has, and is a number in some cases \
    where the older servers give none";

fn is_less(one: &Value, other: &Value) -> bool {
    one.as_integer().is_some_and(|one| other.as_integer().is_some_and(|other| one < other))
}

/// Their reply with our lag, where theirs is of the older kind.
fn with_newer_lag(theirs: &Value, ours: &Value) -> Value {
    let field = |name: &Value, theirs: &Value, ours: &Value| match name.as_text() {
        Some("lag") if theirs.is_null() || is_less(ours, theirs) => ours.clone(),
        _ => with_newer_lag(theirs, ours),
    };
    match (theirs, ours) {
        (Value::Map(theirs), Value::Map(ours)) if theirs.len() == ours.len() => {
            let pairs = theirs.iter().zip(ours);
            let pair = |((name, theirs), (_, ours)): (&(Value, Value), &(Value, Value))| {
                (name.clone(), field(name, theirs, ours))
            };
            Value::Map(pairs.map(pair).collect())
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            let name = |at: usize| if at % 2 == 1 { &theirs[at - 1] } else { &Value::Null };
            let items = theirs.iter().zip(ours).enumerate();
            Value::Array(items.map(|(at, (theirs, ours))| field(name(at), theirs, ours)).collect())
        }
        _ => theirs.clone(),
    }
}

fn is_malformed_first(theirs: &Value, ours: &Value) -> bool {
    const MALFORMED: &[&str] = &[
        "ERR Invalid ",
        "ERR The $ ID is meaningless ",
        "ERR The + ID is meaningless ",
        "ERR syntax error",
        "ERR value is not an integer ",
        "ERR Unrecognized XCLAIM option ",
        "ERR unknown subcommand or wrong number of arguments ",
    ];
    const NOTHING: &[&str] =
        &["NOGROUP ", "ERR no such key", "ERR The XGROUP subcommand requires the key to exist."];
    let nothing_there = match theirs {
        Value::Integer(0) | Value::Null => true,
        other => {
            other.as_error().is_some_and(|it| NOTHING.iter().any(|start| it.starts_with(start)))
        }
    };
    let is_malformed = |error: &str| MALFORMED.iter().any(|start| error.starts_with(start));
    nothing_there && ours.as_error().is_some_and(is_malformed)
}

fn busy_consumers(request: &Request, reply: Value) -> Value {
    match request.name().as_str() {
        "XGROUP" if request.says("CREATECONSUMER") && reply.as_integer().is_some() => Value::Null,
        "XINFO" if request.says("CONSUMERS") => match reply {
            Value::Array(rows) => Value::Array(rows.into_iter().filter(is_busy).collect()),
            other => other,
        },
        "XINFO" => without(&reply, &["consumers"]),
        _ => reply,
    }
}

/// Whether a row of XINFO CONSUMERS has something pending.
fn is_busy(row: &Value) -> bool {
    field(row, "pending").and_then(Value::as_integer) != Some(0)
}

/// Whether XINFO STREAM describes a stream of which entries were deleted by id.
fn has_deleted(described: &Value) -> bool {
    let greatest = field(described, "max-deleted-entry-id").and_then(Value::as_text);
    greatest.is_some_and(|id| id != "0-0")
}

fn field<'a>(described: &'a Value, name: &str) -> Option<&'a Value> {
    let pairs: Vec<(&Value, &Value)> = match described {
        Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
        other => {
            let items = other.as_items().unwrap_or_default();
            items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect()
        }
    };
    pairs.into_iter().find(|(found, _)| found.as_text() == Some(name)).map(|(_, value)| value)
}

/// The first request that is answered otherwise without a reason.
pub(super) fn difference(
    kind: Kind,
    requests: &[Request],
    theirs: &[Value],
    ours: &[Value],
) -> Option<usize> {
    let pairs = theirs.iter().zip(ours);
    requests.iter().zip(pairs).position(|(it, (theirs, ours))| differs(kind, it, theirs, ours))
}

/// Whether two replies to a request differ without a reason.
pub(super) fn differs(kind: Kind, request: &Request, theirs: &Value, ours: &Value) -> bool {
    let (theirs, ours) = (comparable(kind, request, theirs), comparable(kind, request, ours));
    let theirs = if request.name() == "XINFO" { with_newer_lag(&theirs, &ours) } else { theirs };
    let is_meant = is_malformed_first(&theirs, &ours) || is_last_deleted(request, &theirs, &ours);
    theirs != ours && !is_meant
}

fn comparable(kind: Kind, request: &Request, reply: &Value) -> Value {
    let explained = EXPLAINED.iter().filter(|it| it.server.is_none_or(|server| server == kind));
    explained.fold(timeless(reply), |reply, it| (it.leave_out)(request, reply))
}

#[cfg(test)]
mod tests {
    use super::super::sequence::Arg;
    use super::*;

    fn request(words: &str) -> Request {
        let word = |word: &str| Arg::Text(word.to_owned());
        Request { number: 0, args: words.split(' ').map(word).collect() }
    }

    fn error(text: &str) -> Value {
        Value::Error(text.to_owned().into())
    }

    #[test]
    fn only_what_has_a_reason_may_differ() {
        let differs = |kind, words, theirs, ours| differs(kind, &request(words), &theirs, &ours);
        let (nothing, malformed) = (Value::Integer(0), error("ERR Invalid stream ID specified"));
        assert!(!differs(Kind::Valkey, "XDEL a x", nothing.clone(), malformed.clone()));
        let no_key = error("ERR The XGROUP subcommand requires the key to exist. Note that");
        assert!(!differs(Kind::Valkey, "XGROUP CREATE a g x", no_key, malformed.clone()));
        assert!(differs(Kind::Valkey, "XDEL a x", malformed, nothing));
        let group = |lag| Value::Array(vec![Value::bulk("lag"), lag]);
        let lags =
            |theirs, ours| differs(Kind::Valkey, "XINFO GROUPS a", group(theirs), group(ours));
        assert!(
            !lags(Value::Null, Value::Integer(3)) && !lags(Value::Integer(3), Value::Integer(0))
        );
        assert!(lags(Value::Integer(2), Value::Integer(3)) && lags(Value::Integer(3), Value::Null));
    }

    #[test]
    fn a_last_entry_may_be_missing_and_nothing_else_of_a_read() {
        let stream = |name, id| Value::Array(vec![Value::bulk(name), Value::bulk(id)]);
        let list = |items: &[Value]| Value::Array(items.to_vec());
        let both = list(&[stream("a", "1"), stream("b", "2")]);
        let differs = |words, theirs: &Value| differs(Kind::Valkey, &request(words), theirs, &both);
        assert!(!differs("XREAD STREAMS a b 0 +", &list(&[stream("a", "1")])));
        assert!(differs("XREAD STREAMS a b 0 +", &list(&[stream("a", "3")])));
        assert!(differs("XREAD STREAMS a b 0 0", &list(&[stream("a", "1")])));
    }

    #[test]
    fn nodes_count_where_nothing_was_deleted_by_id() {
        let stream = |deleted, nodes| {
            let (name, id) = (Value::bulk("max-deleted-entry-id"), Value::bulk(deleted));
            Value::Array(vec![name, id, Value::bulk("radix-tree-keys"), Value::Integer(nodes)])
        };
        let differs =
            |theirs, ours| differs(Kind::Valkey, &request("XINFO STREAM a"), &theirs, &ours);
        assert!(!differs(stream("2-0", 1), stream("2-0", 0)));
        assert!(differs(stream("0-0", 1), stream("0-0", 2)));
        assert!(differs(stream("0-0", 1), stream("2-0", 1)));
    }

    #[test]
    fn idle_consumers_count_beside_newer_servers_only() {
        let row = |pending| {
            let (name, field) = (Value::bulk("name"), Value::bulk("pending"));
            Value::Array(vec![name, Value::bulk("c"), field, Value::Integer(pending)])
        };
        let (few, many) = (Value::Array(vec![row(2)]), Value::Array(vec![row(2), row(0)]));
        let info = request("XINFO CONSUMERS a g");
        assert!(!differs(Kind::Redis, &info, &few, &many));
        assert!(differs(Kind::Valkey, &info, &few, &many));
        assert!(differs(Kind::Redis, &info, &few, &Value::Array(vec![row(3), row(0)])));
    }
}
