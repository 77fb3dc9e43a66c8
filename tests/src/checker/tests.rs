//! The checker itself: one right history, and one wrong history for each anomaly.

use std::time::Duration;

use super::*;
use crate::history::{Id, Outcome, What};

fn op(client: usize, call: u64, ret: u64, what: What) -> Op {
    let ms = Duration::from_millis;
    Op { client, stream: 0, call: ms(call), ret: ms(ret), what }
}

fn add(client: usize, call: u64, ret: u64, value: u64, id: u64) -> Op {
    op(client, call, ret, What::Add { value, outcome: Outcome::Ok((id, 0)) })
}

fn ids(ids: &[u64]) -> Vec<Id> {
    ids.iter().map(|id| (*id, 0)).collect()
}

fn seen(of: &[(u64, u64)]) -> Vec<((u64, u64), u64)> {
    of.iter().map(|(id, value)| ((*id, 0), *value)).collect()
}

fn range(client: usize, call: u64, ret: u64, entries: &[(u64, u64)]) -> Op {
    op(client, call, ret, What::Range { start: (0, 0), entries: seen(entries), whole: true })
}

fn deliver(consumer: usize, call: u64, new: bool, entries: &[(u64, u64)]) -> Op {
    op(consumer, call, call + 1, What::Deliver { consumer, new, entries: seen(entries) })
}

fn ack(consumer: usize, call: u64, of: &[u64], count: u64) -> Op {
    let outcome = Outcome::Ok(count);
    op(consumer, call, call + 1, What::Ack { consumer, ids: ids(of), outcome })
}

fn group(call: u64, last: u64, read: u64) -> Op {
    op(9, call, call + 1, What::Group { last_delivered: (last, 0), entries_read: read })
}

/// Two adders, a reader, two consumers; nothing is wrong.
fn right() -> (Vec<Op>, Final) {
    let ops = vec![
        add(1, 0, 10, 101, 1),
        add(2, 5, 20, 201, 2),
        op(1, 11, 30, What::Add { value: 102, outcome: Outcome::Unknown }),
        op(2, 21, 30, What::Add { value: 202, outcome: Outcome::Fail }),
        add(1, 40, 50, 103, 4),
        range(3, 25, 28, &[(1, 101), (2, 201)]),
        range(3, 60, 65, &[(1, 101), (2, 201), (3, 102), (4, 103)]),
        deliver(4, 30, true, &[(1, 101), (2, 201)]),
        ack(4, 32, &[1], 1),
        deliver(4, 34, false, &[(2, 201)]),
        ack(4, 36, &[2], 1),
        ack(4, 38, &[2], 0),
        group(33, 2, 2),
        deliver(5, 70, true, &[(3, 102), (4, 103)]),
        ack(5, 72, &[3, 4], 2),
        group(80, 4, 4),
    ];
    let entries = seen(&[(1, 101), (2, 201), (3, 102), (4, 103)]);
    let end = Final {
        entries: vec![vec![entries.clone()], vec![entries]],
        pending: vec![Vec::new()],
        hashes: vec![("0".into(), vec!["a".into(), "a".into()])],
    };
    (ops, end)
}

#[track_caller]
fn wrong(check_number: u8, change: impl FnOnce(&mut Vec<Op>, &mut Final)) {
    let (mut ops, mut end) = right();
    change(&mut ops, &mut end);
    let found = check(&ops, &end);
    assert!(found.iter().any(|v| v.check == check_number), "not found, but: {found:?}");
}

/// The end as every node sees it.
fn everywhere(end: &mut Final, change: impl Fn(&mut Vec<((u64, u64), u64)>)) {
    end.entries.iter_mut().for_each(|streams| change(&mut streams[0]));
}

#[test]
fn a_right_history_is_right() {
    let (ops, end) = right();
    assert_eq!(check(&ops, &end), []);
}

#[test]
fn an_unknown_append_may_be_absent() {
    let (mut ops, mut end) = right();
    ops.retain(|op| {
        !matches!(op.what, What::Range { .. } | What::Deliver { .. } | What::Ack { .. })
    });
    everywhere(&mut end, |entries| {
        entries.remove(2);
    });
    assert_eq!(check(&ops, &end), []);
}

#[test]
fn nodes_that_answer_differently() {
    wrong(1, |_, end| {
        end.entries[1][0].pop();
    });
}

#[test]
fn replicas_with_different_hashes() {
    wrong(1, |_, end| end.hashes[0].1[1] = "b".into());
}

#[test]
fn an_id_with_two_values() {
    wrong(1, |ops, _| ops.push(range(3, 90, 95, &[(1, 999)])));
}

#[test]
fn an_entry_under_another_id_than_told() {
    wrong(1, |ops, _| ops[0] = add(1, 0, 10, 101, 7));
}

#[test]
fn answered_before_and_above() {
    wrong(2, |ops, _| ops.push(add(6, 100, 110, 601, 1)));
}

#[test]
fn a_client_out_of_its_own_order() {
    wrong(2, |ops, end| {
        ops.push(add(7, 100, 120, 701, 9));
        ops.push(add(7, 100, 120, 702, 8));
        everywhere(end, |entries| entries.extend(seen(&[(8, 702), (9, 701)])));
    });
}

#[test]
fn a_read_out_of_order() {
    wrong(2, |ops, _| ops.push(range(3, 90, 95, &[(2, 201), (1, 101)])));
}

#[test]
fn lost_at_the_end() {
    wrong(3, |_, end| {
        everywhere(end, |entries| {
            entries.pop();
        })
    });
}

#[test]
fn lost_in_the_middle() {
    wrong(3, |_, end| {
        everywhere(end, |entries| {
            entries.remove(1);
        })
    });
}

#[test]
fn never_appended() {
    wrong(4, |_, end| everywhere(end, |entries| entries.push(((9, 0), 999))));
}

#[test]
fn refused_and_there() {
    wrong(4, |_, end| everywhere(end, |entries| entries.push(((9, 0), 202))));
}

#[test]
fn there_twice() {
    wrong(5, |_, end| everywhere(end, |entries| entries.push(((9, 0), 103))));
}

#[test]
fn a_stale_read() {
    wrong(6, |ops, _| ops.push(range(8, 90, 95, &[(1, 101), (2, 201)])));
}

#[test]
fn a_read_with_a_hole() {
    wrong(6, |ops, _| ops.push(range(8, 60, 65, &[(1, 101), (3, 102), (4, 103)])));
}

#[test]
fn a_client_that_sees_less_than_before() {
    wrong(6, |ops, end| {
        ops.push(op(1, 41, 200, What::Add { value: 105, outcome: Outcome::Unknown }));
        everywhere(end, |entries| entries.push(((5, 0), 105)));
        ops.push(range(8, 90, 95, &[(1, 101), (2, 201), (3, 102), (4, 103), (5, 105)]));
        ops.push(range(8, 96, 99, &[(1, 101), (2, 201), (3, 102), (4, 103)]));
    });
}

#[test]
fn never_delivered() {
    wrong(9, |ops, _| ops.retain(|op| op.client != 5));
}

#[test]
fn new_for_two_consumers() {
    wrong(10, |ops, _| ops.push(deliver(5, 31, true, &[(2, 201)])));
}

#[test]
fn history_of_another_consumer() {
    wrong(10, |ops, _| ops.push(deliver(5, 31, false, &[(2, 201)])));
}

#[test]
fn back_after_its_ack() {
    wrong(11, |ops, _| ops.push(deliver(4, 90, false, &[(1, 101)])));
}

#[test]
fn acknowledged_and_pending() {
    wrong(11, |_, end| end.pending[0].push((1, 0)));
}

#[test]
fn an_ack_that_counts_twice() {
    wrong(11, |ops, _| ops.push(ack(4, 90, &[1], 1)));
}

#[test]
fn an_ack_of_something_pending_that_counts_nothing() {
    wrong(11, |ops, _| {
        let at = ops.iter().position(|op| matches!(op.what, What::Ack { .. })).unwrap();
        ops[at] = ack(4, 32, &[1], 0);
    });
}

#[test]
fn a_group_that_goes_back() {
    wrong(12, |ops, _| ops.push(group(90, 3, 4)));
    wrong(12, |ops, _| ops.push(group(90, 4, 3)));
}
