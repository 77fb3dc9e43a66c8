//! COMMANDS.md: every command of the table, what it takes, what it costs here, and where it differs
//! from Redis. Written from the table, so that the page says what the node does; never by hand.

mod notes;

use std::fmt::Write;

use super::table::{Control, Group, Run, Spec, all};
use notes::{Note, note};

/// What stands in front of the commands: for people who come from Redis.
const FROM_REDIS: &str = include_str!("manual/from_redis.md");

/// Families in the order of the page, and how they are called there.
const FAMILIES: [(Group, &str); 7] = [
    (Group::Stream, "Streams"),
    (Group::Generic, "Keys"),
    (Group::Transactions, "Transactions"),
    (Group::PubSub, "Publish and listen"),
    (Group::Connection, "Connections"),
    (Group::Server, "Server"),
    (Group::Cluster, "Cluster"),
];

/// The whole page.
pub fn manual() -> String {
    let mut page = FROM_REDIS.to_owned();
    let known = |group| FAMILIES.iter().any(|(family, _)| *family == group);
    for (group, title) in FAMILIES {
        family(&mut page, title, |spec| spec.doc.group == group);
    }
    family(&mut page, "Others", |spec| !known(spec.doc.group));
    page
}

fn family(page: &mut String, title: &str, belongs: impl Fn(&Spec) -> bool) {
    let specs: Vec<&Spec> = all().iter().filter(|spec| belongs(spec)).collect();
    if specs.is_empty() {
        return;
    }
    add(page, format_args!("\n## {title}\n"));
    for spec in specs {
        match &spec.run {
            Run::Container(subcommands) => {
                add(page, format_args!("\n### {}\n\n{}\n", spec.name, spec.doc.summary));
                let told = subcommands.iter().filter(|sub| sub.name != "HELP");
                told.for_each(|sub| command(page, sub, Some(spec)));
            }
            _ => command(page, spec, None),
        }
    }
}

fn command(page: &mut String, spec: &Spec, container: Option<&Spec>) {
    let name = match container {
        Some(container) => format!("{} {}", container.name, spec.name),
        None => spec.name.to_owned(),
    };
    let Note { takes, differs } = note(&name);
    let level = if container.is_some() { "####" } else { "###" };
    add(page, format_args!("\n{level} {name}\n\n{}\n\n", spec.doc.summary));
    if !takes.is_empty() {
        add(page, format_args!("    {name} {takes}\n\n"));
    }
    let (since, complexity, cost) = (spec.doc.since, spec.doc.complexity, cost(&spec.run));
    add(page, format_args!("* Since Redis {since}. {complexity}. Costs {cost}.\n"));
    if !differs.is_empty() {
        add(page, format_args!("* Differs from Redis: {differs}\n"));
    }
}

/// What a command costs beside its own work.
fn cost(run: &Run) -> &'static str {
    match run {
        Run::Local(_) | Run::Container(_) => "nothing beyond this node",
        Run::Read(_) => "a round to a majority, shared by the reads that wait",
        Run::ReadAlone(_) => {
            "a round to a majority, shared by the reads that wait, and another when it is woken"
        }
        Run::Write(_) => {
            "an entry of the log, shared by the writes that wait: on disk on a majority"
        }
        Run::ReadGroup(_) => {
            "a round to a majority, and an entry of the log where something is delivered"
        }
        Run::Transact(Control::Exec | Control::Watch) => {
            "an entry of the log, shared by the writes that wait: on disk on a majority"
        }
        Run::Transact(_) => "nothing beyond this node",
        Run::Choose(_) => "an entry of each shard's log, where it is for the whole cluster",
        _ => "a question to the leaders",
    }
}

fn add(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a string takes what is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_the_table_says() {
        let page = include_str!("../../../../COMMANDS.md");
        assert!(page == manual(), "COMMANDS.md is not what the table says: run scripts/fix");
    }

    #[test]
    fn every_command_is_on_the_page_and_every_note_belongs_to_one() {
        let page = manual();
        for spec in crate::resp::rows().filter(|spec| spec.name != "HELP") {
            let name = spec.path().to_uppercase().replace('|', " ");
            assert!(page.contains(&format!("# {name}\n")), "{name} is missing");
        }
        for name in notes::names() {
            assert!(page.contains(&format!("# {name}\n")), "{name} is not in the table");
        }
        for spec in all().iter().filter(|spec| spec.doc.group == Group::Stream) {
            if !matches!(spec.run, Run::Container(_)) {
                assert!(!note(spec.name).takes.is_empty(), "{} takes something", spec.name);
            }
        }
    }
}
