//! What may be typed. The texts are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Redis-style streams on a cluster of nodes. A reply to a write means: on disk, on a majority.
///
/// Begin with `weir demo` (watch a leader being killed and nothing being lost) or `weir dev` (a
/// cluster on this machine; talk to it with redis-cli on port 6379, 6389 or 6399).
#[derive(Debug, Parser)]
#[command(name = "weir", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what Weir is for: three nodes, a real event log, a killed leader, nothing lost.
    Demo(Demo),
    Dev(Dev),
    Server(Server),
    /// Check the data of a stopped node: every checksum, every reference. Changes nothing.
    Verify(Verify),
    /// Exit with 0 when this node is ready, for containers.
    Health(Health),
    /// Print a completion script, such as `weir completions bash`.
    Completions(Completions),
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// The git repository whose history is the event log [default: the one around this directory].
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// First of the ports; where they are taken, others are used.
    #[arg(long, value_name = "PORT", default_value_t = 6379)]
    pub(crate) base_port: u16,
}

/// Run a whole cluster on this machine, on loopback.
///
/// Writes cluster.toml and node-N.toml into DIR and starts a process for each node; where they are
/// there already, they are used. Prints where the nodes are and `ready` once every shard takes
/// writes. Ctrl-C stops all of them. A node that dies stays down; start it again with
/// `weir server --config DIR/node-N.toml`.
#[derive(Args, Debug)]
pub(crate) struct Dev {
    /// How many nodes [default: 3, or as many as DIR has].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    pub(crate) nodes: Option<u16>,
    /// First port of node 1; node i has the ten from here + 10 x (i - 1) [default: 6379, or as in
    /// DIR].
    #[arg(long, value_name = "PORT")]
    pub(crate) base_port: Option<u16>,
    /// Where configuration, data and logs are kept.
    #[arg(long, value_name = "DIR", default_value = "weir-data")]
    pub(crate) data_dir: PathBuf,
    /// Start a node that dies again at once.
    #[arg(long)]
    pub(crate) restart: bool,
    /// Print one line of JSON when ready, instead of a table.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Run one node.
///
/// SIGTERM hands its leaderships over, drains, syncs and exits with 0. Exit code 1: a configuration
/// that is wrong; 2: data that cannot be trusted or is gone; 3: the machine refuses (port, lock,
/// permission, disk full, failed sync): repair it, then start again. Every key of the files may also
/// come from the environment, as WEIR_SECTION__KEY.
#[derive(Args, Debug)]
pub(crate) struct Server {
    /// The node's file; it names the cluster's.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// End with the process that started this one (what `weir dev` wants).
    #[arg(long, value_name = "PID", hide = true)]
    pub(crate) parent: Option<i32>,
}

#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The data directory of a node that does not run.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Health {
    /// The node's HTTP address.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6383")]
    pub(crate) http: String,
}

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// For which shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.len() > 10, "{}: {about}", command.get_name());
        }
    }
}
