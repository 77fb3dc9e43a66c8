//! The end: what was counted beside what git says, and what became of every entry.

use std::collections::BTreeMap;
use std::io;

use super::history::History;
use super::{COMMITS, FILES, Progress, Shared};
use crate::bench::commands;
use crate::bench::wire::Connection;
use crate::failed::Failed;
use crate::out;

/// Directories shown; the rest is added up in one line.
const ROWS_MAX: usize = 15;
/// Entries read at a time.
const PAGE: usize = 1_000;

/// Reads the streams back, prints both tables, and refuses where anything differs.
pub(super) async fn judge(
    history: &History,
    addresses: &[String],
    shared: &Shared,
) -> Result<(), Failed> {
    let stored = stored(&addresses[0]).await;
    let stored = stored.map_err(|error| Failed::machine(format!("{}: {error}", addresses[0])))?;
    let progress = shared.borrow();
    out::say("");
    out::say(compare(history, &progress));
    out::say("");
    let lost = lost(history, &stored, &progress);
    let doubled = doubled(&stored, &progress);
    let counts = [
        ("appended", progress.appended.to_string()),
        ("acknowledged", progress.acknowledged.to_string()),
        ("delivered", progress.delivered.to_string()),
        ("redelivered", progress.redelivered.to_string()),
        ("lost", lost.to_string()),
        ("doubled", doubled.to_string()),
        ("longest pause", format!("{:.2} s", progress.longest_pause.as_secs_f64())),
    ];
    for (name, value) in counts {
        out::say(format!("{name:<14}{value:>10}"));
    }
    let equal = progress.lines == history.lines && progress.commits == history.commits;
    match (equal, lost, doubled) {
        (true, 0, 0) => {
            out::say("\nthe tables are equal: nothing was lost, nothing was counted twice");
            Ok(())
        }
        _ => Err(Failed::wrong("the tables differ, or entries were lost or doubled")),
    }
}

/// How often each number stands in the streams.
async fn stored(address: &str) -> io::Result<BTreeMap<u64, u32>> {
    let mut connection = Connection::open(address).await?;
    let mut stored = BTreeMap::new();
    for stream in [COMMITS, FILES] {
        let mut after: Option<String> = None;
        loop {
            let page = commands::range(&mut connection, stream, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for entry in &page {
                let number = entry.fields.iter().find(|(name, _)| &name[..] == b"n");
                let text = number.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
                if let Some(number) = text.and_then(|text| text.parse().ok()) {
                    *stored.entry(number).or_default() += 1;
                }
            }
        }
    }
    Ok(stored)
}

/// Entries that are not in their stream, or were never given to a worker.
fn lost(history: &History, stored: &BTreeMap<u64, u32>, progress: &Progress) -> usize {
    let all = 0..history.entries.len() as u64;
    all.filter(|n| !stored.contains_key(n) || !progress.counted.contains_key(n)).count()
}

/// Entries that stand in a stream twice, or came as new twice.
fn doubled(stored: &BTreeMap<u64, u32>, progress: &Progress) -> usize {
    let twice = |times: &BTreeMap<u64, u32>| times.values().filter(|times| **times > 1).count();
    twice(stored) + twice(&progress.counted)
}

fn compare(history: &History, progress: &Progress) -> String {
    let mut names: Vec<&String> = history.lines.keys().chain(progress.lines.keys()).collect();
    let git = |name: &String| history.lines.get(name).copied().unwrap_or(0);
    let weir = |name: &String| progress.lines.get(name).copied().unwrap_or(0);
    names.sort_by_key(|name| (std::cmp::Reverse(git(name)), (*name).clone()));
    names.dedup();
    let row = |name: String, git: u64, weir: u64| {
        let equal = if git == weir { "equal" } else { "DIFFERS" };
        vec![name, git.to_string(), weir.to_string(), equal.to_owned()]
    };
    let shown = names.len().min(ROWS_MAX);
    let mut rows: Vec<Vec<String>> =
        names[..shown].iter().map(|name| row((*name).clone(), git(name), weir(name))).collect();
    let rest = &names[shown..];
    if !rest.is_empty() {
        let (git, weir) = (rest.iter().map(|n| git(n)).sum(), rest.iter().map(|n| weir(n)).sum());
        rows.push(row(format!("{} others", rest.len()), git, weir));
    }
    rows.push(row("(commits)".to_owned(), history.commits, progress.commits));
    out::table(&["lines changed in", "git", "weir", ""], &rows)
}

/// Five lines.
pub(super) fn say_how_to_go_on() {
    // As it was typed: it may not stand where a shell finds it.
    let weir = std::env::args().next().unwrap_or_else(|| "weir".to_owned());
    out::say(format!(
        "\nAll nodes are stopped. To go on:\n\
         \x20 {weir} dev      # a cluster of your own; then, from another terminal:\n\
         \x20 redis-cli -p 6379 XADD orders '*' item 7      # or 6389, 6399: any node answers\n\
         \x20 python3 -c \"import redis; print(redis.Redis().xadd('orders', {{'item': 8}}))\"\n\
         \x20 kill -9 <pid of a node>; redis-cli -p 6389 XRANGE orders - +",
    ));
}

#[cfg(test)]
mod tests {
    use super::super::history;
    use super::*;

    fn counted(numbers: &[u64]) -> BTreeMap<u64, u32> {
        let mut times = BTreeMap::new();
        numbers.iter().for_each(|number| *times.entry(*number).or_default() += 1);
        times
    }

    #[test]
    fn what_is_missing_or_twice_anywhere_shows() {
        let log = "\u{1}a\tAnn\tOne\n\n1\t1\tsrc/a.rs\n2\t0\tsrc/b.rs\n";
        let history = history::of_text(log);
        let progress = Progress { counted: counted(&[0, 1, 2]), ..Progress::default() };
        assert_eq!(lost(&history, &counted(&[0, 1, 2]), &progress), 0);
        assert_eq!(lost(&history, &counted(&[0, 2]), &progress), 1);
        let progress = Progress { counted: counted(&[0, 1, 1]), ..Progress::default() };
        assert_eq!(lost(&history, &counted(&[0, 1, 2]), &progress), 1);
        assert_eq!(doubled(&counted(&[0, 1, 2, 2]), &progress), 2);
        assert!(compare(&history, &progress).contains("DIFFERS"));
    }
}
