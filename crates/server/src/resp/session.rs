//! What a connection knows of its client: protocol, whether it may do anything, and what it is
//! asked to answer by itself. Never a socket.

use std::sync::Arc;

use resp::{Protocol, Writer};

use super::clients::Client;
use super::door::Door;

/// One client's state.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    pub(crate) authenticated: bool,
    /// The client said QUIT: the connection ends when it has its replies.
    pub(crate) quitting: bool,
    /// What other connections may see of this one.
    pub(crate) client: Arc<Client>,
}

impl Session {
    pub(crate) fn new(door: &Door, client: Arc<Client>) -> Self {
        let authenticated = door.options.password.is_none();
        Self { protocol: Protocol::Resp2, authenticated, quitting: false, client }
    }
}

/// A command that the connection answers by itself: what it may look at, and where it answers.
pub(crate) struct Turn<'a> {
    pub(crate) door: &'a Door,
    pub(crate) session: &'a mut Session,
    pub(crate) out: Writer<'a>,
}
