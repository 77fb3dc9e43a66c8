//! Messages about waits, as bytes. Never I/O.
//!
//! ```text
//! tell     version u8, 1, epoch u64, first u8, count u32, each: id u64, length u32, query
//!          | done: count u32, ids u64 | again: count u32, ids u64
//! poll     version u8, 2, epoch u64
//! answer   version u8, 1, count u32, ids u64 | 2 | 3, 0 | 3, 1, node u64
//! ```

use base::NodeId;
use bytes::{BufMut, Bytes, BytesMut};
use streams::query::Query;

use super::{Answered, Message, Tell};
use crate::types::{DecodeError, Reader};

const VERSION: u8 = 1;
const TELL: u8 = 1;
const POLL: u8 = 2;
const WOKEN: u8 = 1;
const UNKNOWN: u8 = 2;
const NOT_LEADER: u8 = 3;

pub(crate) fn encode_message(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    match message {
        Message::Tell(Tell { epoch, first, add, done, again }) => {
            out.put_u8(TELL);
            out.put_u64_le(*epoch);
            out.put_u8(u8::from(*first));
            out.put_u32_le(length(add.len()));
            for (id, query) in add {
                let query = query.encode();
                out.put_u64_le(*id);
                out.put_u32_le(length(query.len()));
                out.put_slice(&query);
            }
            put_ids(&mut out, done);
            put_ids(&mut out, again);
        }
        Message::Poll { epoch } => {
            out.put_u8(POLL);
            out.put_u64_le(*epoch);
        }
    }
    out.freeze()
}

pub(crate) fn decode_message(bytes: &Bytes) -> Result<Message, DecodeError> {
    let mut reader = Reader { what: "wait", rest: bytes };
    reader.version()?;
    let message = match reader.u8()? {
        TELL => {
            let (epoch, first) = (reader.u64()?, reader.u8()? != 0);
            let mut add = Vec::new();
            for _ in 0..reader.u32()? {
                let (id, length) = (reader.u64()?, reader.u32()?);
                let query = reader.take(usize::try_from(length).expect("u32 is a usize"))?;
                let query = Query::decode(&bytes.slice_ref(query));
                add.push((id, query.map_err(|_| reader.error("a malformed query"))?));
            }
            let (done, again) = (ids(&mut reader)?, ids(&mut reader)?);
            Message::Tell(Tell { epoch, first, add, done, again })
        }
        POLL => Message::Poll { epoch: reader.u64()? },
        _ => return Err(reader.error("unknown tag")),
    };
    reader.end()?;
    Ok(message)
}

pub(crate) fn encode_answer(answer: &Answered) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    match answer {
        Answered::Woken(ids) => {
            out.put_u8(WOKEN);
            put_ids(&mut out, ids);
        }
        Answered::Unknown => out.put_u8(UNKNOWN),
        Answered::NotLeader(leader) => {
            out.put_u8(NOT_LEADER);
            out.put_u8(u8::from(leader.is_some()));
            if let Some(NodeId(leader)) = leader {
                out.put_u64_le(*leader);
            }
        }
    }
    out.freeze()
}

pub(crate) fn decode_answer(bytes: &[u8]) -> Result<Answered, DecodeError> {
    let mut reader = Reader { what: "answer about waits", rest: bytes };
    reader.version()?;
    let answer = match reader.u8()? {
        WOKEN => Answered::Woken(ids(&mut reader)?),
        UNKNOWN => Answered::Unknown,
        NOT_LEADER if reader.u8()? == 0 => Answered::NotLeader(None),
        NOT_LEADER => Answered::NotLeader(Some(NodeId(reader.u64()?))),
        _ => return Err(reader.error("unknown tag")),
    };
    reader.end()?;
    Ok(answer)
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a message is far below 4 GiB")
}

fn put_ids(out: &mut BytesMut, ids: &[u64]) {
    out.put_u32_le(length(ids.len()));
    ids.iter().for_each(|id| out.put_u64_le(*id));
}

fn ids(reader: &mut Reader<'_>) -> Result<Vec<u64>, DecodeError> {
    let count = reader.u32()?;
    (0..count).map(|_| reader.u64()).collect()
}

#[cfg(test)]
mod tests {
    use streams::command::Most;
    use streams::id::EntryId;
    use streams::query::After;

    use super::*;

    #[test]
    fn messages_come_back_and_short_ones_are_refused() {
        let streams = vec![(Bytes::from_static(b"k"), After::Id(EntryId::new(3, 1)))];
        let tell = Tell {
            epoch: 9,
            first: true,
            add: vec![
                (4, Query::Read { count: 1, most: Most::default(), streams }),
                (5, Query::KeysCount),
            ],
            done: vec![1, 2],
            again: vec![3],
        };
        for message in [Message::Tell(tell), Message::Poll { epoch: 7 }] {
            let bytes = encode_message(&message);
            assert_eq!(decode_message(&bytes), Ok(message));
            for cut in 0..bytes.len() {
                decode_message(&bytes.slice(..cut)).unwrap_err();
            }
        }
    }

    #[test]
    fn answers_come_back_and_short_ones_are_refused() {
        for answer in [
            Answered::Woken(vec![1, u64::MAX]),
            Answered::Woken(Vec::new()),
            Answered::Unknown,
            Answered::NotLeader(None),
            Answered::NotLeader(Some(NodeId(2))),
        ] {
            let bytes = encode_answer(&answer);
            assert_eq!(decode_answer(&bytes), Ok(answer));
            (0..bytes.len()).for_each(|cut| assert!(decode_answer(&bytes[..cut]).is_err()));
        }
    }
}
