//! One Raft entry of a data shard.
//!
//! ```text
//! version 1 u8 | stamp | runs count | run ...
//! run: node | incarnation count, random | first sequence | lowest unanswered | commands count
//!      | command ...
//! ```

use base::{Incarnation, NodeId};
use bytes::Bytes;

use crate::code::{Put, Reader};
use crate::command::{Command, Stamp};
use crate::error::Fault;
use crate::sessions::Origin;

use super::command::{put_command, read_command};

const VERSION: u8 = 1;

/// The commands of one Raft entry. Decoded, their byte strings are slices of the entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub stamp: Stamp,
    pub runs: Vec<Run>,
}

/// Commands of one gateway with consecutive sequence numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    pub origin: Origin,
    /// The sequence number of the first command.
    pub first: u64,
    /// The gateway's client has every reply below this one.
    pub lowest_unanswered: u64,
    pub commands: Vec<Command>,
}

impl Batch {
    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        let mut buffer = Vec::with_capacity(256);
        buffer.put_u8(VERSION);
        buffer.put_number(self.stamp.now_ms);
        buffer.put_list(&self.runs, put_run);
        Bytes::from(buffer)
    }

    /// What [`Batch::encode`] gave. A [`Fault`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        Reader::whole(bytes, "batch", VERSION, |from| {
            Ok(Self { stamp: Stamp { now_ms: from.number()? }, runs: from.list(read_run)? })
        })
    }
}

impl Run {
    /// Its bytes alone, as a gateway sends it to a leader.
    pub fn encode(&self) -> Bytes {
        let mut buffer = Vec::with_capacity(256);
        buffer.put_u8(VERSION);
        put_run(&mut buffer, self);
        Bytes::from(buffer)
    }

    /// What [`Run::encode`] gave. A [`Fault`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Fault> {
        Reader::whole(bytes, "run", VERSION, read_run)
    }
}

fn put_run(buffer: &mut Vec<u8>, run: &Run) {
    buffer.put_number(run.origin.node.0);
    buffer.put_number(run.origin.incarnation.count);
    buffer.put_u64_le(run.origin.incarnation.random);
    buffer.put_number(run.first);
    buffer.put_number(run.lowest_unanswered);
    buffer.put_list(&run.commands, put_command);
}

fn read_run(reader: &mut Reader) -> Result<Run, Fault> {
    let node = NodeId(reader.number()?);
    let incarnation = Incarnation { count: reader.number()?, random: reader.u64_le()? };
    let run = Run {
        origin: Origin { node, incarnation },
        first: reader.number()?,
        lowest_unanswered: reader.number()?,
        commands: reader.list(read_command)?,
    };
    if run.first.checked_add(run.commands.len() as u64).is_none() {
        return Err(reader.damaged("sequence"));
    }
    Ok(run)
}
