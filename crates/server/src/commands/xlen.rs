//! XLEN.

use streams::query::Query;

use super::arguments::Args;
use crate::resp::{Doc, Group, SyntaxError};

pub(crate) static DOC: Doc = Doc {
    summary: "Tells how many entries a stream has.",
    group: Group::Stream,
    since: "5.0.0",
    complexity: "O(1)",
};

pub(crate) fn parse(args: Args<'_>) -> Result<Query, SyntaxError> {
    Ok(Query::Length { key: args[1].clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::args;

    #[test]
    fn a_stream_has_a_length() {
        assert_eq!(parse(&args("XLEN s")), Ok(Query::Length { key: "s".into() }));
    }
}
