//! PING, ECHO, SELECT, QUIT, RESET, AUTH, HELLO: what concerns the connection alone.

use resp::Protocol;

use super::arguments::{Args, integer, is_word};
use super::client::{check_text, set_name_to};
use super::pubsub;
use crate::resp::{Doc, Echo, Group, Replies, SyntaxError, Turn};

/// The one user there is.
const USER: &str = "default";

pub(crate) static PING: Doc = Doc {
    summary: "Answers PONG, or what it was given.",
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static ECHO: Doc = Doc {
    summary: "Answers what it was given.",
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static SELECT: Doc = Doc {
    summary: "Takes database 0, the only one there is.",
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static QUIT: Doc = Doc {
    summary: "Ends the connection when all its replies are sent.",
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static RESET: Doc = Doc {
    summary: "Makes the connection as it was when it was new.",
    group: Group::Connection,
    since: "6.2.0",
    complexity: "O(1)",
};

pub(crate) static AUTH: Doc = Doc {
    summary: "Gives the password, and perhaps the user, who is always called default.",
    group: Group::Connection,
    since: "1.0.0",
    complexity: "O(1)",
};

pub(crate) static HELLO: Doc = Doc {
    summary: "Chooses the version of the protocol, and may authenticate and name the connection.",
    group: Group::Connection,
    since: "6.0.0",
    complexity: "O(1)",
};

pub(crate) fn ping(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    match args {
        [_] if pubsub::ping(turn, b"") => {}
        [_, message] if pubsub::ping(turn, message) => {}
        [_] => turn.out.simple("PONG"),
        [_, message] => turn.out.bulk(message),
        _ => return Err(SyntaxError::Arity("ping".to_owned())),
    }
    Ok(())
}

pub(crate) fn echo(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.bulk(&args[1]);
    Ok(())
}

pub(crate) fn select(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    if integer(&args[1])? != 0 {
        return Err(SyntaxError::DbIndex);
    }
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn quit(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.session.quitting = true;
    turn.out.simple("OK");
    Ok(())
}

pub(crate) fn reset(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.session.protocol = Protocol::Resp2;
    turn.session.replies = Replies::On;
    turn.session.reads_here = false;
    turn.session.listens = false;
    turn.door.clients.set_monitors(&turn.session.client, false);
    turn.door.channels.unsubscribe_all(&turn.session.client);
    turn.session.client.inbox.clear();
    turn.session.authenticate(turn.door, turn.door.options.password.is_none());
    turn.session.client.say(|said| {
        said.name.clear();
        said.resp3 = false;
        said.queued_count = None;
        said.watched_count = 0;
    });
    turn.session.queued = Default::default();
    turn.out.simple("RESET");
    Ok(())
}

pub(crate) fn auth(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    match args {
        [_, _] if turn.door.options.password.is_none() => return Err(SyntaxError::NoPasswordSet),
        [_, password] => log_in(turn, USER.as_bytes(), password)?,
        [_, user, password] => log_in(turn, user, password)?,
        _ => return Err(SyntaxError::Syntax),
    }
    turn.out.simple("OK");
    Ok(())
}

/// Whether user and password are right. Without a password any will do for the one user, as in
/// Redis.
fn log_in(turn: &mut Turn<'_>, user: &[u8], password: &[u8]) -> Result<(), SyntaxError> {
    let wanted = turn.door.options.password.as_ref();
    // The password is compared also for an unknown user: one takes as long as the other.
    let right = wanted.is_none_or(|wanted| wanted.matches(password));
    if !(right & (user == USER.as_bytes())) {
        if turn.door.counters.logins_failed.is_worth_a_line() {
            tracing::warn!(client = %turn.session.client.address, "wrong password or user");
        }
        return Err(SyntaxError::WrongPassword);
    }
    turn.session.authenticate(turn.door, true);
    Ok(())
}

pub(crate) fn hello(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let mut protocol = turn.session.protocol;
    let (mut login, mut name) = (None, None);
    if let [_, version, options @ ..] = args {
        protocol = match resp::signed(version).ok_or(SyntaxError::ProtocolNotInteger)? {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(SyntaxError::NoProtocol),
        };
        let mut options = options;
        loop {
            options = match options {
                [] => break,
                [option, user, password, rest @ ..] if is_word(option, "AUTH") => {
                    login = Some((user, password));
                    rest
                }
                [option, given, rest @ ..] if is_word(option, "SETNAME") => {
                    check_text(given, SyntaxError::ClientName)?;
                    name = Some(given);
                    rest
                }
                [option, ..] => return Err(SyntaxError::HelloOption(Echo::new(option))),
            };
        }
    }
    if let Some((user, password)) = login {
        log_in(turn, user, password)?;
    }
    if !turn.session.is_authenticated() {
        return Err(SyntaxError::HelloNeedsAuth);
    }
    if let Some(name) = name {
        set_name_to(turn, name);
    }
    turn.session.protocol = protocol;
    turn.session.client.say(|said| said.resp3 = protocol == Protocol::Resp3);
    greet(turn, protocol);
    Ok(())
}

fn greet(turn: &mut Turn<'_>, protocol: Protocol) {
    let id = turn.session.client.id;
    let mode = turn.door.options.port.mode();
    turn.out.switch(protocol);
    let out = &mut turn.out;
    out.map(7);
    for (name, value) in [("server", "weir"), ("version", turn.door.redis_version())] {
        out.bulk(name);
        out.bulk(value);
    }
    out.bulk("proto");
    out.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    out.bulk("id");
    out.unsigned(id);
    for (name, value) in [("mode", mode), ("role", "master")] {
        out.bulk(name);
        out.bulk(value);
    }
    out.bulk("modules");
    out.array(0);
}
