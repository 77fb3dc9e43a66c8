//! OBJECT and MEMORY: what a key is inside, as far as that means anything here.

use bytes::Bytes;
use streams::query::{About, Query};

use super::arguments::{Args, is_word};
use super::command::write_help;
use crate::resp::{Doc, Group, SyntaxError, Turn};

pub(crate) static OBJECT: Doc = Doc {
    summary: "Tells of the inside of keys.",
    group: Group::Generic,
    since: "2.2.3",
    complexity: "Depends on the subcommand",
};

pub(crate) static ENCODING: Doc = Doc {
    summary: "Tells how a key's contents are kept: always as a stream.",
    group: Group::Generic,
    since: "2.2.3",
    complexity: "O(1)",
};

pub(crate) static FREQ: Doc = Doc {
    summary: "Refused, as in Redis without an LFU policy: nothing counts how often keys are used.",
    group: Group::Generic,
    since: "4.0.0",
    complexity: "O(1)",
};

pub(crate) static IDLETIME: Doc = Doc {
    summary: "Answers 0 for a key that is there: keys have no access times.",
    group: Group::Generic,
    since: "2.2.3",
    complexity: "O(1)",
};

pub(crate) static REFCOUNT: Doc = Doc {
    summary: "Answers 1 for a key that is there.",
    group: Group::Generic,
    since: "2.2.3",
    complexity: "O(1)",
};

pub(crate) static MEMORY: Doc = Doc {
    summary: "Tells what takes memory.",
    group: Group::Server,
    since: "4.0.0",
    complexity: "Depends on the subcommand",
};

pub(crate) static USAGE: Doc = Doc {
    summary: "Estimates what a stream takes: its entries, of which most may lie on disk only, and \
              its groups and pending entries. Nothing is sampled.",
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(N) in the blocks and groups of the stream",
};

pub(crate) static DOCTOR: Doc = Doc {
    summary: "Says where to look: the limit of this node's memory is never exceeded for long.",
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
};

static OBJECT_HELP: &[&str] = &[
    "ENCODING <key>",
    "    Tell how the contents of a key are kept.",
    "FREQ <key>",
    "    Refused: nothing counts how often a key is used.",
    "IDLETIME <key>",
    "    Answer 0: keys have no access times.",
    "REFCOUNT <key>",
    "    Answer 1.",
];

static MEMORY_HELP: &[&str] = &[
    "DOCTOR",
    "    Say where to look.",
    "USAGE <key> [SAMPLES <count>]",
    "    Estimate the bytes that a stream takes, on disk or in memory.",
];

const DIAGNOSIS: &str = "Nothing to treat: caches, buffers and queues share limits.memory, and what \
                         doesn't fit is read from disk. Metrics show what each part takes.";

pub(crate) fn object_help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "OBJECT", OBJECT_HELP);
    Ok(())
}

pub(crate) fn memory_help(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    write_help(turn, "MEMORY", MEMORY_HELP);
    Ok(())
}

pub(crate) fn doctor(turn: &mut Turn<'_>, _: Args<'_>) -> Result<(), SyntaxError> {
    turn.out.verbatim(DIAGNOSIS);
    Ok(())
}

pub(crate) fn encoding(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(question(&args[2], About::Encoding))
}

pub(crate) fn frequency(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(question(&args[2], About::Frequency))
}

pub(crate) fn idle_time(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(question(&args[2], About::IdleTime))
}

pub(crate) fn references(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(question(&args[2], About::References))
}

pub(crate) fn usage(args: Args<'_>) -> Result<Query, SyntaxError> {
    match &args[3..] {
        [] => {}
        [option, samples] if is_word(option, "SAMPLES") => {
            let samples = super::arguments::integer(samples)?;
            if samples < 0 {
                return Err(SyntaxError::Syntax);
            }
        }
        _ => return Err(SyntaxError::Syntax),
    }
    Ok(question(&args[2], About::Bytes))
}

fn question(key: &Bytes, about: About) -> Query {
    Query::Object { key: key.clone(), about }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn a_question_is_about_its_key() {
        let asked = |about| Ok(question(&Bytes::from_static(b"k"), about));
        assert_eq!(encoding(&args("OBJECT ENCODING k")), asked(About::Encoding));
        assert_eq!(frequency(&args("OBJECT FREQ k")), asked(About::Frequency));
        assert_eq!(idle_time(&args("OBJECT IDLETIME k")), asked(About::IdleTime));
        assert_eq!(references(&args("OBJECT REFCOUNT k")), asked(About::References));
        assert_eq!(usage(&args("MEMORY USAGE k")), asked(About::Bytes));
        assert_eq!(usage(&args("MEMORY USAGE k samples 0")), asked(About::Bytes));
        for (line, error) in [
            ("MEMORY USAGE k SAMPLES", SyntaxError::Syntax),
            ("MEMORY USAGE k SAMPLES -1", SyntaxError::Syntax),
            ("MEMORY USAGE k SAMPLES x", SyntaxError::NotInteger),
            ("MEMORY USAGE k FOO 1", SyntaxError::Syntax),
        ] {
            assert_eq!(usage(&args(line)), Err(error), "{line}");
        }
    }
}
