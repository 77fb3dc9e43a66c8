//! More load than a cluster can take, in short. How fast it is again afterwards depends on what else a machine
//! does: `scripts/overload` measures that.

use std::time::Duration;

use tests::overload::{Plan, run};

#[test]
fn an_overloaded_cluster_keeps_to_its_memory_and_refuses_only_with_busy() {
    let plan = Plan {
        length: Duration::from_secs(5),
        measure: Duration::from_secs(2),
        readers: 100,
        memory_bytes: 128 << 20,
        rounds: 0,
    };
    let table = run(&plan, &|line| println!("{line}")).unwrap();
    println!("{table}");
    assert!(table.answers > 0, "nothing was answered");
    let memory: Vec<_> = (1..=3).map(|node| format!("node {node}: resident memory")).collect();
    let must = memory.iter().map(String::as_str);
    for name in must.chain(["other refusals, broken connections", "replicas equal at the end"]) {
        assert!(table.row(name).is_some_and(|row| row.good), "{name}:\n{table}");
    }
}
