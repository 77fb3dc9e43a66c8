//! CLIENT and its subcommands: what connections say about themselves and may know of each other.

use bytes::Bytes;

use super::arguments::{Args, is_word};
use super::command::write_help;
use crate::resp::{Client, Doc, Echo, Group, SyntaxError, Turn};

/// Bytes of what a client says about itself.
const TEXT_BYTES_MAX: usize = 256;

pub(crate) static DOC: Doc = Doc {
    summary: "Names and describes connections.",
    group: Group::Connection,
    since: "2.4.0",
    complexity: "Depends on the subcommand",
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
    summary: "Describes the connections of this port of this node, all or some.",
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
    "GETNAME",
    "    Tell the name of this connection.",
    "ID",
    "    Tell the id of this connection.",
    "INFO",
    "    Describe this connection.",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> ...]",
    "    Describe connections.",
    "NO-EVICT (ON|OFF), NO-TOUCH (ON|OFF)",
    "    Accepted, and without effect.",
    "SETINFO (LIB-NAME|LIB-VER) <text>",
    "    Tell which library this is.",
    "SETNAME <name>",
    "    Name this connection.",
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
    let wanted = Wanted::parse(&args[2..])?;
    let now_ms = turn.door.now_ms();
    let clients = turn.door.clients.list();
    let lines = clients.iter().filter(|client| wanted.covers(client));
    let lines: String = lines.map(|client| client.line(now_ms)).collect();
    turn.out.verbatim(&lines);
    Ok(())
}

/// Which connections are asked for.
enum Wanted {
    All,
    /// Replicas and such: there are none.
    None,
    Ids(Vec<u64>),
}

impl Wanted {
    fn parse(options: &[Bytes]) -> Result<Self, SyntaxError> {
        match options {
            [] => Ok(Self::All),
            [option, kind] if is_word(option, "TYPE") => {
                if is_word(kind, "NORMAL") {
                    return Ok(Self::All);
                }
                let known = ["MASTER", "REPLICA", "SLAVE", "PUBSUB"];
                match known.iter().any(|known| is_word(kind, known)) {
                    true => Ok(Self::None),
                    false => Err(SyntaxError::ClientType(Echo::new(kind))),
                }
            }
            [option, ids @ ..] if is_word(option, "ID") && !ids.is_empty() => {
                let id = |id: &Bytes| {
                    let id = resp::signed(id).and_then(|id| u64::try_from(id).ok());
                    id.filter(|id| *id > 0).ok_or(SyntaxError::ClientId)
                };
                ids.iter().map(id).collect::<Result<_, _>>().map(Self::Ids)
            }
            _ => Err(SyntaxError::Syntax),
        }
    }

    fn covers(&self, client: &Client) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Ids(ids) => ids.contains(&client.id),
        }
    }
}
