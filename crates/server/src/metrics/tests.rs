//! The page that Prometheus reads, and what each observation does to it.

use super::*;
use base::{NodeId, ShardId};

#[test]
fn latencies_are_cumulative_and_end_at_infinity() {
    static HISTOGRAM: Histogram = Histogram::new();
    HISTOGRAM.observe(Duration::from_micros(100));
    HISTOGRAM.observe(Duration::from_millis(2));
    HISTOGRAM.observe(Duration::from_secs(60));
    let mut page = Page::default();
    HISTOGRAM.show(&mut page, "weir_x_seconds", "X.");
    let text = page.into_text();
    assert!(text.starts_with("# HELP weir_x_seconds X.\n# TYPE weir_x_seconds histogram\n"));
    assert!(text.contains("weir_x_seconds_bucket{le=\"0.0001\"} 1\n"), "{text}");
    assert!(text.contains("weir_x_seconds_bucket{le=\"0.0025\"} 2\n"), "{text}");
    assert!(text.contains("weir_x_seconds_bucket{le=\"10\"} 2\n"), "{text}");
    assert!(text.contains("weir_x_seconds_bucket{le=\"+Inf\"} 3\n"), "{text}");
    assert!(text.ends_with("weir_x_seconds_sum 60.0021\nweir_x_seconds_count 3\n"), "{text}");
}

#[test]
fn a_label_cannot_break_out_of_its_line() {
    assert_eq!(label("stream", "a\"b\\c\nd"), r#"stream="a\"b\\c\nd""#);
}

#[test]
fn the_four_to_page_on_are_there_from_the_start() {
    let text = render(None, &Groups::default());
    for name in [
        "weir_appends_acknowledged_total",
        "weir_append_latency_seconds",
        "weir_journal_sync_seconds",
    ] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

#[test]
fn every_metric_has_one_head_and_a_proper_name() {
    let shard = |id| raft::ShardStatus {
        shard: ShardId(id),
        lag: vec![(NodeId(2), 5)],
        ..Default::default()
    };
    let status = NodeStatus { shards: vec![shard(0), shard(1)], ..Default::default() };
    let text = render(Some(&status), &Groups::default());
    let heads: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let unique: std::collections::BTreeSet<_> = heads.iter().collect();
    assert_eq!(heads.len(), unique.len(), "{heads:?}");
    assert!(heads.iter().all(|name| name.starts_with("weir_")), "{heads:?}");
    assert!(text.contains("weir_follower_lag_entries{shard=\"1\",node=\"2\"} 5\n"), "{text}");
}

#[tokio::test]
async fn an_added_entry_is_counted_and_a_lost_answer_is_not() {
    let before = APPENDS.load(Ordering::Relaxed);
    let (sender, pending) = Pending::new();
    sender.send(Ok(Reply::Added(streams::id::EntryId { ms: 1, seq: 1 }))).unwrap();
    observe_write(pending).await.unwrap();
    assert_eq!(APPENDS.load(Ordering::Relaxed), before + 1);

    let unknown = WRITES_UNKNOWN.load(Ordering::Relaxed);
    observe_write(Pending::ready(Err(ProposeError::Unknown))).await.unwrap_err();
    assert_eq!(APPENDS.load(Ordering::Relaxed), before + 1);
    assert_eq!(WRITES_UNKNOWN.load(Ordering::Relaxed), unknown + 1);
}
