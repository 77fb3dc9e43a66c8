//! Questions and outcomes between a gateway and a leader, as bytes. They live as long as a call,
//! never on a disk; queries and replies are encoded by `streams`.
//!
//! ```text
//! queries   count u32, each: length u32, query
//! outcome   0, count u32, each: length u32, reply | 1 not the leader, then 0 | 1, leader u64 | 2 lost
//! ```

use base::NodeId;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use streams::query::Query;
use streams::reply::{Entry, Reply};

use crate::gateway::{Failed, RunOutcome};

/// Bytes that are not what a peer should have sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a gateway's message does not decode")]
pub(crate) struct Malformed;

pub(crate) fn encode_outcome(outcome: &RunOutcome) -> Bytes {
    let mut out = BytesMut::new();
    match outcome {
        Ok(replies) => {
            out.put_u8(0);
            put_list(&mut out, replies.iter().map(Reply::<Entry>::encode));
        }
        Err(Failed::NotLeader(None)) => out.put_slice(&[1, 0]),
        Err(Failed::NotLeader(Some(leader))) => {
            out.put_slice(&[1, 1]);
            out.put_u64_le(leader.0);
        }
        Err(Failed::Lost) => out.put_u8(2),
    }
    out.freeze()
}

pub(crate) fn decode_outcome(mut bytes: Bytes) -> Result<RunOutcome, Malformed> {
    match bytes.first() {
        Some(0) => {
            bytes.advance(1);
            let reply = |bytes: &Bytes| Reply::<Entry>::decode(bytes).map_err(|_| Malformed);
            list(bytes, reply).map(Ok)
        }
        Some(1) => match &bytes[1..] {
            [0] => Ok(Err(Failed::NotLeader(None))),
            [1, leader @ ..] => {
                let leader = leader.try_into().map_err(|_| Malformed)?;
                Ok(Err(Failed::NotLeader(Some(NodeId(u64::from_le_bytes(leader))))))
            }
            _ => Err(Malformed),
        },
        Some(2) if bytes.len() == 1 => Ok(Err(Failed::Lost)),
        _ => Err(Malformed),
    }
}

pub(crate) fn encode_queries(queries: &[Query]) -> Bytes {
    let mut out = BytesMut::new();
    put_list(&mut out, queries.iter().map(Query::encode));
    out.freeze()
}

pub(crate) fn decode_queries(bytes: Bytes) -> Result<Vec<Query>, Malformed> {
    list(bytes, |bytes| Query::decode(bytes).map_err(|_| Malformed))
}

fn put_list(out: &mut BytesMut, items: impl ExactSizeIterator<Item = Bytes>) {
    let length = |length: usize| u32::try_from(length).expect("a message is far below 4 GiB");
    out.put_u32_le(length(items.len()));
    for item in items {
        out.put_u32_le(length(item.len()));
        out.put_slice(&item);
    }
}

fn list<T>(
    mut bytes: Bytes,
    read: impl Fn(&Bytes) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = number(&mut bytes)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let length = number(&mut bytes)?;
        if length > bytes.len() {
            return Err(Malformed);
        }
        items.push(read(&bytes.split_to(length))?);
    }
    if bytes.is_empty() { Ok(items) } else { Err(Malformed) }
}

fn number(bytes: &mut Bytes) -> Result<usize, Malformed> {
    let number = bytes.try_get_u32_le().map_err(|_| Malformed)?;
    usize::try_from(number).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use streams::error::Refusal;
    use streams::id::EntryId;

    use super::*;

    #[test]
    fn messages_come_back_and_short_ones_are_refused() {
        let entry = Entry { id: EntryId::new(7, 9), fields: Some(vec![Bytes::from_static(b"f")]) };
        let replies = vec![Reply::Ok, Reply::Entries(vec![entry]), Reply::Refused(Refusal::Stale)];
        for outcome in [
            Ok(replies),
            Ok(Vec::new()),
            Err(Failed::NotLeader(None)),
            Err(Failed::NotLeader(Some(NodeId(3)))),
            Err(Failed::Lost),
        ] {
            let bytes = encode_outcome(&outcome);
            assert_eq!(decode_outcome(bytes.clone()), Ok(outcome));
            for cut in 0..bytes.len() {
                assert_eq!(decode_outcome(bytes.slice(..cut)), Err(Malformed), "cut at {cut}");
            }
        }
        let queries = vec![Query::KeysCount, Query::Length { key: Bytes::from_static(b"k") }];
        let bytes = encode_queries(&queries);
        assert_eq!(decode_queries(bytes.clone()), Ok(queries));
        for cut in 0..bytes.len() {
            assert_eq!(decode_queries(bytes.slice(..cut)), Err(Malformed), "cut at {cut}");
        }
    }
}
