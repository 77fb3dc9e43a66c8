//! LATENCY: when requests took longer than `latency-monitor-threshold`, and how long each command
//! takes. Never advice that isn't about this node.

use super::arguments::{Args, is_word};
use super::command::write_help;
use crate::resp::{Doc, Group, SyntaxError, Turn};

pub(crate) static DOC: Doc = Doc {
    summary: "Shows how long requests to this node take.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "Depends on the subcommand",
};

pub(crate) static DOCTOR: Doc = Doc {
    summary: "Tells in words what took long.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(N) in the events",
};

pub(crate) static HISTOGRAM: Doc = Doc {
    summary: "Shows how long each command took, all or those named.",
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) in the commands",
};

pub(crate) static HISTORY: Doc = Doc {
    summary: "Shows when an event took long, and how long.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
};

pub(crate) static LATEST: Doc = Doc {
    summary: "Shows of each event when it last took long, and how long at most.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
};

pub(crate) static RESET: Doc = Doc {
    summary: "Forgets events, all or those named.",
    group: Group::Server,
    since: "2.8.13",
    complexity: "O(1)",
};

static HELP: &[&str] = &[
    "DOCTOR",
    "    Tell in words what took long.",
    "HISTOGRAM [<command> ...]",
    "    Show how long each command took.",
    "HISTORY <event>",
    "    Show when an event took long: command, or fast-command.",
    "LATEST",
    "    Show of each event when it last took long.",
    "RESET [<event> ...]",
    "    Forget events.",
];

pub(crate) fn help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "LATENCY", HELP);
    Ok(())
}

pub(crate) fn latest(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let events = turn.door.latency.events();
    let out = &mut turn.out;
    out.array(events.len());
    for (event, history) in events {
        let last = history.samples.back().copied().unwrap_or_default();
        out.array(4);
        out.bulk(event);
        [last.at_s, last.ms, history.ms_max].iter().for_each(|number| out.unsigned(*number));
    }
    Ok(())
}

pub(crate) fn history(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let events = turn.door.latency.events();
    let found = events.into_iter().find(|(event, _)| is_word(&args[2], event));
    let samples = found.map(|(_, history)| history.samples).unwrap_or_default();
    turn.out.array(samples.len());
    for sample in samples {
        turn.out.array(2);
        turn.out.unsigned(sample.at_s);
        turn.out.unsigned(sample.ms);
    }
    Ok(())
}

pub(crate) fn reset(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let named = &args[2..];
    let covers = |event: &str| named.is_empty() || named.iter().any(|name| is_word(name, event));
    turn.out.unsigned(turn.door.latency.reset(covers) as u64);
    Ok(())
}

/// By command: its calls, and how many of them took at most so many microseconds.
pub(crate) fn histogram(turn: &mut Turn<'_>, args: Args<'_>) -> Result<(), SyntaxError> {
    let named = &args[2..];
    // A container's name covers its subcommands.
    let covers = |path: &str| {
        let container = path.split('|').next().unwrap_or_default();
        named.is_empty() || named.iter().any(|it| is_word(it, path) || is_word(it, container))
    };
    let mut seen = turn.door.statistics.seen();
    seen.retain(|path, seen| seen.calls > 0 && covers(path));
    let out = &mut turn.out;
    out.map(seen.len());
    for (path, seen) in seen {
        let steps = seen.histogram();
        out.bulk(path);
        out.map(2);
        out.bulk("calls");
        out.unsigned(seen.calls);
        out.bulk("histogram_usec");
        out.map(steps.len());
        for (us, calls) in steps {
            out.unsigned(us);
            out.unsigned(calls);
        }
    }
    Ok(())
}

pub(crate) fn doctor(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    let threshold_ms = turn.door.settings.latency_ms.get();
    let events = turn.door.latency.events();
    let mut text = match (threshold_ms, events.is_empty()) {
        (0, _) => "Nothing is noted: set latency-monitor-threshold to a number of milliseconds.\n",
        (_, true) => "Nothing took long.\n",
        (_, false) => "",
    }
    .to_owned();
    for (event, history) in events {
        text.push_str(&format!(
            "{event}: {} seconds in which a request took {threshold_ms} ms or longer, {} ms at \
             most. A write waits for the disks of a majority: see weir_journal_sync_seconds.\n",
            history.samples.len(),
            history.ms_max
        ));
    }
    turn.out.verbatim(&text);
    Ok(())
}
