//! The checker itself: one right history, and one wrong history for each anomaly.

use std::time::Duration;

use super::history::{Id, Once, Outcome, What};
use super::*;

fn op(client: usize, call: u64, ret: u64, what: What) -> Op {
    let ms = Duration::from_millis;
    Op { client, stream: 0, call: ms(call), ret: ms(ret), what }
}

fn add(client: usize, call: u64, ret: u64, value: u64, id: u64) -> Op {
    op(client, call, ret, What::Add { value, once: None, outcome: Outcome::Ok((id, 0)) })
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

fn add_once(
    client: usize,
    call: u64,
    ret: u64,
    value: u64,
    once: Once,
    outcome: Outcome<Id>,
) -> Op {
    op(client, call, ret, What::Add { value, once: Some(once), outcome })
}

fn follow(client: usize, call: u64, after: u64, entries: &[(u64, u64)]) -> Op {
    op(client, call, call + 1, What::Follow { after: (after, 0), entries: seen(entries) })
}

fn delete(call: u64, of: &[u64], outcome: Outcome<u64>) -> Op {
    op(10, call, call + 1, What::Delete { ids: ids(of), outcome })
}

fn trim(call: u64, before: u64, outcome: Outcome<u64>) -> Op {
    op(10, call, call + 1, What::Trim { before: (before, 0), outcome })
}

fn claim(consumer: usize, call: u64, of: &[u64]) -> Op {
    op(consumer, call, call + 1, What::Claim { consumer, ids: ids(of), outcome: Outcome::Ok(()) })
}

fn length(call: u64, count: u64) -> Op {
    op(11, call, call + 1, What::Length { count })
}

/// Two adders, a reader, two consumers; nothing is wrong.
fn right() -> (Vec<Op>, Final) {
    let ops = vec![
        add(1, 0, 10, 101, 1),
        add(2, 5, 20, 201, 2),
        op(1, 11, 30, What::Add { value: 102, once: None, outcome: Outcome::Unknown }),
        op(2, 21, 30, What::Add { value: 202, once: None, outcome: Outcome::Fail }),
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
        pending: vec![Some(Vec::new())],
        hashes: vec![("0".into(), vec!["a".into(), "a".into()])],
    };
    (ops, end)
}

/// A history that is refused by this check, for what it says.
#[track_caller]
fn wrong(check_number: u8, why: &str, change: impl FnOnce(&mut Vec<Op>, &mut Final)) {
    let (mut ops, mut end) = right();
    change(&mut ops, &mut end);
    let found = check(&ops, &end).violations;
    let reason = |found: &Violation| found.check == check_number && found.text.contains(why);
    assert!(found.iter().any(reason), "not found, but: {found:?}");
}

/// The end as every node sees it.
fn everywhere(end: &mut Final, change: impl Fn(&mut Vec<((u64, u64), u64)>)) {
    end.entries.iter_mut().for_each(|streams| change(&mut streams[0]));
}

#[test]
fn a_right_history_is_right() {
    let (ops, end) = right();
    assert_eq!(check(&ops, &end).violations, []);
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
    end.pending[0] = None;
    assert_eq!(check(&ops, &end).violations, []);
}

#[test]
fn nodes_that_answer_differently() {
    wrong(1, "node 1 answers other entries", |_, end| {
        end.entries[1][0].pop();
    });
}

#[test]
fn replicas_with_different_hashes() {
    wrong(1, "replicas differ", |_, end| end.hashes[0].1[1] = "b".into());
}

#[test]
fn an_id_with_two_values() {
    wrong(1, "(1, 0) is 101 and 999", |ops, _| ops.push(range(3, 90, 95, &[(1, 999)])));
}

#[test]
fn an_entry_under_another_id_than_told() {
    wrong(1, "was told (7, 0)", |ops, _| ops[0] = add(1, 0, 10, 101, 7));
}

#[test]
fn answered_before_and_above() {
    wrong(2, "answered before 601, above it", |ops, _| ops.push(add(6, 100, 110, 601, 1)));
}

#[test]
fn a_client_out_of_its_own_order() {
    wrong(2, "a client sent 701 before 702", |ops, end| {
        ops.push(add(7, 100, 120, 701, 9));
        ops.push(add(7, 100, 120, 702, 8));
        everywhere(end, |entries| entries.extend(seen(&[(8, 702), (9, 701)])));
    });
}

#[test]
fn a_read_out_of_order() {
    wrong(2, "a read gave (2, 0) before (1, 0)", |ops, _| {
        ops.push(range(3, 90, 95, &[(2, 201), (1, 101)]))
    });
}

#[test]
fn lost_at_the_end() {
    wrong(3, "103 was acknowledged as (4, 0), is lost", |_, end| {
        everywhere(end, |entries| {
            entries.pop();
        })
    });
}

#[test]
fn lost_in_the_middle() {
    wrong(3, "201 was acknowledged as (2, 0), is lost", |_, end| {
        everywhere(end, |entries| {
            entries.remove(1);
        })
    });
}

#[test]
fn never_appended() {
    wrong(4, "999 was never appended", |_, end| {
        everywhere(end, |entries| entries.push(((9, 0), 999)))
    });
}

#[test]
fn refused_and_there() {
    wrong(4, "202 was refused and is there", |_, end| {
        everywhere(end, |entries| entries.push(((9, 0), 202)))
    });
}

#[test]
fn there_twice() {
    wrong(5, "103 is there as", |_, end| everywhere(end, |entries| entries.push(((9, 0), 103))));
}

#[test]
fn a_stale_read() {
    wrong(6, "a read ended at (2, 0), (4, 0) was acknowledged", |ops, _| {
        ops.push(range(8, 90, 95, &[(1, 101), (2, 201)]))
    });
}

#[test]
fn a_read_with_a_hole() {
    wrong(6, "lacks (2, 0) 201", |ops, _| {
        ops.push(range(8, 60, 65, &[(1, 101), (3, 102), (4, 103)]))
    });
}

#[test]
fn a_client_that_sees_less_than_before() {
    wrong(6, "a client saw (5, 0), then only (4, 0)", |ops, end| {
        ops.push(op(1, 41, 200, What::Add { value: 105, once: None, outcome: Outcome::Unknown }));
        everywhere(end, |entries| entries.push(((5, 0), 105)));
        ops.push(range(8, 90, 95, &[(1, 101), (2, 201), (3, 102), (4, 103), (5, 105)]));
        ops.push(range(8, 96, 99, &[(1, 101), (2, 201), (3, 102), (4, 103)]));
    });
}

#[test]
fn never_delivered() {
    wrong(9, "was never delivered", |ops, _| ops.retain(|op| op.client != 5));
}

#[test]
fn new_for_two_consumers() {
    wrong(10, "(2, 0) was new for", |ops, _| ops.push(deliver(5, 31, true, &[(2, 201)])));
}

#[test]
fn history_of_another_consumer() {
    wrong(10, "was given to 5, who never had it", |ops, _| {
        ops.push(deliver(5, 31, false, &[(2, 201)]))
    });
}

#[test]
fn back_after_its_ack() {
    wrong(11, "(1, 0) came back after its ack", |ops, _| {
        ops.push(deliver(4, 90, false, &[(1, 101)]))
    });
}

#[test]
fn acknowledged_and_pending() {
    wrong(11, "(1, 0) is acknowledged and pending", |_, end| end.pending[0] = Some(ids(&[1])));
}

#[test]
fn an_ack_that_counts_twice() {
    wrong(11, "counted 1", |ops, _| ops.push(ack(4, 90, &[1], 1)));
}

#[test]
fn an_ack_of_something_pending_that_counts_nothing() {
    wrong(11, "counted 0", |ops, _| {
        let at = ops.iter().position(|op| matches!(op.what, What::Ack { .. })).unwrap();
        ops[at] = ack(4, 32, &[1], 0);
    });
}

#[test]
fn a_group_that_goes_back() {
    wrong(12, "the group went back", |ops, _| ops.push(group(90, 3, 4)));
    wrong(12, "the group went back", |ops, _| ops.push(group(90, 4, 3)));
}

#[test]
fn a_retry_that_is_told_another_entry() {
    wrong(5, "(1, 1) is (5, 0) and (6, 0)", |ops, end| {
        ops.push(add_once(6, 100, 110, 601, (1, 1), Outcome::Unknown));
        ops.push(add_once(6, 111, 115, 601, (1, 1), Outcome::Ok((5, 0))));
        ops.push(add_once(6, 116, 120, 601, (1, 1), Outcome::Ok((6, 0))));
        everywhere(end, |entries| entries.push(((5, 0), 601)));
    });
}

#[test]
fn what_a_producer_sent_twice_is_there_twice() {
    wrong(5, "(1, 1) is there as", |ops, end| {
        ops.push(add_once(6, 100, 110, 601, (1, 1), Outcome::Unknown));
        ops.push(add_once(6, 111, 115, 602, (1, 1), Outcome::Ok((6, 0))));
        everywhere(end, |entries| entries.extend(seen(&[(5, 601), (6, 602)])));
    });
}

#[test]
fn a_retry_that_is_told_the_same_is_right() {
    let (mut ops, mut end) = right();
    ops.push(add_once(6, 100, 110, 601, (1, 1), Outcome::Unknown));
    ops.push(add(7, 111, 112, 701, 6));
    ops.push(add_once(6, 113, 115, 601, (1, 1), Outcome::Ok((5, 0))));
    everywhere(&mut end, |entries| entries.extend(seen(&[(5, 601), (6, 701)])));
    let deliveries = [deliver(4, 120, true, &[(5, 601), (6, 701)]), ack(4, 122, &[5, 6], 2)];
    ops.extend(deliveries);
    assert_eq!(check(&ops, &end).violations, []);
}

/// Nobody reads by group; the second entry is deleted, and what was read before is as it was.
fn with_removal(outcome: Outcome<u64>) -> (Vec<Op>, Final) {
    let (mut ops, mut end) = right();
    ops.push(delete(100, &[2], outcome));
    ops.push(range(3, 110, 115, &[(1, 101), (3, 102), (4, 103)]));
    everywhere(&mut end, |entries| {
        entries.remove(1);
    });
    (ops, end)
}

#[test]
fn what_was_removed_may_be_missing() {
    for outcome in [Outcome::Ok(1), Outcome::Unknown] {
        let (ops, end) = with_removal(outcome);
        assert_eq!(check(&ops, &end).violations, [], "{outcome:?}");
    }
}

#[test]
fn missing_though_its_deletion_was_refused() {
    let (ops, end) = with_removal(Outcome::Fail);
    let found = check(&ops, &end).violations;
    assert!(found.iter().any(|one| one.check == 3), "{found:?}");
    assert!(found.iter().any(|one| one.check == 6), "{found:?}");
}

#[test]
fn deleted_and_read_again() {
    wrong(4, "(2, 0) 201 was removed and came back", |ops, end| {
        (*ops, *end) = with_removal(Outcome::Ok(1));
        ops.push(range(3, 120, 125, &[(1, 101), (2, 201), (3, 102), (4, 103)]));
    });
}

#[test]
fn trimmed_and_there_at_the_end() {
    wrong(4, "was removed and came back", |ops, _| ops.push(trim(100, 3, Outcome::Ok(2))));
}

#[test]
fn readers_that_wait_are_right() {
    let (mut ops, end) = right();
    ops.push(follow(8, 15, 0, &[(1, 101), (2, 201)]));
    ops.push(follow(8, 55, 2, &[(3, 102), (4, 103)]));
    assert_eq!(check(&ops, &end).violations, []);
}

#[test]
fn a_reader_that_waits_and_misses_an_entry() {
    wrong(8, "was not given (2, 0) 201", |ops, _| {
        ops.push(follow(8, 15, 0, &[(1, 101)]));
        ops.push(follow(8, 55, 1, &[(3, 102), (4, 103)]));
    });
}

#[test]
fn a_reader_that_waits_and_is_given_an_entry_twice() {
    wrong(8, "was given (2, 0) 201", |ops, _| {
        ops.push(follow(8, 15, 0, &[(1, 101), (2, 201)]));
        ops.push(follow(8, 55, 2, &[(2, 201), (3, 102), (4, 103)]));
    });
}

#[test]
fn a_reader_that_was_never_woken() {
    wrong(8, "ended at (2, 0), (4, 0) is there", |ops, _| {
        ops.push(follow(8, 15, 0, &[(1, 101), (2, 201)]))
    });
}

#[test]
fn what_was_taken_over_is_history_of_whoever_took_it() {
    let (mut ops, end) = right();
    ops.retain(|op| !matches!(op.what, What::Deliver { new: false, .. }));
    ops.push(claim(5, 31, &[2]));
    ops.push(deliver(5, 32, false, &[(2, 201)]));
    ops.sort_by_key(|op| op.call);
    assert_eq!(check(&ops, &end).violations, []);
}

#[test]
fn taken_over_and_given_again_to_whoever_had_it() {
    wrong(10, "was taken over by 5, 4 has it", |ops, _| ops.push(claim(5, 31, &[2])));
}

#[test]
fn whoever_asked_for_any_and_was_not_told_may_have_taken_over_each() {
    let (mut ops, end) = right();
    ops.retain(|op| !matches!(op.what, What::Deliver { new: false, .. }));
    ops.push(deliver(5, 32, false, &[(2, 201)]));
    ops.sort_by_key(|op| op.call);
    let tens = |found: Verdict| found.violations.iter().filter(|one| one.check == 10).count();
    assert_eq!(tens(check(&ops, &end)), 1);
    let mut untold = claim(5, 31, &[]);
    untold.what = What::Claim { consumer: 5, ids: Vec::new(), outcome: Outcome::Unknown };
    ops.push(untold.clone());
    assert_eq!(tens(check(&ops, &end)), 0);
    // Another took it in between, and this one may have done so later.
    ops.push(claim(6, 30, &[2]));
    assert_eq!(tens(check(&ops, &end)), 0);
    // It was asked for after it was given.
    ops.retain(|op| *op != untold);
    untold.call *= 2;
    untold.ret *= 2;
    ops.push(untold);
    assert!(tens(check(&ops, &end)) > 0);
}

/// Who was given it as new did not hear of it.
#[test]
fn taken_over_and_acknowledged_without_a_delivery_that_anybody_heard_of() {
    let (mut ops, end) = right();
    let unheard = |op: &Op| matches!(&op.what, What::Deliver { consumer: 5, .. });
    ops.retain(|op| !unheard(op));
    assert!(check(&ops, &end).violations.iter().any(|found| found.check == 9));
    ops.push(claim(5, 70, &[3, 4]));
    ops.sort_by_key(|op| op.call);
    assert_eq!(check(&ops, &end).violations, []);
}

#[test]
fn taken_over_and_forgotten() {
    wrong(11, "(4, 0) was given to somebody and is forgotten", |ops, _| {
        ops.retain(|op| op.client != 5);
        ops.push(claim(5, 70, &[3, 4]));
        ops.push(ack(5, 72, &[3], 1));
    });
}

#[test]
fn taken_over_after_its_ack() {
    wrong(11, "(1, 0) came back after its ack", |ops, _| ops.push(claim(5, 90, &[1])));
}

#[test]
fn given_and_forgotten() {
    wrong(11, "(4, 0) was given to somebody and is forgotten", |ops, _| {
        ops.retain(|op| !matches!(&op.what, What::Ack { ids, .. } if ids.contains(&(4, 0))));
    });
}

#[test]
fn a_right_history_is_explained_whole() {
    let (mut ops, end) = right();
    ops.push(length(90, 4));
    let windows = check(&ops, &end).windows;
    // Appends that happened, whole reads, and the length.
    assert_eq!(windows, Windows { ops_explained: 4 + 2 + 1, ops_left_out: 0 });
}

#[test]
fn a_length_that_no_order_explains() {
    // Two were acknowledged before, and only one more may have come.
    wrong(7, "no order explains", |ops, _| ops.push(length(31, 1)));
    wrong(7, "no order explains", |ops, _| ops.push(length(90, 5)));
}

#[test]
fn a_read_between_two_others_that_no_order_explains() {
    wrong(7, "no order explains", |ops, _| {
        ops.push(length(52, 4));
        ops.push(range(8, 54, 56, &[(1, 101), (2, 201), (3, 102)]));
    });
}

/// A long history in many windows, with appends nobody was told of that came late.
#[test]
fn long_histories_are_cut_where_nothing_is_under_way() {
    let (mut ops, mut entries) = (Vec::new(), Vec::new());
    for number in 1..=9_000 {
        let (call, id) = (number * 10, number);
        let untold = number % 1_000 == 0;
        let outcome = if untold { Outcome::Unknown } else { Outcome::Ok((id, 0)) };
        ops.push(op(1, call, call + 5, What::Add { value: id, once: None, outcome }));
        entries.push(((id, 0), id));
        if number % 3 == 0 {
            ops.push(length(call + 7, number));
        }
    }
    let end = Final { entries: vec![vec![entries]], pending: vec![None], hashes: Vec::new() };
    let right = check(&ops, &end);
    assert_eq!(right.violations, []);
    assert_eq!(right.windows, Windows { ops_explained: 12_000, ops_left_out: 0 });
    let wrong = ops.iter_mut().rev().find(|op| matches!(op.what, What::Length { .. }));
    wrong.unwrap().what = What::Length { count: 8_998 };
    assert!(check(&ops, &end).violations.iter().any(|one| one.check == 7));
}

/// Every one of them never gave anything, and that was taken for a group that nobody reads by.
#[test]
fn a_group_that_gives_nobody_anything() {
    wrong(9, "(1, 0) 101 was never delivered", |ops, _| {
        ops.retain(|op| !matches!(op.what, What::Deliver { .. } | What::Ack { .. }));
    });
}

#[test]
fn more_violations_than_are_shown_are_counted() {
    let (mut ops, end) = right();
    ops.extend((0..100).map(|at| range(3, 90 + at, 95 + at, &[(1, 999)])));
    let verdict = check(&ops, &end);
    assert_eq!(verdict.violations.iter().filter(|one| one.check == 1).count(), SHOWN_MAX);
    assert_eq!(verdict.counts[&1], 100);
}
