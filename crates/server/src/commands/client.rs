//! CLIENT and its subcommands: what connections say about themselves and may know of each other.

mod filter;

use std::time::Duration;

use super::arguments::{Args, integer, is_word};
use super::command::write_help;
use crate::resp::{Doc, Echo, Group, Paused, Replies, SyntaxError, Turn, Unblock};
use filter::Filter;

/// Bytes of what a client says about itself.
const TEXT_BYTES_MAX: usize = 256;

/// A pause of a day is as good as one without end.
const PAUSE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

pub(crate) static DOC: Doc = Doc {
    summary: "Names and describes connections.",
    group: Group::Connection,
    since: "2.4.0",
    complexity: "Depends on the subcommand",
};

pub(crate) static CACHING: Doc = Doc {
    summary: "Refused: what clients read is not tracked.",
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1)",
};

pub(crate) static GETREDIR: Doc = Doc {
    summary: "Answers -1: what clients read is not tracked.",
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1)",
};

pub(crate) static KILL: Doc = Doc {
    summary: "Ends connections of this node.",
    group: Group::Connection,
    since: "2.4.0",
    complexity: "O(N) in the connections",
};

pub(crate) static PAUSE: Doc = Doc {
    summary: "Lets the requests of this node wait for a while, all or the writes.",
    group: Group::Connection,
    since: "3.0.0",
    complexity: "O(1)",
};

pub(crate) static REPLY: Doc = Doc {
    summary: "Tells whether this connection wants replies.",
    group: Group::Connection,
    since: "3.2.0",
    complexity: "O(1)",
};

pub(crate) static TRACKING: Doc = Doc {
    summary: "Refused, unless it is turned off: what clients read is not tracked.",
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1)",
};

pub(crate) static TRACKINGINFO: Doc = Doc {
    summary: "Tells that what this connection reads is not tracked.",
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(1)",
};

pub(crate) static UNBLOCK: Doc = Doc {
    summary: "Ends the wait of a blocked connection.",
    group: Group::Connection,
    since: "5.0.0",
    complexity: "O(log N) in the connections",
};

pub(crate) static UNPAUSE: Doc = Doc {
    summary: "Ends the pause of this node.",
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(N) in the connections",
};

pub(crate) static GETNAME: Doc = Doc {
    summary: "Tells the name of this connection.",
    group: Group::Connection,
    since: "2.6.9",
    complexity: "O(1)",
};

pub(crate) static ID: Doc = Doc {
    summary: "Tells the id of this connection.",
    group: Group::Connection,
    since: "5.0.0",
    complexity: "O(1)",
};

pub(crate) static INFO: Doc = Doc {
    summary: "Describes this connection.",
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(1)",
};

pub(crate) static LIST: Doc = Doc {
    summary: "Describes the connections of this node, all or some.",
    group: Group::Connection,
    since: "2.4.0",
    complexity: "O(N) in the connections",
};

pub(crate) static NO_EVICT: Doc = Doc {
    summary: "Accepted for clients that send it: connections are never evicted.",
    group: Group::Connection,
    since: "7.0.0",
    complexity: "O(1)",
};

pub(crate) static NO_TOUCH: Doc = Doc {
    summary: "Accepted for clients that send it: keys have no access times.",
    group: Group::Connection,
    since: "7.2.0",
    complexity: "O(1)",
};

pub(crate) static SETINFO: Doc = Doc {
    summary: "Tells which library the client is, and its version.",
    group: Group::Connection,
    since: "7.2.0",
    complexity: "O(1)",
};

pub(crate) static SETNAME: Doc = Doc {
    summary: "Names this connection.",
    group: Group::Connection,
    since: "2.6.9",
    complexity: "O(1)",
};

static HELP: &[&str] = &[
    "CACHING (YES|NO), TRACKING (ON|OFF), TRACKINGINFO, GETREDIR",
    "    For clients that ask: what they read is not tracked.",
    "GETNAME",
    "    Tell the name of this connection.",
    "ID",
    "    Tell the id of this connection.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    End the connection from this address.",
    "KILL <option> <value> [<option> <value> ...]",
    "    End the connections that all options cover: ID, ADDR, LADDR, USER, MAXAGE, TYPE. SKIPME",
    "    (yes by default) says whether this one is left out.",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> ...]",
    "    Describe connections.",
    "NO-EVICT (ON|OFF), NO-TOUCH (ON|OFF)",
    "    Accepted, and without effect.",
    "PAUSE <milliseconds> [WRITE|ALL]",
    "    Let requests wait.",
    "REPLY (ON|OFF|SKIP)",
    "    Tell whether replies are wanted.",
    "SETINFO (LIB-NAME|LIB-VER) <text>",
    "    Tell which library this is.",
    "SETNAME <name>",
    "    Name this connection.",
    "UNBLOCK <client-id> [TIMEOUT|ERROR]",
    "    End the wait of a blocked connection.",
    "UNPAUSE",
    "    End a pause.",
];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "CLIENT", HELP);
    Ok(())
}

pub(crate) fn id(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.unsigned(turn.session.client.id);
    Ok(())
}

pub(crate) fn get_name(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    match turn.session.client.said().name {
        name if name.is_empty() => turn.out.null(),
        name => turn.out.bulk(name),
    }
    Ok(())
}

pub(crate) fn set_name(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    check_text(&args[2], SyntaxError::ClientName)?;
    set_name_to(turn, &args[2]);
    turn.out.simple("OK");
    Ok(())
}

pub(super) fn set_name_to(turn: &mut Turn<'_>, name: &[u8]) {
    turn.session.client.say(|said| said.name = text(name));
}

/// What a client says about itself stands in lists: one word, not too long.
pub(super) fn check_text(given: &[u8], otherwise: SyntaxError) -> Result<(), SyntaxError> {
    let fits = given.len() <= TEXT_BYTES_MAX && given.iter().all(u8::is_ascii_graphic);
    if fits { Ok(()) } else { Err(otherwise) }
}

fn text(given: &[u8]) -> String {
    String::from_utf8_lossy(given).into_owned()
}

pub(crate) fn set_info(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let (option, given) = (&args[2], &args[3]);
    if is_word(option, "LIB-NAME") {
        check_text(given, SyntaxError::ClientInfo("LIB-NAME"))?;
        turn.session.client.say(|said| said.library_name = text(given));
    } else if is_word(option, "LIB-VER") {
        check_text(given, SyntaxError::ClientInfo("LIB-VER"))?;
        turn.session.client.say(|said| said.library_version = text(given));
    } else {
        return Err(SyntaxError::ClientInfoOption(Echo::new(option)));
    }
    turn.out.simple("OK");
    Ok(())
}

/// NO-EVICT and NO-TOUCH.
pub(crate) fn on_off(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    if !is_word(&args[2], "ON") && !is_word(&args[2], "OFF") {
        return Err(SyntaxError::Syntax);
    }
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn info(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let line = turn.session.client.line(turn.door.now_ms());
    turn.out.verbatim(&line);
    Ok(())
}

pub(crate) fn list(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let wanted = Filter::of_list(&args[2..])?;
    let now_ms = turn.door.now_ms();
    let clients = turn.door.clients.list();
    let lines = clients.iter().filter(|client| wanted.covers(client, now_ms));
    let lines: String = lines.map(|client| client.line(now_ms)).collect();
    turn.out.verbatim(&lines);
    Ok(())
}

pub(crate) fn kill(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let me = turn.session.client.id;
    // With an address alone the answer is OK, or that there is none.
    let by_address = args.len() == 3;
    let (wanted, skip_me) = match &args[2..] {
        [address] => (Filter::of_address(address), false),
        options => Filter::of_kill(options)?,
    };
    let now_ms = turn.door.now_ms();
    let mut killed = 0;
    for client in turn.door.clients.list() {
        let is_me = client.id == me;
        if !wanted.covers(&client, now_ms) || (is_me && skip_me) {
            continue;
        }
        killed += 1;
        if is_me {
            // Not before it has its answer.
            turn.session.quitting = true;
        } else {
            client.inbox.end();
        }
    }
    match (by_address, killed) {
        (false, _) => turn.out.unsigned(killed),
        (true, 0) => return Err(SyntaxError::NoSuchClient),
        (true, _) => turn.out.simple("OK"),
    }
    Ok(())
}

pub(crate) fn pause(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let what = match &args[3..] {
        [] => Paused::All,
        [mode] if is_word(mode, "ALL") => Paused::All,
        [mode] if is_word(mode, "WRITE") => Paused::Writes,
        _ => return Err(SyntaxError::PauseMode),
    };
    let length = resp::signed(&args[2]).ok_or(SyntaxError::TimeoutNotInteger)?;
    let length = u64::try_from(length).map_err(|_| SyntaxError::TimeoutNegative)?;
    turn.door.pause.set(Duration::from_millis(length.min(PAUSE_MS_MAX)), what);
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn unpause(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.door.pause.end();
    turn.door.clients.ring_all();
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn reply(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    turn.session.replies = match &args[2] {
        mode if is_word(mode, "ON") => {
            turn.out.simple("OK");
            Replies::On
        }
        mode if is_word(mode, "OFF") => Replies::Off,
        // Where there are none anyway, none are to be skipped.
        mode if is_word(mode, "SKIP") && turn.session.replies == Replies::Off => Replies::Off,
        mode if is_word(mode, "SKIP") => Replies::Skip,
        _ => return Err(SyntaxError::Syntax),
    };
    Ok(())
}

pub(crate) fn unblock(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let how = match &args[3..] {
        [] => Unblock::Timeout,
        [how] if is_word(how, "TIMEOUT") => Unblock::Timeout,
        [how] if is_word(how, "ERROR") => Unblock::Error,
        _ => return Err(SyntaxError::UnblockReason),
    };
    let id = u64::try_from(integer(&args[2])?).unwrap_or(0);
    turn.out.unsigned(turn.door.clients.unblock(id, how).into());
    Ok(())
}

pub(crate) fn tracking(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    match &args[2] {
        mode if is_word(mode, "OFF") => turn.out.simple("OK"),
        mode if is_word(mode, "ON") => return Err(SyntaxError::NoTracking),
        _ => return Err(SyntaxError::Syntax),
    }
    Ok(())
}

pub(crate) fn caching(_: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let known = is_word(&args[2], "YES") || is_word(&args[2], "NO");
    Err(if known { SyntaxError::NotTracking } else { SyntaxError::Syntax })
}

pub(crate) fn get_redirection(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.integer(-1);
    Ok(())
}

pub(crate) fn tracking_info(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let out = &mut turn.out;
    out.map(3);
    out.bulk("flags");
    out.set(1);
    out.bulk("off");
    out.bulk("redirect");
    out.integer(-1);
    out.bulk("prefixes");
    out.array(0);
    Ok(())
}
