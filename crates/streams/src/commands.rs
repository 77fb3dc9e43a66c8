//! What each command does to the state. Options that need no state were settled before.

mod ack;
mod add;
mod claim;
mod configure;
mod copy;
mod delete;
mod expire;
mod groups;
mod keys;
mod nack;
mod read_group;
mod references;
mod set;
mod set_id;
mod trim;

use crate::block::Blocks;
use crate::command::Command;
use crate::error::{Refusal, Stop};
use crate::event::Event;
use crate::id::BlockKey;
use crate::reply::{EntryRef, Reply};
use crate::state::State;
use crate::stream::Stream;

use bytes::Bytes;

pub(crate) use read_group::{claimable_ms, would_deliver};

/// What a command comes to.
pub(crate) type Outcome = Result<Reply<EntryRef>, Stop>;

/// One call of `apply`.
pub(crate) struct Call<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) blocks: &'a Blocks,
    /// The shard clock, this command's stamp included.
    pub(crate) now_ms: u64,
    pub(crate) events: Vec<Event>,
}

impl Call<'_> {
    pub(crate) fn run(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Add(add) => self.add(add),
            Command::Configure { key, duration_ms, ids_max } => {
                self.configure(key, *duration_ms, *ids_max)
            }
            Command::Trim { key, trim } => self.trim(key, trim),
            Command::Delete { key, ids } => self.delete(key, ids),
            Command::DeleteWith { key, ids, references } => self.delete_with(key, ids, *references),
            Command::AckDelete { key, group, ids, references } => {
                self.ack_delete(key, group, ids, *references)
            }
            Command::SetId { key, last_id, entries_added, max_deleted_id } => {
                self.set_id(key, *last_id, *entries_added, *max_deleted_id)
            }
            Command::GroupCreate { key, group, start, make_stream, entries_read } => {
                self.group_create(key, group, *start, *make_stream, *entries_read)
            }
            Command::GroupSetId { key, group, start, entries_read } => {
                self.group_set_id(key, group, *start, *entries_read)
            }
            Command::GroupDestroy { key, group } => self.group_destroy(key, group),
            Command::ConsumerCreate { key, group, consumer } => {
                self.consumer_create(key, group, consumer)
            }
            Command::ConsumerDelete { key, group, consumer } => {
                self.consumer_delete(key, group, consumer)
            }
            Command::ReadGroup(read) => self.read_group(read),
            Command::Ack { key, group, ids } => self.ack(key, group, ids),
            Command::Nack(nack) => self.nack(nack),
            Command::Claim(claim) => self.claim(claim),
            Command::AutoClaim(claim) => self.auto_claim(claim),
            Command::Remove { keys } => self.remove(keys),
            Command::Rename { key, to, only_new } => self.rename(key, to, *only_new),
            Command::Copy { key, to, replace } => self.copy(key, to, *replace),
            Command::Flush => self.flush(),
            Command::Expire { key, when, only } => self.expire(key, *when, *only),
            Command::Persist { key } => self.persist(key),
            Command::ExpireDue => self.expire_due(),
            Command::Watch { keys } => self.watch(keys),
            Command::Set(settings) => self.set(*settings),
            // Its steps are run one by one, by `State::apply_steps`.
            Command::Transaction(_) => Ok(Reply::Nil),
            Command::Void => Ok(Reply::Nil),
            Command::Misplaced => Err(Refusal::Misplaced.into()),
        }
    }
}

/// Blocks that a command will look into and that are not in the state.
pub(crate) fn needs(state: &State, now_ms: u64, command: &Command) -> Vec<BlockKey> {
    let mut needs = match command {
        Command::Add(add) => add::needs(state, add),
        Command::Trim { key, trim } => {
            let trim = state.settings.limited(trim);
            state.stream(key).map_or_else(Vec::new, |stream| trim::needs(stream, &trim, 0))
        }
        Command::Delete { key, ids }
        | Command::DeleteWith { key, ids, .. }
        | Command::AckDelete { key, ids, .. } => {
            state.stream(key).map_or_else(Vec::new, |stream| references::needs(stream, ids))
        }
        Command::ReadGroup(read) => read_group::needs(state, now_ms, read),
        Command::Nack(nack) => nack::needs(state, nack),
        Command::Claim(claim) => claim::needs(state, claim),
        Command::AutoClaim(claim) => claim::needs_auto(state, claim),
        Command::Copy { key, .. } => state.stream(key).map_or_else(Vec::new, copy::needs),
        Command::Configure { .. }
        | Command::SetId { .. }
        | Command::GroupCreate { .. }
        | Command::GroupSetId { .. }
        | Command::GroupDestroy { .. }
        | Command::ConsumerCreate { .. }
        | Command::ConsumerDelete { .. }
        | Command::Ack { .. }
        | Command::Remove { .. }
        | Command::Rename { .. }
        | Command::Watch { .. }
        | Command::Transaction(_)
        | Command::Flush
        | Command::Set(_)
        | Command::Expire { .. }
        | Command::Persist { .. }
        | Command::ExpireDue
        | Command::Void
        | Command::Misplaced => Vec::new(),
    };
    if needs.len() > 1 {
        needs.sort_unstable();
        needs.dedup();
    }
    needs
}

/// NOGROUP as most commands say it, with copies of the names: the bytes at hand are slices of a
/// whole batch, and the reply may be kept.
pub(crate) fn no_group(key: &[u8], group: &[u8]) -> Refusal {
    Refusal::NoGroup { key: Bytes::copy_from_slice(key), group: Bytes::copy_from_slice(group) }
}

fn no_group_for_key(key: &[u8], group: &[u8]) -> Refusal {
    Refusal::NoGroupForKey {
        key: Bytes::copy_from_slice(key),
        group: Bytes::copy_from_slice(group),
    }
}

fn entry_ref(stream: &Stream, id: crate::id::EntryId) -> EntryRef {
    EntryRef { stream: stream.number, id }
}
