//! What a connection knows of its client: protocol, whether it may do anything, and what it is
//! asked to answer by itself. Never a socket.

use std::sync::Arc;

use base::ShardId;
use resp::{Protocol, Writer};

use super::clients::Client;
use super::door::Door;
use super::transaction::Queued;

/// Whether a client wants replies: `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replies {
    #[default]
    On,
    Off,
    /// Not to the next request, and not to the one that asked for it.
    Skip,
}

/// One client's state.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    authenticated: bool,
    /// The client said QUIT: the connection ends when it has its replies.
    pub(crate) quitting: bool,
    pub(crate) replies: Replies,
    /// READONLY: this node may answer reads from what it has applied.
    pub(crate) reads_here: bool,
    /// The shards that it wrote to.
    pub(super) written: Vec<ShardId>,
    /// It listens to channels.
    pub(crate) listens: bool,
    /// Since MULTI, and by WATCH.
    pub(crate) queued: Queued,
    /// What other connections may see of this one.
    pub(crate) client: Arc<Client>,
}

impl Session {
    pub(crate) fn new(door: &Door, client: Arc<Client>) -> Self {
        let (protocol, authenticated) = (Protocol::Resp2, false);
        let mut session = Self {
            protocol,
            authenticated,
            quitting: false,
            replies: Replies::On,
            reads_here: false,
            written: Vec::new(),
            listens: false,
            queued: Queued::default(),
            client,
        };
        session.authenticate(door, door.options.password.is_none());
        session
    }

    /// Whether the client may do anything.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated
    }

    /// The client writes to these shards.
    pub(super) fn note_written(&mut self, shards: impl Iterator<Item = ShardId>) {
        for shard in shards {
            if !self.written.contains(&shard) {
                self.written.push(shard);
            }
        }
    }

    /// Whether the client listens to channels and speaks a protocol in which it hears nothing else.
    pub(crate) fn only_listens(&self) -> bool {
        self.protocol == Protocol::Resp2 && self.listens
    }

    /// Whether the request that starts now is to be answered. One that is skipped uses that up.
    pub(super) fn wants_reply(&mut self) -> bool {
        match self.replies {
            Replies::On => true,
            Replies::Off => false,
            Replies::Skip => {
                self.replies = Replies::On;
                false
            }
        }
    }

    /// From now on the client may do anything, or not.
    pub(crate) fn authenticate(&mut self, door: &Door, authenticated: bool) {
        self.authenticated = authenticated;
        door.clients.note_known(&self.client, authenticated);
    }
}

/// A command that the connection answers by itself: what it may look at, and where it answers.
pub(crate) struct Turn<'a> {
    pub(crate) door: &'a Door,
    pub(crate) session: &'a mut Session,
    pub(crate) out: Writer<'a>,
}
