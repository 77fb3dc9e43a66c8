//! Bytes of any kind for everything that a peer says: it reads or it doesn't, and nothing panics. Never
//! what a message does.

use std::collections::BTreeMap;
use std::time::Duration;

use ::fuzz::feed_varied;
use base::NodeId;
use bytes::Bytes;
use openraft::EntryPayload;
use openraft::raft::{TransferLeaderRequest, VoteRequest};
use streams::command::Command;
use streams::query::Query;
use streams::reply::Reply;
use topology::{Addresses, Meta, MetaCommand, MetaReply};

use super::wire;
use crate::gateway::codec;
use crate::state::RootMeta;
use crate::types::{self, Entry, LeaderId, Proposal, SnapshotMeta, Vote, encode_vote, log_id};
use crate::waits::codec as waits;
use crate::waits::{Message, Tell};
use crate::{forming, held};

type Decode = fn(&Bytes) -> bool;

/// Which decoder an input is for, by its first byte.
const DECODERS: [Decode; 22] = [
    |bytes| wire::decode_append(bytes, Vec::new()).is_ok(),
    |bytes| wire::decode_append(bytes, vec![Bytes::new(), bytes.clone()]).is_ok(),
    |bytes| wire::decode_appended(bytes).is_ok(),
    |bytes| wire::decode_vote_request(bytes).is_ok(),
    |bytes| wire::decode_vote_response(bytes).is_ok(),
    |bytes| wire::decode_transfer(bytes).is_ok(),
    |bytes| wire::decode_transferred(bytes).is_ok(),
    |bytes| wire::decode_snapshot(bytes).is_ok(),
    |bytes| types::decode_vote(bytes).is_ok(),
    |bytes| types::decode_stored_membership(bytes).is_ok(),
    |bytes| codec::decode_outcome(bytes.clone()).is_ok(),
    |bytes| codec::decode_queries(bytes.clone()).is_ok(),
    |bytes| waits::decode_message(bytes).is_ok(),
    |bytes| waits::decode_answer(bytes).is_ok(),
    |bytes| RootMeta::decode(bytes).is_ok(),
    |bytes| held::decode_question(bytes).is_ok(),
    |bytes| held::decode_answer(bytes).is_ok(),
    |bytes| forming::Question::decode(bytes).is_some(),
    |bytes| forming::Said::decode(bytes).is_some(),
    |bytes| MetaCommand::decode(bytes).is_ok_and(|command| is_spelt(&command)),
    |bytes| MetaReply::decode(bytes).is_ok(),
    |bytes| Meta::decode(bytes).is_ok_and(|meta| meta.hash() == meta.hash()),
];

/// Whether it reads as itself from how it is spelt.
fn is_spelt(command: &MetaCommand) -> bool {
    assert_eq!(MetaCommand::decode(&command.encode()).as_ref(), Ok(command));
    true
}

fn reads(input: &[u8]) -> bool {
    let Some((kind, rest)) = input.split_first() else { return false };
    DECODERS[usize::from(*kind) % DECODERS.len()](&Bytes::copy_from_slice(rest))
}

fn length_of(key: &'static [u8]) -> Query {
    Query::Length { key: Bytes::from_static(key) }
}

/// A message of most kinds, as it is sent.
fn corpus() -> Vec<Vec<u8>> {
    let vote = Vote { leader_id: LeaderId { term: 3, voted_for: 2 }, committed: true };
    let normal = EntryPayload::Normal(Proposal(Command::Flush.encode()));
    let entries = vec![
        Entry { log_id: log_id(3, 8), payload: EntryPayload::Blank },
        Entry { log_id: log_id(3, 9), payload: normal },
    ];
    let (prev_log_id, leader_commit) = (Some(log_id(2, 7)), None);
    let append = |entries| wire::Append { vote, prev_log_id, entries, leader_commit };
    let transfer = TransferLeaderRequest::new(vote, 3, Some(log_id(4, 4)));
    let meta = SnapshotMeta { last_log_id: Some(log_id(2, 9)), ..SnapshotMeta::default() };
    let tell = Tell { epoch: 7, first: true, add: vec![(1, length_of(b"s"))], ..Tell::default() };
    let nodes = BTreeMap::from([(NodeId(1), Addresses::default())]);
    let messages: Vec<(u8, Bytes)> = vec![
        (0, wire::encode_append(&append(Vec::new())).0),
        (1, wire::encode_append(&append(entries)).0),
        (2, wire::encode_appended(&Ok(Some(log_id(4, 5))))),
        (3, wire::encode_vote_request(&VoteRequest::new(vote, Some(log_id(3, 3))))),
        (5, wire::encode_transfer(&transfer)),
        (6, wire::encode_transferred(&Ok(()))),
        (7, wire::encode_snapshot(&vote, &meta)),
        (8, Bytes::copy_from_slice(&encode_vote(&vote))),
        (10, codec::encode_outcome(&Ok(vec![Reply::Count(5), Reply::Nil]))),
        (11, codec::encode_queries(&[length_of(b"s"), Query::KeysCount])),
        (12, waits::encode_message(&Message::Tell(tell))),
        (12, waits::encode_message(&Message::Poll { epoch: 9 })),
        (14, RootMeta::encode(&meta, b"header")),
        (15, held::encode_question(2, Duration::from_millis(700))),
        (16, Bytes::from_static(&[3, 0, 0, 0])),
        (17, Bytes::from_static(&[1, 1])),
        (18, Bytes::from([&[1, 2][..], &[7; 16], &[1]].concat())),
        (19, MetaCommand::Make { shards: 3, nodes: nodes.clone() }.encode().into()),
        (19, MetaCommand::Replaced { lost: NodeId(3) }.encode().into()),
        (20, MetaReply::Refused("why".into()).encode().into()),
        (21, Meta::default().encode().into()),
    ];
    messages.iter().map(|(kind, bytes)| [&[*kind][..], bytes].concat()).collect()
}

#[test]
fn fuzz_peers() {
    feed_varied("peers", 100_000, &corpus(), reads);
}
