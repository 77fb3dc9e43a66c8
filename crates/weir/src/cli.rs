//! What may be typed. The texts are the help.

mod bench;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use bench::{Bench, Protocol};

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
    Status(Status),
    Append(Append),
    Read(Read),
    /// Change the members of a cluster.
    Node(Node),
    Bench(Bench),
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

/// Which cluster, for commands that talk to one.
#[derive(Args, Clone, Debug)]
pub(crate) struct Cluster {
    /// A node's gRPC address; give several, and others are tried when one is gone.
    #[arg(
        long = "node",
        value_name = "HOST:PORT",
        env = "WEIR_NODE",
        value_delimiter = ',',
        default_value = "127.0.0.1:6381"
    )]
    pub(crate) nodes: Vec<String>,
    /// A file with the password of the nodes.
    #[arg(long, value_name = "FILE", env = "WEIR_PASSWORD_FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How long to go on trying, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub(crate) timeout: u64,
}

/// Show nodes, shards and leaders.
///
/// Every node is asked for its own replicas. Positions are indices of a shard's log: `applied` is
/// what the replica answers from, `synced` what is on its disk, `behind` how many entries it lacks.
/// Replicas that applied as much have the same hash.
#[derive(Args, Debug)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// Print one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Append entries to a stream: one from the arguments, or one for each line of stdin.
///
/// `weir append --stream orders item 7 colour red` appends one entry and prints its id. Without
/// names and values, each line of stdin becomes an entry with one field. With --json each line is
/// an object:
///
/// {"fields": {"item": "7", "photo": {"base64": "/9j/4A=="}}}
///
/// or, where names repeat or are not text, {"fields": [["item", "7"], ["item", "8"]]}. An id is
/// taken from "id" with --keep-ids. What `weir read --json` prints can be fed back. Exit code 3: some
/// entries may or may not have been appended; the lines are named.
#[derive(Args, Debug)]
pub(crate) struct Append {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// The stream's key.
    #[arg(long, short, value_name = "KEY")]
    pub(crate) stream: String,
    /// Read lines of JSON.
    #[arg(long, conflicts_with_all = ["fields", "field"])]
    pub(crate) json: bool,
    /// Name of the field that takes a line of text.
    #[arg(long, value_name = "NAME", default_value = "line", conflicts_with = "fields")]
    pub(crate) field: String,
    /// Append under the ids given in JSON, which must be above the stream's last one.
    #[arg(long, requires = "json")]
    pub(crate) keep_ids: bool,
    /// Print the id of every entry, in the order of the lines.
    #[arg(long)]
    pub(crate) ids: bool,
    /// Keep about so many of the newest entries, and cut the rest.
    #[arg(long, value_name = "ENTRIES")]
    pub(crate) keep_newest: Option<u64>,
    /// Names and values, in turn.
    #[arg(value_name = "NAME VALUE")]
    pub(crate) fields: Vec<String>,
}

/// Read the entries of a stream.
///
/// Prints an entry a line: its id, then names and values; with --json an object, as `weir append
/// --json` reads it; with --field the value of one field alone.
#[derive(Args, Debug)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// The stream's key.
    #[arg(long, short, value_name = "KEY")]
    pub(crate) stream: String,
    /// From this id on; milliseconds alone will do.
    #[arg(long, value_name = "ID")]
    pub(crate) from: Option<String>,
    /// Up to this id, itself included; milliseconds alone will do.
    #[arg(long, value_name = "ID")]
    pub(crate) to: Option<String>,
    /// At most so many entries.
    #[arg(long, short = 'n', value_name = "ENTRIES")]
    pub(crate) limit: Option<u64>,
    /// From the newest to the oldest.
    #[arg(long)]
    pub(crate) reverse: bool,
    /// Print lines of JSON. Text is a string, other bytes are {"base64": "..."}.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print this field's value alone, as it is; entries without it are passed over.
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    pub(crate) field: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Node {
    #[command(subcommand)]
    pub(crate) command: NodeCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeCommand {
    Replace(Replace),
}

/// Put a new node into the place of one that is lost.
///
/// Give the new node the next free id (`weir status` names it) and an empty directory in its file,
/// start it with `weir server --config FILE`, then run this. Writes go on meanwhile. Safe to run
/// again after an interruption.
#[derive(Args, Debug)]
pub(crate) struct Replace {
    #[command(flatten)]
    pub(crate) cluster: Cluster,
    /// The id of the node that is lost.
    #[arg(value_name = "OLD")]
    pub(crate) old: u64,
    /// The new node's file.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The data directory of a node that does not run.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Where the store is copied to for the time of the check [default: the system's directory for
    /// temporary files].
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
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
