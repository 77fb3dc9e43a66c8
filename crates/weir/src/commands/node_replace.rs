//! `weir node replace`: asks the cluster to do it, and shows the steps.

use client::{Error, Node, Progress, Replacement};
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use server::config::Config;

use super::cluster;
use crate::cli::Replace;
use crate::commands::block_on;
use crate::failed::Failed;
use crate::out;

pub(crate) fn run(args: &Replace) -> Result<(), Failed> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let config = Config::load(&args.config, &environment)
        .map_err(|error| Failed::wrong(error.to_string()))?;
    let new = config.advertised();
    let id = new.id.0;
    let new = Node {
        id,
        resp: new.resp,
        resp_cluster: new.resp_cluster,
        grpc: new.grpc,
        peer: new.peer,
        ..Node::default()
    };
    let replacement = Replacement { old: args.old, new };
    block_on(replace(args, replacement))?;
    out::say(format!("node {id} took the place of node {} in every shard", args.old));
    Ok(())
}

async fn replace(args: &Replace, replacement: Replacement) -> Result<(), Failed> {
    let failed = |error: Error| match error {
        Error::Unknown(detail) => Failed::machine(format!(
            "interrupted: {detail}; run the same command again, it goes on where it was"
        )),
        error => cluster::failed(&args.cluster, &error),
    };
    let client = cluster::connect(&args.cluster).await?;
    let mut steps = client.replace_node(replacement).await.map_err(failed)?;
    let bar = bar();
    while let Some(step) = steps.try_next().await.map_err(failed)? {
        show(&bar, &step);
    }
    bar.finish_and_clear();
    Ok(())
}

/// On a terminal the last step and a bar; elsewhere a line each.
fn show(bar: &ProgressBar, step: &Progress) {
    if bar.is_hidden() {
        out::note(format!(
            "{} of {} shards: {}",
            step.shards_done, step.shards_total, step.message
        ));
        return;
    }
    bar.set_length(u64::from(step.shards_total));
    bar.set_position(u64::from(step.shards_done));
    bar.set_message(step.message.clone());
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} shards, {msg}");
    ProgressBar::new(1).with_style(style.expect("the template is well formed"))
}
