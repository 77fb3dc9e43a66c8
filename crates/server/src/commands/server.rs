//! What tools ask of a server as a whole: ROLE, SAVE, LASTSAVE, MONITOR, SHUTDOWN, DEBUG, and what
//! suites clear that isn't here (FUNCTION, MODULE). Never the shards.

use std::time::Duration;

use super::arguments::{Args, is_word};
use super::command::write_help;
use crate::resp::{Doc, Group, Paused, SyntaxError, Turn};

pub(crate) static ROLE: Doc = Doc {
    summary: "Tells that this node takes writes, and which other nodes it reaches.",
    group: Group::Server,
    since: "2.8.12",
    complexity: "O(N) in the nodes",
};

pub(crate) static SAVE: Doc = Doc {
    summary: "Answers OK: what was acknowledged is on disk already.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static BGSAVE: Doc = Doc {
    summary: "Tells that what was acknowledged is on disk already.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static LASTSAVE: Doc = Doc {
    summary: "Tells the time: what was acknowledged until now is on disk.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static MONITOR: Doc = Doc {
    summary: "Shows what clients of this node ask, passwords left out.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) in the monitoring clients, for each request",
};

pub(crate) static SHUTDOWN: Doc = Doc {
    summary: "Stops this node as SIGTERM does: its shards are led by others first.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(N) in the shards",
};

pub(crate) static FUNCTION: Doc = Doc {
    summary: "For suites that clear functions: there are none.",
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(1)",
};

pub(crate) static FUNCTION_FLUSH: Doc = Doc {
    summary: "Answers OK: there are no functions to remove.",
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(1)",
};

pub(crate) static FUNCTION_LIST: Doc = Doc {
    summary: "Lists no functions.",
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(1)",
};

pub(crate) static MODULE: Doc = Doc {
    summary: "For tools that list modules: there are none.",
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
};

pub(crate) static MODULE_LIST: Doc =
    Doc { summary: "Lists no modules.", group: Group::Server, since: "4.0.0", complexity: "O(1)" };

pub(crate) static DEBUG: Doc = Doc {
    summary: "For tests of clients; refused by a node that is built for use.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static DEBUG_SLEEP: Doc = Doc {
    summary: "Lets all requests of this node wait, in a build for tests only.",
    group: Group::Server,
    since: "1.0.0",
    complexity: "O(1)",
};

static FUNCTION_HELP: &[&str] = &[
    "FLUSH [ASYNC|SYNC]",
    "    Answer OK: there are no functions.",
    "LIST",
    "    List no functions.",
];

static MODULE_HELP: &[&str] = &["LIST", "    List no modules."];

static DEBUG_HELP: &[&str] =
    &["SLEEP <seconds>", "    Let all requests wait, in a build for tests only."];

pub(crate) fn function_help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "FUNCTION", FUNCTION_HELP);
    Ok(())
}

pub(crate) fn module_help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "MODULE", MODULE_HELP);
    Ok(())
}

pub(crate) fn debug_help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "DEBUG", DEBUG_HELP);
    Ok(())
}

pub(crate) fn role(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let status = turn.door.shards.outline();
    let offset: u64 = status.shards.iter().map(|shard| shard.applied_index).sum();
    let others = status.peers.iter().filter(|peer| peer.connected && peer.node != status.node);
    let others: Vec<_> = others.filter_map(|peer| peer.resp.rsplit_once(':')).collect();
    let out = &mut turn.out;
    out.array(3);
    out.bulk("master");
    out.unsigned(offset);
    out.array(others.len());
    for (host, port) in others {
        out.array(3);
        out.bulk(host);
        out.bulk(port);
        out.bulk(offset.to_string());
    }
    Ok(())
}

pub(crate) fn save(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.door.note_saved();
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn save_in_background(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    if args.len() > 2 || args.get(1).is_some_and(|option| !is_word(option, "SCHEDULE")) {
        return Err(SyntaxError::Syntax);
    }
    turn.door.note_saved();
    turn.out.simple("What was acknowledged is on disk already");
    Ok(())
}

pub(crate) fn last_save(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.unsigned(turn.door.clock.wall_ms() / 1000);
    Ok(())
}

pub(crate) fn monitor(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.door.clients.set_monitors(&turn.session.client, true);
    turn.out.simple("OK");
    Ok(())
}

/// There is no answer: the connection ends when the node stops.
pub(crate) fn shut_down(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    const KNOWN: [&str; 4] = ["SAVE", "NOSAVE", "NOW", "FORCE"];
    if let [_, option] = args
        && is_word(option, "ABORT")
    {
        return Err(SyntaxError::NoShutdown);
    }
    if !args[1..].iter().all(|option| KNOWN.iter().any(|known| is_word(option, known))) {
        return Err(SyntaxError::Syntax);
    }
    tracing::info!(client = %turn.session.client.address, "a client wants this node to stop");
    turn.door.shutdown.cancel();
    Ok(())
}

pub(crate) fn function_flush(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    match &args[2..] {
        [] => {}
        [mode] if is_word(mode, "ASYNC") || is_word(mode, "SYNC") => {}
        _ => return Err(SyntaxError::FlushMode),
    }
    turn.out.simple("OK");
    Ok(())
}

/// FUNCTION LIST and MODULE LIST.
pub(crate) fn nothing(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.array(0);
    Ok(())
}

/// The node itself never sleeps: what comes behind this waits.
pub(crate) fn debug_sleep(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    const SECONDS_MAX: f64 = 60.0;
    if !cfg!(debug_assertions) {
        return Err(SyntaxError::NoDebug);
    }
    let seconds = std::str::from_utf8(&args[2]).ok().and_then(|text| text.parse::<f64>().ok());
    let seconds = seconds.filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    let seconds = seconds.ok_or(SyntaxError::NotFloat)?;
    turn.door.pause.set(Duration::from_secs_f64(seconds), Paused::All);
    turn.out.simple("OK");
    Ok(())
}
