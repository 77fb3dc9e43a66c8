//! Random command sequences: one state as it is, one saved and loaded before every command, and one
//! with every sealed block evicted before every command; their hashes must be equal, and their
//! replies those of the model.
//!
//! `WEIR_TEST_LONG=1` runs 100,000 sequences (in release); `WEIR_TEST_SEED=n` runs that one.

use super::random::Script;
use super::replicas::Replicas;
use streams::command::{Command, Stamp};
use streams::query::Query;

const SEQUENCES_SHORT: u64 = 200;
const SEQUENCES_LONG: u64 = 100_000;

/// One thing to do, at a time.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Command(u64, Command),
    Query(u64, Query),
}

fn run(steps: &[Step]) -> Result<(), String> {
    let mut replicas = Replicas::default();
    for (at, step) in steps.iter().enumerate() {
        let done = match step {
            Step::Command(now_ms, command) => replicas.apply(Stamp { now_ms: *now_ms }, command),
            Step::Query(now_ms, query) => replicas.answer(Stamp { now_ms: *now_ms }, query),
        };
        done.map_err(|difference| format!("step {at}, {step:?}:\n{difference}"))?;
    }
    Ok(())
}

/// The same failure with as many steps left out as can be.
fn shrink(mut steps: Vec<Step>) -> Vec<Step> {
    let fails =
        |steps: &[Step]| std::panic::catch_unwind(|| run(steps)).map_or(true, |done| done.is_err());
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            if fails(&fewer) {
                steps = fewer;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    steps
}

#[test]
fn random_sequences_agree_with_the_model() {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = match given("WEIR_TEST_LONG") {
        Some(1..) => SEQUENCES_LONG,
        _ => SEQUENCES_SHORT,
    };
    let seeds = given("WEIR_TEST_SEED").map_or(0..count, |seed| seed..seed + 1);
    let mut done = 0;
    for seed in seeds {
        let steps = Script::new(seed).steps();
        done += steps.len();
        let outcome = std::panic::catch_unwind(|| run(&steps));
        if !matches!(outcome, Ok(Ok(()))) {
            let fewest = shrink(steps);
            let why = std::panic::catch_unwind(|| run(&fewest));
            let fewest: Vec<String> = fewest.iter().map(|step| format!("{step:?}")).collect();
            panic!("WEIR_TEST_SEED={seed}\n{}\n{why:?}", fewest.join("\n"));
        }
    }
    println!("{done} steps agreed");
}
