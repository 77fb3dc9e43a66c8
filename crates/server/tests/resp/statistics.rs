//! What INFO counts, from one client's requests to another's answer.

use std::time::Duration;

use crate::door::Door;

/// The line of INFO that begins so.
async fn line(door: &Door, section: &str, begins: &str) -> String {
    let text = door.client().await.ask(&format!("INFO {section}")).await;
    let lines = text.split("\\r\\n").map(str::to_owned);
    lines.filter(|line| line.starts_with(begins)).collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn every_command_is_counted_with_what_became_of_it() {
    let door = Door::open();
    let mut client = door.client().await;
    client.ask("XADD s 5-1 a 1").await;
    client.ask("XADD s 5-1 a 1").await;
    client.ask("XADD s 5-1").await;
    client.ask("XADD s abc a 1").await;
    client.ask("XGROUP CREATE s g 0").await;
    assert_eq!(
        line(&door, "commandstats", "cmdstat_xadd").await,
        "cmdstat_xadd:calls=3,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=2"
    );
    assert_eq!(
        line(&door, "commandstats", "cmdstat_xgroup").await,
        "cmdstat_xgroup|create:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0"
    );
    assert_eq!(line(&door, "stats", "total_error").await, "total_error_replies:3");
    // Only when they are asked for.
    assert_eq!(line(&door, "default", "cmdstat_").await, "");
    assert!(line(&door, "all", "cmdstat_").await.contains("cmdstat_xadd"));
    let everything = line(&door, "everything", "# ").await;
    assert!(everything.contains("# Latencystats") && everything.contains("# Weir"));
}

#[tokio::test]
async fn a_command_takes_the_time_until_its_answer() {
    let door = Door::open();
    door.shards.hold();
    let mut client = door.client().await;
    client.send(b"XADD s 5-1 a 1\r\n").await;
    door.until_held(1).await;
    door.clock.advance(Duration::from_millis(3));
    door.shards.let_go();
    assert_eq!(client.said().await, "'5-1'");
    let told = line(&door, "commandstats", "cmdstat_xadd").await;
    assert!(told.contains("usec=3000,usec_per_call=3000.00"), "{told}");
    let told = line(&door, "latencystats", "latency_percentiles_usec_xadd").await;
    assert!(told.ends_with("p50=4096.000,p99=4096.000,p99.9=4096.000"), "{told}");
}

#[tokio::test]
async fn a_stranger_is_counted_as_rejected() {
    let door = Door::open_with_password("secret");
    let mut client = door.client().await;
    client.ask("XLEN s").await;
    client.ask("AUTH secret").await;
    let told = client.ask("INFO commandstats").await;
    assert!(told.contains("cmdstat_xlen:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1"));
    assert!(client.ask("INFO errorstats").await.contains("errorstat_NOAUTH:count=1"));
}

#[tokio::test]
async fn info_counts_the_keys_that_expire() {
    let door = Door::open();
    let shard = |keys, expiring_keys| raft::ShardStatus {
        keys,
        expiring_keys,
        ..raft::ShardStatus::default()
    };
    door.shards.learn(|status| status.shards = [shard(3, 1), shard(4, 2)].into());
    let info = door.client().await.ask("INFO keyspace").await;
    assert!(info.contains("db0:keys=7,expires=3,avg_ttl=0"), "{info}");
}
