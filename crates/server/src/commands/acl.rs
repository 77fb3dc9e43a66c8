//! ACL: the one user there is, for clients that ask. Never a password.

use super::arguments::{Args, is_word};
use super::command::{categories, write_help};
use crate::resp::{Doc, Echo, Group, SyntaxError, Turn, rows};

pub(crate) static DOC: Doc = Doc {
    summary: "Tells about users: there is one, who may do everything.",
    group: Group::Server,
    since: "6.0.0",
    complexity: "Depends on the subcommand",
};

pub(crate) static CAT: Doc = Doc {
    summary: "Lists the categories of commands, or the commands of one.",
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(N) in the commands",
};

pub(crate) static GETUSER: Doc = Doc {
    summary: "Describes a user, or none.",
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
};

pub(crate) static LIST: Doc = Doc {
    summary: "Lists the users with what they may do.",
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
};

pub(crate) static USERS: Doc = Doc {
    summary: "Lists the names of users.",
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
};

pub(crate) static WHOAMI: Doc = Doc {
    summary: "Tells the name of this connection's user.",
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
};

/// The one user there is.
const USER: &str = "default";

static HELP: &[&str] = &[
    "CAT [<category>]",
    "    List categories, or the commands of one.",
    "GETUSER <name>",
    "    Describe a user.",
    "LIST",
    "    List the users with what they may do.",
    "USERS",
    "    List the names of users.",
    "WHOAMI",
    "    Tell who this connection is.",
];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "ACL", HELP);
    Ok(())
}

pub(crate) fn who_am_i(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.bulk(USER);
    Ok(())
}

pub(crate) fn users(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.array(1);
    turn.out.bulk(USER);
    Ok(())
}

pub(crate) fn list(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let open = if turn.door.options.password.is_none() { "nopass " } else { "" };
    turn.out.array(1);
    turn.out.bulk(format!("user {USER} on {open}~* &* +@all"));
    Ok(())
}

pub(crate) fn get_user(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    if args[2] != USER {
        turn.out.null();
        return Ok(());
    }
    let is_open = turn.door.options.password.is_none();
    let out = &mut turn.out;
    out.map(6);
    out.bulk("flags");
    out.set(1 + usize::from(is_open));
    out.bulk("on");
    if is_open {
        out.bulk("nopass");
    }
    out.bulk("passwords");
    out.array(0);
    for (name, value) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
        out.bulk(name);
        out.bulk(value);
    }
    out.bulk("selectors");
    out.array(0);
    Ok(())
}

pub(crate) fn categories_or_commands(
    turn: &mut Turn<'_>,
    args: Args<'_>,
) -> Result<(), SyntaxError> {
    let found: std::collections::BTreeSet<String> = match &args[2..] {
        [] => {
            let names = rows().flat_map(categories);
            names.map(|name| name.trim_start_matches('@').to_owned()).collect()
        }
        [wanted] => {
            let is_wanted = |name: &&str| is_word(wanted, name.trim_start_matches('@'));
            let has = |spec: &&_| categories(spec).iter().any(&is_wanted);
            rows().filter(has).map(crate::resp::Spec::path).collect()
        }
        _ => return Err(SyntaxError::Arity("acl|cat".to_owned())),
    };
    if let (true, [wanted]) = (found.is_empty(), &args[2..]) {
        return Err(SyntaxError::NoSuchCategory(Echo::new(wanted)));
    }
    turn.out.array(found.len());
    found.iter().for_each(|name| turn.out.bulk(name));
    Ok(())
}
