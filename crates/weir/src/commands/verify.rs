//! `weir verify`: checks a stopped node's data. Changes nothing.

use crate::cli::Verify;
use crate::failed::Failed;

pub(crate) fn run(args: &Verify) -> Result<(), Failed> {
    if !args.dir.is_dir() {
        return Err(Failed::wrong(format!("{}: no such directory", args.dir.display())));
    }
    Err(Failed::data("verify is not wired yet"))
}
