//! Whole lives of a cluster in one process, each from one seed: the production code of doors, Raft,
//! streams and journal on simulated time, disks and links; clients through any node; faults of all
//! kinds; then rest, and the checker's verdict. Never a socket, a file or the machine's clock.

mod agreed;
mod cluster;
mod faults;
mod life;
mod line;
mod machine;
mod many;
mod options;
mod pipe;
mod planted;
mod promised;
mod random;
mod trace;
mod watch;
mod work;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use base::planted::Bug;
use clap::Parser;

use crate::faults::Kind;
use crate::options::Chosen;

/// Lives a cluster's life from a seed, or many lives from many seeds.
#[derive(Debug, Parser)]
#[command(name = "sim", max_term_width = 100)]
struct Arguments {
    /// Repeat the life of this seed and show its trace.
    #[arg(value_name = "SEED", conflicts_with = "seeds", required_unless_present_any = ["seeds", "bugs"])]
    seed: Option<u64>,
    /// Live so many lives, with a line each hundred.
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first of their seeds (default: behind the last one in the ledger with --record, else 1).
    #[arg(long, value_name = "K", requires = "seeds")]
    start: Option<u64>,
    /// For how long things go wrong, in simulated seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Only these faults, separated by commas.
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = kind)]
    faults: Vec<Kind>,
    /// Reads go by the leader's lease.
    #[arg(long)]
    lease: bool,
    /// Lives at one time (default: as many as there are processors).
    #[arg(long, value_name = "N", requires = "seeds")]
    jobs: Option<usize>,
    /// Add a line to tests/ledger.csv.
    #[arg(long, requires = "seeds")]
    record: bool,
    /// Show what the nodes log, too, as a filter: `info`, `raft=debug`.
    #[arg(long, value_name = "FILTER", conflicts_with = "seeds")]
    log: Option<String>,
    /// Plant this defect; of many lives, the first that finds it is the last. Needs a build with the
    /// feature `planted`, as scripts/planted makes it.
    #[arg(long, value_name = "NAME", value_parser = planted::bug, conflicts_with = "record")]
    bug: Option<Bug>,
    /// List the defects that can be planted.
    #[arg(long, exclusive = true)]
    bugs: bool,
    /// Only what the life came to, in numbers.
    #[arg(long, hide = true, conflicts_with = "seeds")]
    brief: bool,
}

fn kind(name: &str) -> Result<Kind, String> {
    let found = Kind::ALL.iter().copied().find(|kind| kind.name() == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("choose among {}", names.join(", "))
    })
}

impl Arguments {
    fn chosen(&self) -> Chosen {
        Chosen {
            seconds: Some(self.seconds),
            reads: self.lease.then_some(raft::Reads::Lease),
            kinds: (!self.faults.is_empty()).then(|| self.faults.clone()),
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    if arguments.bugs {
        many::tell(planted::list().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    match arguments.seed {
        Some(seed) => Ok(one(seed, &arguments)),
        None => many::run(&arguments),
    }
}

/// Whether a task of a node panicked, which tokio keeps to itself.
static PANICKED: AtomicBool = AtomicBool::new(false);

#[expect(clippy::print_stdout, reason = "what the life came to is what the program gives")]
fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    if let Some(filter) = &arguments.log {
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_ansi(false).init();
    }
    be_quiet_about_simulated_panics();
    arguments.bug.into_iter().for_each(planted::plant);
    let (chosen, shown) = (arguments.chosen(), !arguments.brief);
    // A thread of its own: the standard library draws a thread's hash keys once, at the first map.
    let life = std::thread::spawn(move || {
        random::seed(seed);
        raft::runtime::on_panic(|_| PANICKED.store(true, Ordering::Relaxed));
        life::live(seed, &chosen, shown)
    });
    let Ok(report) = life.join() else { return ExitCode::FAILURE };
    if PANICKED.load(Ordering::Relaxed) {
        return ExitCode::FAILURE;
    }
    if arguments.brief {
        println!("{}", serde_json::json!(report));
    } else {
        println!("{report:#?}");
    }
    ExitCode::SUCCESS
}

/// A core that panics on purpose is caught by its group; what everybody else says is shown.
fn be_quiet_about_simulated_panics() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(raft::SIMULATED_PANIC) {
            show(panic);
        }
    }));
}
