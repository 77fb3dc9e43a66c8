//! A client from the arguments, and its failures in the words of the command line.

use std::time::Duration;

use client::{Client, Error};

use crate::cli::Cluster;
use crate::failed::Failed;

/// The client of the nodes that were named. Async, because connections are tasks of the runtime
/// that they are made in.
pub(super) async fn connect(args: &Cluster) -> Result<Client, Failed> {
    let timeout = Duration::from_secs(args.timeout.max(1));
    let mut builder = Client::builder(args.nodes.iter()).timeout(timeout);
    if let Some(path) = &args.password_file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failed::wrong(format!("{}: {error}", path.display())))?;
        builder = builder.password(text.trim_end_matches(['\r', '\n']));
    }
    builder.build().map_err(|error| failed(args, &error))
}

/// A failed call as one line that says what to do.
pub(super) fn failed(args: &Cluster, error: &Error) -> Failed {
    match error {
        Error::Unavailable(detail) if detail.reason.is_empty() => Failed::machine(format!(
            "no node answers at {}: {detail}; name a running one with --node HOST:PORT",
            args.nodes.join(", ")
        )),
        Error::Unauthenticated(_) => {
            Failed::wrong(format!("{error}; name the file with the password: --password-file FILE"))
        }
        Error::Unavailable(_) | Error::Unknown(_) | Error::Exhausted(_) => {
            Failed::machine(error.to_string())
        }
        Error::Invalid(_)
        | Error::NotFound(_)
        | Error::Exists(_)
        | Error::Refused(_)
        | Error::Denied(_)
        | Error::Address(_)
        | Error::Unexpected(_) => Failed::wrong(error.to_string()),
    }
}
