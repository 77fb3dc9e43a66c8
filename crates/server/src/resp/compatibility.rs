//! Replies and errors as an older Redis gave them, where that was chosen for the cluster: the newest
//! shapes with what came later left out. Never what is done.

use std::borrow::Cow;

use raft::settings::Compatibility;
use streams::reply::{Entry, Reply};

use super::door::Door;
use super::error::SyntaxError;

impl Door {
    /// Which Redis replies are shaped after.
    fn is_older(&self) -> bool {
        self.shards.settings().compatibility == Compatibility::V7_2
    }

    /// The version of Redis whose behaviour clients may rely on: three plain numbers, for those that
    /// compare them.
    pub(crate) fn redis_version(&self) -> &'static str {
        if self.is_older() { "7.2.0" } else { "8.10.0" }
    }

    /// A reply in the shape that was chosen.
    pub(super) fn shaped<'a>(&self, reply: &'a Reply<Entry>) -> Cow<'a, Reply<Entry>> {
        if !describes(reply) || !self.is_older() {
            return Cow::Borrowed(reply);
        }
        let mut older = reply.clone();
        age(&mut older);
        Cow::Owned(older)
    }

    /// An error in the words that were chosen.
    pub(super) fn worded(&self, error: &SyntaxError) -> String {
        match error {
            SyntaxError::Unbalanced { command: "xread", .. } if self.is_older() => {
                SyntaxError::Unbalanced { command: "xread", symbols: "an ID or '$'" }.to_string()
            }
            error => error.to_string(),
        }
    }
}

/// Whether its shape depends on what was chosen.
fn describes(reply: &Reply<Entry>) -> bool {
    match reply {
        Reply::Stream(_) | Reply::StreamFull(_) | Reply::Groups(_) => true,
        Reply::Transaction(replies) => replies.iter().any(describes),
        Reply::Held(reply) => describes(reply),
        _ => false,
    }
}

/// Leaves out what Redis 7.2 didn't tell: producers, released entries, and how far a group is behind
/// where that has to be counted.
fn age(reply: &mut Reply<Entry>) {
    let group =
        |info: &mut streams::reply::GroupInfo| (info.unread, info.nacked_count) = (None, None);
    match reply {
        Reply::Stream(info) => info.summary.idempotence = None,
        Reply::StreamFull(info) => {
            info.summary.idempotence = None;
            info.groups.iter_mut().for_each(|full| group(&mut full.info));
        }
        Reply::Groups(groups) => groups.iter_mut().for_each(group),
        Reply::Transaction(replies) => replies.iter_mut().for_each(age),
        Reply::Held(reply) => age(reply),
        _ => {}
    }
}
