//! Chaos in short form, one minute, with every fault that the machine allows. The long form is
//! `scripts/chaos --minutes N`.

use std::time::Duration;

use tests::chaos::{Kind, Plan, run};
use tests::cluster::Options;
use tests::skips;

#[test]
fn nothing_is_lost_doubled_reordered_or_brought_back() {
    let plan = Plan {
        length: Duration::from_secs(60),
        kills: 0,
        kinds: Kind::ALL.to_vec(),
        seed: 7,
        options: Options::default(),
        rate: 200,
    };
    let verdict = run(&plan, |line| println!("{line}")).unwrap();
    let skip =
        |(kind, why): (&Kind, &String)| skips::skip(&format!("faults of kind {kind}: {why}"));
    verdict.skipped.iter().for_each(skip);
    println!("{verdict}");
    assert!(verdict.is_good());
    assert!(verdict.faults() > 0, "no fault happened");
    assert!(verdict.asked_again > 0, "no append was asked again");
    assert!(verdict.taken_over > 0, "no pending entry was taken over");
    assert!(verdict.removed > 0, "no entry was removed");
}
