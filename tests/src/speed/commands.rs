//! Every stream command by itself at many connections, each on a stream of its own, so that what a
//! request takes away is there for each of them.

use resp::Value;

use super::load::Check;
use super::table::{ms, rate, ratio};
use super::{Load, Measured, Plan, Side, Table, Turn};

/// Requests a second below which a command is marked.
pub const SLOW_PER_SECOND: f64 = 10_000.0;

/// Entries of each stream besides one for each turn: ranges never come to the end.
const ENTRIES_MORE: usize = 30;
/// Entries that one group read of the preparation takes.
const DELIVERED_TOGETHER: usize = 100;
/// Of each entry's one value.
const PAYLOAD_BYTES: usize = 100;

/// One form of a command.
pub struct Form {
    pub name: &'static str,
    kind: Kind,
    /// What there is before.
    there: There,
    request: fn(&At<'_>) -> String,
    check: Check,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    /// A write that came with Redis 8.
    Newest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum There {
    Nothing,
    Entries,
    /// Entries, and a group that has read nothing.
    Group,
    /// Entries, all pending for the one consumer of a group.
    Pending,
    /// A group for each turn.
    Groups,
    /// A consumer for each turn.
    Consumers,
}

/// A connection's stream, and which of its turns it is.
struct At<'a> {
    stream: &'a str,
    turn: usize,
}

impl At<'_> {
    /// The entry of this turn.
    fn id(&self) -> String {
        format!("{}-0", self.turn + 1)
    }
}

const fn form(
    name: &'static str,
    kind: Kind,
    there: There,
    request: fn(&At<'_>) -> String,
    check: Check,
) -> Form {
    Form { name, kind, there, request, check }
}

use Kind::{Newest, Read, Write};

/// What is asked.
#[rustfmt::skip]
pub const FORMS: &[Form] = &[
    form("XADD", Write, There::Nothing, |at| format!("XADD {} * data {}", at.stream, payload()), is_text),
    form("XADD MAXLEN ~ 100", Write, There::Nothing, |at| format!("XADD {} MAXLEN ~ 100 * data {}", at.stream, payload()), is_text),
    form("XADD IDMP", Newest, There::Nothing, |at| format!("XADD {} IDMP p {} * data {}", at.stream, at.turn, payload()), is_text),
    form("XLEN", Read, There::Entries, |at| format!("XLEN {}", at.stream), is_positive),
    form("XRANGE COUNT 10", Read, There::Entries, |at| format!("XRANGE {} {} + COUNT 10", at.stream, at.id()), has_10),
    form("XREVRANGE COUNT 10", Read, There::Entries, |at| format!("XREVRANGE {} + - COUNT 10", at.stream), has_10),
    form("XREAD COUNT 10", Read, There::Entries, |at| format!("XREAD COUNT 10 STREAMS {} {}", at.stream, at.id()), gives_10),
    form("XREADGROUP COUNT 1 >", Write, There::Group, |at| format!("XREADGROUP GROUP g c COUNT 1 STREAMS {} >", at.stream), gives_some),
    form("XREADGROUP COUNT 10 0", Write, There::Pending, |at| format!("XREADGROUP GROUP g c COUNT 10 STREAMS {} 0", at.stream), gives_10),
    form("XACK", Write, There::Pending, |at| format!("XACK {} g {}", at.stream, at.id()), is_1),
    form("XACKDEL", Newest, There::Pending, |at| format!("XACKDEL {} g IDS 1 {}", at.stream, at.id()), is_list_of_1),
    form("XNACK", Newest, There::Pending, |at| format!("XNACK {} g FAIL IDS 1 {}", at.stream, at.id()), is_1),
    form("XCLAIM", Write, There::Pending, |at| format!("XCLAIM {} g other 0 {}", at.stream, at.id()), has_some),
    form("XAUTOCLAIM COUNT 10", Write, There::Pending, |at| format!("XAUTOCLAIM {} g other 0 {} COUNT 10", at.stream, at.id()), claims_10),
    form("XPENDING", Read, There::Pending, |at| format!("XPENDING {} g", at.stream), has_some),
    form("XPENDING - + 10", Read, There::Pending, |at| format!("XPENDING {} g - + 10", at.stream), has_10),
    form("XPENDING IDLE - + 10 c", Read, There::Pending, |at| format!("XPENDING {} g IDLE 0 - + 10 c", at.stream), has_10),
    form("XINFO STREAM", Read, There::Pending, |at| format!("XINFO STREAM {}", at.stream), has_10),
    form("XINFO STREAM FULL", Read, There::Pending, |at| format!("XINFO STREAM {} FULL", at.stream), has_10),
    form("XINFO GROUPS", Read, There::Pending, |at| format!("XINFO GROUPS {}", at.stream), has_some),
    form("XINFO CONSUMERS", Read, There::Pending, |at| format!("XINFO CONSUMERS {} g", at.stream), has_some),
    form("XGROUP CREATE", Write, There::Entries, |at| format!("XGROUP CREATE {} g{} 0", at.stream, at.turn), is_ok),
    form("XGROUP SETID", Write, There::Group, |at| format!("XGROUP SETID {} g {}", at.stream, at.id()), is_ok),
    form("XGROUP CREATECONSUMER", Write, There::Group, |at| format!("XGROUP CREATECONSUMER {} g c{}", at.stream, at.turn), is_1),
    form("XGROUP DELCONSUMER", Write, There::Consumers, |at| format!("XGROUP DELCONSUMER {} g c{}", at.stream, at.turn), is_0),
    form("XGROUP DESTROY", Write, There::Groups, |at| format!("XGROUP DESTROY {} g{}", at.stream, at.turn), is_1),
    form("XDEL", Write, There::Entries, |at| format!("XDEL {} {}", at.stream, at.id()), is_1),
    form("XDELEX", Newest, There::Entries, |at| format!("XDELEX {} IDS 1 {}", at.stream, at.id()), is_list_of_1),
    form("XDELEX DELREF", Newest, There::Pending, |at| format!("XDELEX {} DELREF IDS 1 {}", at.stream, at.id()), is_list_of_1),
    form("XTRIM MINID", Write, There::Entries, |at| format!("XTRIM {} MINID {}-0", at.stream, at.turn + 2), is_1),
    form("XSETID", Write, There::Entries, |at| format!("XSETID {} 9999999-{}", at.stream, at.turn), is_ok),
    form("XCFGSET", Newest, There::Entries, |at| format!("XCFGSET {} IDMP-MAXSIZE 100", at.stream), is_ok),
];

fn payload() -> String {
    "x".repeat(PAYLOAD_BYTES)
}

fn is_text(reply: &Value) -> bool {
    reply.as_text().is_some()
}

fn is_ok(reply: &Value) -> bool {
    reply.as_text() == Some("OK")
}

fn is_0(reply: &Value) -> bool {
    reply.as_integer() == Some(0)
}

fn is_1(reply: &Value) -> bool {
    reply.as_integer() == Some(1)
}

fn is_positive(reply: &Value) -> bool {
    reply.as_integer().is_some_and(|number| number > 0)
}

fn is_list_of_1(reply: &Value) -> bool {
    reply.as_items().is_some_and(|items| items.len() == 1 && is_1(&items[0]))
}

fn has_some(reply: &Value) -> bool {
    reply.as_items().is_some_and(|items| !items.is_empty())
}

/// Ten entries, or more than ten of anything.
fn has_10(reply: &Value) -> bool {
    reply.as_items().is_some_and(|items| items.len() >= 10)
}

/// Of a read: the entries of the one stream.
fn read(reply: &Value) -> Option<&Value> {
    reply.as_items()?.first()?.as_items()?.get(1)
}

fn gives_some(reply: &Value) -> bool {
    read(reply).is_some_and(has_some)
}

fn gives_10(reply: &Value) -> bool {
    read(reply).is_some_and(has_10)
}

fn claims_10(reply: &Value) -> bool {
    reply.as_items().and_then(|items| items.get(1)).is_some_and(has_10)
}

/// The name of a connection's stream.
fn stream_of(connection: usize) -> String {
    format!("weir-speed:{connection}")
}

/// What a connection asks before: its stream as the form wants it, whatever was there.
fn prepare(there: There, connection: usize, turns: usize) -> Vec<String> {
    let stream = stream_of(connection);
    let mut lines = vec![format!("DEL {stream}")];
    if there == There::Nothing {
        return lines;
    }
    let entries = turns + ENTRIES_MORE;
    let payload = payload();
    lines.extend((1..=entries).map(|id| format!("XADD {stream} {id}-0 data {payload}")));
    match there {
        There::Nothing | There::Entries => {}
        There::Group => lines.push(format!("XGROUP CREATE {stream} g 0")),
        There::Pending => {
            lines.push(format!("XGROUP CREATE {stream} g 0"));
            let read =
                format!("XREADGROUP GROUP g c COUNT {DELIVERED_TOGETHER} STREAMS {stream} >");
            lines.extend(std::iter::repeat_n(read, entries.div_ceil(DELIVERED_TOGETHER)));
        }
        There::Groups => {
            lines.extend((0..turns).map(|turn| format!("XGROUP CREATE {stream} g{turn} 0")));
        }
        There::Consumers => {
            lines.push(format!("XGROUP CREATE {stream} g 0"));
            let make = |turn| format!("XGROUP CREATECONSUMER {stream} g c{turn}");
            lines.extend((0..turns).map(make));
        }
    }
    lines
}

/// Measures one form; `None` where the side does not have it.
fn measure(plan: &Plan<'_>, side: &Side, form: &Form) -> anyhow::Result<Option<Measured>> {
    if form.kind == Newest && !side.newest {
        return Ok(None);
    }
    let turn = |connection: usize, turn: usize| {
        let words = (form.request)(&At { stream: &stream_of(connection), turn });
        vec![match form.kind {
            Read => Turn::default().read(&words, form.check),
            Write | Newest => Turn::default().write(side, &words, form.check),
        }]
    };
    let load = Load {
        connections: plan.connections,
        turns: plan.turns,
        limit: plan.limit,
        whole: false,
        prepare: &|connection| prepare(form.there, connection, plan.turns),
        turn: &turn,
    };
    let measured = load.run(side)?;
    remove(plan, side)?;
    Ok(Some(measured))
}

fn remove(plan: &Plan<'_>, side: &Side) -> anyhow::Result<()> {
    let mut client = crate::client::Client::open(&side.addresses[0])?;
    for connection in 0..plan.connections {
        client.call(&["DEL", &stream_of(connection)])?;
    }
    Ok(())
}

/// All forms whose name has one of these words, or all, side by side.
///
/// # Errors
/// A connection broke, or an answer was not what it should be.
pub fn run(plan: &Plan<'_>, wanted: &[String]) -> anyhow::Result<Table> {
    let title = format!(
        "Every command at {} connections, {PAYLOAD_BYTES} B, medians of {} rounds",
        plan.connections, plan.rounds
    );
    let columns = [
        "command",
        "redis/s",
        "weir/s",
        "ratio",
        "redis p50 ms",
        "weir p50 ms",
        "weir p99 ms",
        "redis CPU us",
        "weir CPU us",
        "mark",
    ];
    let mut table = Table::new(title, &columns);
    let is_wanted = |form: &&Form| {
        let has = |word: &String| form.name.to_lowercase().starts_with(&word.to_lowercase());
        wanted.is_empty() || wanted.iter().any(has)
    };
    for form in FORMS.iter().filter(is_wanted) {
        let found = plan.medians(form.name, |side| measure(plan, side, form))?;
        table.rows.push(row(plan, form.name, &found));
    }
    Ok(table)
}

fn row(plan: &Plan<'_>, name: &str, found: &[Option<Measured>]) -> Vec<String> {
    let of = |side: &str| {
        let at = plan.sides.iter().position(|one| one.name == side)?;
        found.get(at).copied().flatten()
    };
    let (redis, weir) = (of("redis"), of("weir"));
    let per_second = |found: Option<Measured>| found.map(|it| it.per_second);
    let time = |found: Option<f64>| found.map_or_else(|| "-".to_owned(), ms);
    let slow = per_second(weir).is_some_and(|rate| rate < SLOW_PER_SECOND);
    vec![
        name.to_owned(),
        rate(per_second(redis)),
        rate(per_second(weir)),
        ratio(per_second(weir), per_second(redis)),
        time(redis.map(|it| it.p50_ms)),
        time(weir.map(|it| it.p50_ms)),
        time(weir.map(|it| it.p99_ms)),
        rate(redis.map(|it| it.cpu_us)),
        rate(weir.map(|it| it.cpu_us)),
        if slow { "below 10,000".to_owned() } else { String::new() },
    ]
}
