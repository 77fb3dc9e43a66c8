//! SUBSCRIBE and its family, PUBLISH, PUBSUB: messages from client to client over all nodes of the
//! cluster, at most once, and never kept. Who is told is up to the channels of the node.

use bytes::Bytes;
use streams::glob::{self, Case};

use super::arguments::Args;
use super::command::write_help;
use crate::resp::{ChannelKind, Channels, Doc, Group, SyntaxError, Turn};

pub(crate) static SUBSCRIBE: Doc = Doc {
    summary: "Listens to channels, whatever node it is published at.",
    group: Group::PubSub,
    since: "2.0.0",
    complexity: "O(log N) in the subscriptions, for each channel",
};

pub(crate) static PSUBSCRIBE: Doc = Doc {
    summary: "Listens to all channels whose names match patterns.",
    group: Group::PubSub,
    since: "2.0.0",
    complexity: "O(log N) in the subscriptions, for each pattern",
};

pub(crate) static SSUBSCRIBE: Doc = Doc {
    summary: "Listens to channels that SPUBLISH publishes to: apart from the others, and otherwise alike.",
    group: Group::PubSub,
    since: "7.0.0",
    complexity: "O(log N) in the subscriptions, for each channel",
};

pub(crate) static UNSUBSCRIBE: Doc = Doc {
    summary: "Listens to channels no longer, all or those named.",
    group: Group::PubSub,
    since: "2.0.0",
    complexity: "O(log N) in the subscriptions, for each channel",
};

pub(crate) static PUNSUBSCRIBE: Doc = Doc {
    summary: "Listens no longer by patterns, all or those named.",
    group: Group::PubSub,
    since: "2.0.0",
    complexity: "O(log N) in the subscriptions, for each pattern",
};

pub(crate) static SUNSUBSCRIBE: Doc = Doc {
    summary: "Listens no longer to channels of SSUBSCRIBE, all or those named.",
    group: Group::PubSub,
    since: "7.0.0",
    complexity: "O(log N) in the subscriptions, for each channel",
};

pub(crate) static PUBLISH: Doc = Doc {
    summary: "Tells who listens, at every node that is reached; counts those of this node.",
    group: Group::PubSub,
    since: "2.0.0",
    complexity: "O(N) in the listeners and in the patterns of each node",
};

pub(crate) static SPUBLISH: Doc = Doc {
    summary: "Tells who listens by SSUBSCRIBE, at every node that is reached.",
    group: Group::PubSub,
    since: "7.0.0",
    complexity: "O(N) in the listeners of each node",
};

pub(crate) static PUBSUB: Doc = Doc {
    summary: "Tells who listens at this node.",
    group: Group::PubSub,
    since: "2.8.0",
    complexity: "Depends on the subcommand",
};

pub(crate) static CHANNELS: Doc = Doc {
    summary: "Lists the channels that somebody listens to.",
    group: Group::PubSub,
    since: "2.8.0",
    complexity: "O(N) in the channels",
};

pub(crate) static NUMPAT: Doc = Doc {
    summary: "Counts the patterns by which somebody listens.",
    group: Group::PubSub,
    since: "2.8.0",
    complexity: "O(N) in the patterns",
};

pub(crate) static NUMSUB: Doc = Doc {
    summary: "Counts who listens to channels, those by patterns left out.",
    group: Group::PubSub,
    since: "2.8.0",
    complexity: "O(N) in the channels named",
};

pub(crate) static SHARDCHANNELS: Doc = Doc {
    summary: "Lists the channels that somebody listens to by SSUBSCRIBE.",
    group: Group::PubSub,
    since: "7.0.0",
    complexity: "O(N) in the channels",
};

pub(crate) static SHARDNUMSUB: Doc = Doc {
    summary: "Counts who listens to channels by SSUBSCRIBE.",
    group: Group::PubSub,
    since: "7.0.0",
    complexity: "O(N) in the channels named",
};

static HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    List the channels that somebody listens to.",
    "NUMPAT",
    "    Count the patterns by which somebody listens.",
    "NUMSUB [<channel> ...]",
    "    Count who listens to channels.",
    "SHARDCHANNELS [<pattern>], SHARDNUMSUB [<channel> ...]",
    "    The same for the channels of SSUBSCRIBE.",
];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "PUBSUB", HELP);
    Ok(())
}

pub(crate) fn subscribe(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    listen(turn, ChannelKind::Channel, "subscribe", &args[1..])
}

pub(crate) fn subscribe_by_pattern(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    listen(turn, ChannelKind::Pattern, "psubscribe", &args[1..])
}

pub(crate) fn subscribe_sharded(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    listen(turn, ChannelKind::Sharded, "ssubscribe", &args[1..])
}

pub(crate) fn unsubscribe(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    listen_no_longer(turn, ChannelKind::Channel, "unsubscribe", &args[1..]);
    Ok(())
}

pub(crate) fn unsubscribe_by_pattern(
    turn: &mut Turn<'_>,
    args: Args<'_>,
) -> Result<(), SyntaxError> {
    listen_no_longer(turn, ChannelKind::Pattern, "punsubscribe", &args[1..]);
    Ok(())
}

pub(crate) fn unsubscribe_sharded(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    listen_no_longer(turn, ChannelKind::Sharded, "sunsubscribe", &args[1..]);
    Ok(())
}

/// Each name is confirmed on its own.
fn listen(
    turn: &mut Turn<'_>,
    kind: ChannelKind,
    verb: &str,
    names: &[Bytes],
) -> Result<(), SyntaxError> {
    for name in names {
        if !turn.door.channels.subscribe(&turn.session.client, kind, name) {
            return Err(SyntaxError::SubscriptionsFull);
        }
        confirm(turn, kind, verb, Some(name));
    }
    Ok(())
}

fn listen_no_longer(turn: &mut Turn<'_>, kind: ChannelKind, verb: &str, names: &[Bytes]) {
    let client = &turn.session.client;
    let all = if names.is_empty() { turn.door.channels.names_of(client, kind) } else { Vec::new() };
    let names = if names.is_empty() { &all } else { names };
    if names.is_empty() {
        confirm(turn, kind, verb, None);
    }
    for name in names {
        turn.door.channels.unsubscribe(&turn.session.client, kind, name);
        confirm(turn, kind, verb, Some(name));
    }
}

fn confirm(turn: &mut Turn<'_>, kind: ChannelKind, verb: &str, name: Option<&Bytes>) {
    let counts = turn.session.client.subscriptions().counts();
    turn.session.listens = !counts.is_zero();
    let (count, out) = (counts.told(kind), &mut turn.out);
    out.push(3);
    out.bulk(verb);
    match name {
        Some(name) => out.bulk(name),
        None => out.null(),
    }
    out.unsigned(count as u64);
}

/// PING of a client that listens, in a protocol where it hears nothing else.
pub(super) fn ping(turn: &mut Turn<'_>, message: &[u8]) -> bool {
    let is_told_so = turn.session.only_listens();
    if is_told_so {
        turn.out.array(2);
        turn.out.bulk("pong");
        turn.out.bulk(message);
    }
    is_told_so
}

pub(crate) fn publish(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    tell(turn, ChannelKind::Channel, args)
}

pub(crate) fn publish_sharded(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    tell(turn, ChannelKind::Sharded, args)
}

fn tell(turn: &mut Turn<'_>, kind: ChannelKind, args: Args<'_>) -> Result<(), SyntaxError> {
    let (channel, payload) = (&args[1], &args[2]);
    if channel.len() + payload.len() > turn.door.options.entry_bytes_max {
        return Err(SyntaxError::MessageTooBig);
    }
    let bus = turn.door.shards.bus().ok_or(SyntaxError::NoBus)?;
    let heard = turn.door.channels.count_of(kind, channel);
    bus.publish(&Channels::notice(kind, channel, payload));
    turn.out.unsigned(heard as u64);
    Ok(())
}

pub(crate) fn channels(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    list(turn, ChannelKind::Channel, "pubsub|channels", &args[2..])
}

pub(crate) fn shard_channels(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    list(turn, ChannelKind::Sharded, "pubsub|shardchannels", &args[2..])
}

fn list(
    turn: &mut Turn<'_>,
    kind: ChannelKind,
    path: &str,
    pattern: &[Bytes],
) -> Result<(), SyntaxError> {
    let mut found = turn.door.channels.all(kind);
    match pattern {
        [] => {}
        [pattern] => found.retain(|(name, _)| glob::matches(pattern, name, Case::Counts)),
        _ => return Err(SyntaxError::Arity(path.to_owned())),
    }
    turn.out.array(found.len());
    found.iter().for_each(|(name, _)| turn.out.bulk(name));
    Ok(())
}

pub(crate) fn patterns_count(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.unsigned(turn.door.channels.all(ChannelKind::Pattern).len() as u64);
    Ok(())
}

pub(crate) fn listeners_count(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    count(turn, ChannelKind::Channel, &args[2..]);
    Ok(())
}

pub(crate) fn shard_listeners_count(
    turn: &mut Turn<'_>,
    args: Args<'_>,
) -> Result<(), SyntaxError> {
    count(turn, ChannelKind::Sharded, &args[2..]);
    Ok(())
}

fn count(turn: &mut Turn<'_>, kind: ChannelKind, names: &[Bytes]) {
    let counts: std::collections::BTreeMap<_, _> =
        turn.door.channels.all(kind).into_iter().collect();
    turn.out.array(names.len() * 2);
    for name in names {
        turn.out.bulk(name);
        turn.out.unsigned(counts.get(name).copied().unwrap_or(0) as u64);
    }
}
