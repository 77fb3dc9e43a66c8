//! Round trips, golden bytes, and bytes that are cut short anywhere.

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn joint() -> Membership {
    Membership::new_with_defaults(
        vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])],
        BTreeSet::from([9]),
    )
}

fn round_trip(payload: Payload) {
    let (kind, bytes) = encode_payload(&payload);
    let entry = decode_entry(3, 14, kind, bytes.clone()).unwrap();
    assert_eq!(entry, Entry { log_id: log_id(3, 14), payload });
    if kind == KIND_MEMBERSHIP {
        for cut in 0..bytes.len() {
            decode_entry(3, 14, kind, bytes.slice(..cut)).unwrap_err();
        }
    }
}

#[test]
fn entries_come_back_as_they_were() {
    round_trip(EntryPayload::Blank);
    round_trip(EntryPayload::Normal(Proposal(Bytes::from_static(b"anything"))));
    round_trip(EntryPayload::Normal(Proposal(Bytes::new())));
    round_trip(EntryPayload::Membership(joint()));
    round_trip(EntryPayload::Membership(Membership::default()));
}

#[test]
fn a_proposal_is_shared_and_not_copied() {
    let bytes = Bytes::from(vec![7; 100]);
    let (kind, payload) = encode_payload(&EntryPayload::Normal(Proposal(bytes.clone())));
    assert_eq!(payload.as_ptr(), bytes.as_ptr());
    let entry = decode_entry(1, 1, kind, payload).unwrap();
    let EntryPayload::Normal(Proposal(back)) = entry.payload else { panic!("{entry}") };
    assert_eq!(back.as_ptr(), bytes.as_ptr());
}

#[test]
fn votes_come_back_and_short_ones_are_refused() {
    for committed in [false, true] {
        let vote = Vote { leader_id: LeaderId { term: 5, voted_for: 2 }, committed };
        let bytes = encode_vote(&vote);
        assert_eq!(decode_vote(&bytes), Ok(vote));
        for cut in 0..bytes.len() {
            decode_vote(&bytes[..cut]).unwrap_err();
        }
    }
}

#[test]
fn stored_memberships_come_back() {
    for log_id in [None, Some(log_id(2, 7))] {
        let stored = StoredMembership::new(log_id, joint());
        let mut out = BytesMut::new();
        encode_stored_membership(&stored, &mut out);
        assert_eq!(decode_stored_membership(&out), Ok(stored));
    }
}

#[test]
fn what_is_on_disk_stays_as_it_is() {
    let vote = Vote { leader_id: LeaderId { term: 5, voted_for: 2 }, committed: true };
    assert_eq!(hex(&encode_vote(&vote)), "010500000000000000020000000000000001");
    let mut out = BytesMut::new();
    encode_stored_membership(&StoredMembership::new(Some(log_id(2, 7)), joint()), &mut out);
    let three = "030001000000000000000200000000000000 0300000000000000";
    let four = "0300020000000000000003000000000000000400000000000000";
    let golden = format!(
        "01 01 0200000000000000 0700000000000000 01 0200 {three} {four} 0100 0900000000000000"
    );
    assert_eq!(hex(&out), golden.replace(' ', ""));
    assert_eq!((KIND_BLANK, KIND_PROPOSAL, KIND_MEMBERSHIP), (1, 2, 3));
}
