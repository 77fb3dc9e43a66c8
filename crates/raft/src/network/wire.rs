//! Messages of Raft between peers, as bytes. Never I/O. Entries travel as they lie in the journal:
//! their payloads are parts of the body, shared and not copied.
//!
//! ```text
//! append          vote, log id before, commit, count u32, each: term u64, index u64, kind u8
//!                 body: one part for each entry
//! append answer   1 + log id matched | 2 + log id in conflict | 3 + vote that is higher
//! vote            vote, last log id, transfer u8
//! vote answer     vote, granted u8, last log id
//! transfer        vote of the leader, to u64, last log id
//! transfer answer 0 | 1 + vote expected + vote found | 2 + log id expected + log id found
//! snapshot        vote, log id, stored membership
//! ```
//!
//! Votes and log ids as in [`crate::types`]. Numbers are little-endian.

use bytes::{BufMut, Bytes, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, StreamAppendError, StreamAppendResult, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::types::{
    DecodeError, LogId, Reader, SnapshotMeta, TypeConfig, Vote, decode_entry, decode_vote,
    encode_log_id, encode_payload, encode_stored_membership, encode_vote,
};

const VOTE_BYTES: usize = 18;

pub(crate) type Append = AppendEntriesRequest<TypeConfig>;
pub(crate) type Appended = StreamAppendResult<TypeConfig>;

pub(crate) fn encode_append(append: &Append) -> (Bytes, Vec<Bytes>) {
    let mut head = BytesMut::with_capacity(64 + 21 * append.entries.len());
    head.put_slice(&encode_vote(&append.vote));
    encode_log_id(append.prev_log_id.as_ref(), &mut head);
    encode_log_id(append.leader_commit.as_ref(), &mut head);
    head.put_u32_le(u32::try_from(append.entries.len()).expect("few entries in a request"));
    let mut body = Vec::with_capacity(append.entries.len());
    for entry in &append.entries {
        let (kind, payload) = encode_payload(&entry.payload);
        head.put_u64_le(entry.log_id.leader_id.term);
        head.put_u64_le(entry.log_id.index);
        head.put_u8(kind);
        body.push(payload);
    }
    (head.freeze(), body)
}

pub(crate) fn decode_append(head: &[u8], body: Vec<Bytes>) -> Result<Append, DecodeError> {
    let mut reader = Reader { what: "append", rest: head };
    let vote = vote(&mut reader)?;
    let prev_log_id = reader.log_id()?;
    let leader_commit = reader.log_id()?;
    let count = usize::try_from(reader.u32()?).expect("u32 is a usize");
    if count != body.len() {
        return Err(reader.error("as many payloads as entries are due"));
    }
    let mut entries = Vec::with_capacity(count);
    for payload in body {
        let (term, index, kind) = (reader.u64()?, reader.u64()?, reader.u8()?);
        entries.push(decode_entry(term, index, kind, payload)?);
    }
    reader.end()?;
    Ok(Append { vote, prev_log_id, entries, leader_commit })
}

pub(crate) fn encode_appended(appended: &Appended) -> Bytes {
    let mut out = BytesMut::with_capacity(20);
    match appended {
        Ok(matched) => {
            out.put_u8(1);
            encode_log_id(matched.as_ref(), &mut out);
        }
        Err(StreamAppendError::Conflict(at)) => {
            out.put_u8(2);
            encode_log_id(Some(at), &mut out);
        }
        Err(StreamAppendError::HigherVote(vote)) => {
            out.put_u8(3);
            out.put_slice(&encode_vote(vote));
        }
    }
    out.freeze()
}

pub(crate) fn decode_appended(bytes: &[u8]) -> Result<Appended, DecodeError> {
    let mut reader = Reader { what: "append answer", rest: bytes };
    let appended = match reader.u8()? {
        1 => Ok(reader.log_id()?),
        2 => Err(StreamAppendError::Conflict(some_log_id(&mut reader)?)),
        3 => Err(StreamAppendError::HigherVote(vote(&mut reader)?)),
        _ => return Err(reader.error("unknown tag")),
    };
    reader.end()?;
    Ok(appended)
}

pub(crate) fn encode_vote_request(request: &VoteRequest<TypeConfig>) -> Bytes {
    let mut out = BytesMut::with_capacity(40);
    out.put_slice(&encode_vote(&request.vote));
    encode_log_id(request.last_log_id.as_ref(), &mut out);
    out.put_u8(u8::from(request.leadership_transfer));
    out.freeze()
}

pub(crate) fn decode_vote_request(bytes: &[u8]) -> Result<VoteRequest<TypeConfig>, DecodeError> {
    let mut reader = Reader { what: "vote request", rest: bytes };
    let mut request = VoteRequest::new(vote(&mut reader)?, reader.log_id()?);
    request.leadership_transfer = reader.u8()? != 0;
    reader.end()?;
    Ok(request)
}

pub(crate) fn encode_vote_response(response: &VoteResponse<TypeConfig>) -> Bytes {
    let mut out = BytesMut::with_capacity(40);
    out.put_slice(&encode_vote(&response.vote));
    out.put_u8(u8::from(response.vote_granted));
    encode_log_id(response.last_log_id.as_ref(), &mut out);
    out.freeze()
}

pub(crate) fn decode_vote_response(bytes: &[u8]) -> Result<VoteResponse<TypeConfig>, DecodeError> {
    let mut reader = Reader { what: "vote answer", rest: bytes };
    let vote = vote(&mut reader)?;
    let granted = reader.u8()? != 0;
    let response = VoteResponse::new(vote, reader.log_id()?, granted);
    reader.end()?;
    Ok(response)
}

pub(crate) fn encode_transfer(request: &TransferLeaderRequest<TypeConfig>) -> Bytes {
    let mut out = BytesMut::with_capacity(48);
    out.put_slice(&encode_vote(request.from_leader()));
    out.put_u64_le(*request.to_node_id());
    encode_log_id(request.last_log_id(), &mut out);
    out.freeze()
}

pub(crate) fn decode_transfer(
    bytes: &[u8],
) -> Result<TransferLeaderRequest<TypeConfig>, DecodeError> {
    let mut reader = Reader { what: "transfer", rest: bytes };
    let (from, to) = (vote(&mut reader)?, reader.u64()?);
    let request = TransferLeaderRequest::new(from, to, reader.log_id()?);
    reader.end()?;
    Ok(request)
}

pub(crate) fn encode_transferred(response: &TransferLeaderResponse<TypeConfig>) -> Bytes {
    let mut out = BytesMut::with_capacity(40);
    match response {
        Ok(()) => out.put_u8(0),
        Err(TransferLeaderError::VoteChanged { expected, actual }) => {
            out.put_u8(1);
            out.put_slice(&encode_vote(expected));
            out.put_slice(&encode_vote(actual));
        }
        Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
            out.put_u8(2);
            encode_log_id(expected.as_ref(), &mut out);
            encode_log_id(actual.as_ref(), &mut out);
        }
    }
    out.freeze()
}

pub(crate) fn decode_transferred(
    bytes: &[u8],
) -> Result<TransferLeaderResponse<TypeConfig>, DecodeError> {
    let mut reader = Reader { what: "transfer answer", rest: bytes };
    let response = match reader.u8()? {
        0 => Ok(()),
        1 => Err(TransferLeaderError::VoteChanged {
            expected: vote(&mut reader)?,
            actual: vote(&mut reader)?,
        }),
        2 => Err(TransferLeaderError::LogNotFlushed {
            expected: reader.log_id()?,
            actual: reader.log_id()?,
        }),
        _ => return Err(reader.error("unknown tag")),
    };
    reader.end()?;
    Ok(response)
}

pub(crate) fn encode_snapshot(vote: &Vote, meta: &SnapshotMeta) -> Bytes {
    let mut out = BytesMut::with_capacity(128);
    out.put_slice(&encode_vote(vote));
    encode_log_id(meta.last_log_id.as_ref(), &mut out);
    encode_stored_membership(&meta.last_membership, &mut out);
    out.freeze()
}

pub(crate) fn decode_snapshot(bytes: &[u8]) -> Result<(Vote, SnapshotMeta), DecodeError> {
    let mut reader = Reader { what: "snapshot", rest: bytes };
    let vote = vote(&mut reader)?;
    let last_log_id = reader.log_id()?;
    let last_membership = reader.stored_membership()?;
    reader.end()?;
    Ok((vote, SnapshotMeta { last_log_id, last_membership }))
}

pub(crate) fn vote(reader: &mut Reader<'_>) -> Result<Vote, DecodeError> {
    decode_vote(reader.take(VOTE_BYTES)?)
}

fn some_log_id(reader: &mut Reader<'_>) -> Result<LogId, DecodeError> {
    reader.log_id()?.ok_or_else(|| reader.error("a log id is due"))
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::*;
    use crate::types::{Entry, LeaderId, Proposal, log_id};

    fn some_vote(term: u64) -> Vote {
        Vote { leader_id: LeaderId { term, voted_for: 2 }, committed: true }
    }

    #[test]
    fn appends_come_back_and_payloads_are_shared() {
        let payload = Bytes::from(vec![7; 50]);
        let entries = vec![
            Entry { log_id: log_id(3, 8), payload: EntryPayload::Blank },
            Entry {
                log_id: log_id(3, 9),
                payload: EntryPayload::Normal(Proposal(payload.clone())),
            },
        ];
        let append = Append {
            vote: some_vote(3),
            prev_log_id: Some(log_id(2, 7)),
            entries: entries.clone(),
            leader_commit: None,
        };
        let (head, body) = encode_append(&append);
        assert_eq!(body[1].as_ptr(), payload.as_ptr());
        let back = decode_append(&head, body.clone()).unwrap();
        assert_eq!((back.vote, back.prev_log_id), (append.vote, append.prev_log_id));
        assert_eq!(back.entries, entries);
        for cut in 0..head.len() {
            decode_append(&head[..cut], body.clone()).unwrap_err();
        }
        decode_append(&head, body[..1].to_vec()).unwrap_err();
    }

    #[test]
    fn answers_come_back_and_short_ones_are_refused() {
        for appended in [
            Ok(None),
            Ok(Some(log_id(4, 5))),
            Err(StreamAppendError::Conflict(log_id(1, 2))),
            Err(StreamAppendError::HigherVote(some_vote(9))),
        ] {
            let bytes = encode_appended(&appended);
            assert_eq!(decode_appended(&bytes), Ok(appended));
            (0..bytes.len()).for_each(|cut| assert!(decode_appended(&bytes[..cut]).is_err()));
        }
    }

    #[test]
    fn votes_and_transfers_come_back() {
        let mut request = VoteRequest::new(some_vote(4), Some(log_id(3, 3)));
        request.leadership_transfer = true;
        assert_eq!(decode_vote_request(&encode_vote_request(&request)), Ok(request));
        let response = VoteResponse::new(some_vote(4), None, true);
        assert_eq!(decode_vote_response(&encode_vote_response(&response)), Ok(response));
        let transfer = TransferLeaderRequest::new(some_vote(4), 3, Some(log_id(4, 4)));
        assert_eq!(decode_transfer(&encode_transfer(&transfer)), Ok(transfer));
        for answer in [
            Ok(()),
            Err(TransferLeaderError::LogNotFlushed { expected: Some(log_id(1, 1)), actual: None }),
            Err(TransferLeaderError::VoteChanged { expected: some_vote(1), actual: some_vote(2) }),
        ] {
            assert_eq!(decode_transferred(&encode_transferred(&answer)), Ok(answer));
        }
    }

    #[test]
    fn snapshot_positions_come_back() {
        let meta = SnapshotMeta { last_log_id: Some(log_id(2, 9)), ..SnapshotMeta::default() };
        let (vote, back) = decode_snapshot(&encode_snapshot(&some_vote(3), &meta)).unwrap();
        assert_eq!((vote, back), (some_vote(3), meta));
    }
}
