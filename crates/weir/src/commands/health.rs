//! `weir health`: whether a node is ready, as an exit code.

use std::time::Duration;

use crate::cli::Health;
use crate::commands::block_on;
use crate::failed::Failed;
use crate::local::http;

const ANSWER_WAIT: Duration = Duration::from_secs(2);

pub(crate) fn run(args: &Health) -> Result<(), Failed> {
    block_on(async {
        let asked = tokio::time::timeout(ANSWER_WAIT, http::get(&args.http, "/readyz")).await;
        match asked {
            Ok(Ok(answer)) if answer.status == 200 => Ok(()),
            Ok(Ok(answer)) => {
                Err(Failed::wrong(format!("{}: not ready: {}", args.http, answer.body.trim())))
            }
            Ok(Err(error)) => Err(Failed::machine(format!("{}: {error}", args.http))),
            Err(_) => Err(Failed::machine(format!("{}: no answer within 2 s", args.http))),
        }
    })
}
