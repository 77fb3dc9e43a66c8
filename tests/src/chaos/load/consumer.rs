//! What a client does as a consumer of the group of each stream: it is given entries, leaves some, takes over what
//! others have left, and acknowledges. Never an entry that it wasn't given or did not take over.

use std::io;

use base::Entropy;
use checker::history::{Id, Outcome, Seen, Stream, What};
use checker::replies::{count_of, group_of, judge, pending_of, text_of};
use resp::Value;

use super::{GROUP, Load, entries_in, entries_of, key};
use crate::client::Client;
use crate::wait;

/// Entries asked for at a time.
const READ_COUNT: &str = "50";
/// Entries taken over at a time.
const CLAIM_COUNT: &str = "20";

impl Load {
    pub(super) fn look_at_group(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let call = wait::now();
        let reply = client.call(&["XINFO", "GROUPS", &key(stream)])?;
        if let Some((last_delivered, entries_read)) = group_of(&reply) {
            self.note(stream, call, What::Group { last_delivered, entries_read });
        }
        Ok(())
    }

    /// What is new, or now and then what was not acknowledged; then acknowledges it, or leaves what was new to whoever
    /// takes it over.
    pub(super) fn consume(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let new = self.entropy.below(4) > 0;
        let entries = self.deliver(client, stream, new)?;
        match new && self.entropy.below(4) == 0 {
            true => Ok(()),
            false => self.acknowledge(client, stream, &ids_of(&entries)),
        }
    }

    /// One delivery to this client's consumer.
    pub(in crate::chaos) fn deliver(
        &mut self,
        client: &mut Client,
        stream: Stream,
        new: bool,
    ) -> io::Result<Vec<Seen>> {
        let consumer = self.consumer();
        let from = if new { ">" } else { "0" };
        let key = key(stream);
        let args =
            ["XREADGROUP", "GROUP", GROUP, &consumer, "COUNT", READ_COUNT, "STREAMS", &key, from];
        let call = wait::now();
        let reply = client.call(&args)?;
        let streams = reply.as_items().unwrap_or_default();
        let entries = streams.first().and_then(|stream| stream.as_items()?.get(1));
        let entries = entries.map(|part| entries_in(&reply, part)).unwrap_or_default();
        if !entries.is_empty() {
            let what = What::Deliver { consumer: self.index, new, entries: entries.clone() };
            self.note(stream, call, what);
        }
        Ok(entries)
    }

    /// Takes over some of what is pending, and acknowledges half of it.
    pub(super) fn claim(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let ids = match self.entropy.below(2) {
            0 => self.claim_any(client, stream)?,
            _ => self.claim_named(client, stream)?,
        };
        match self.entropy.below(2) {
            0 => Ok(()),
            _ => self.acknowledge(client, stream, &ids),
        }
    }

    /// Whatever comes first.
    fn claim_any(&mut self, client: &mut Client, stream: Stream) -> io::Result<Vec<Id>> {
        let (key, consumer) = (key(stream), self.consumer());
        let args = ["XAUTOCLAIM", &key, GROUP, &consumer, "0", "0-0", "COUNT", CLAIM_COUNT];
        let taken =
            |reply: &Value| reply.as_items()?.get(1).map(|part| ids_of(&entries_in(reply, part)));
        self.claimed(client, stream, &args, taken, Vec::new())
    }

    /// Some that were pending a moment ago, with whomever.
    fn claim_named(&mut self, client: &mut Client, stream: Stream) -> io::Result<Vec<Id>> {
        let (key, consumer) = (key(stream), self.consumer());
        let reply = client.call(&["XPENDING", &key, GROUP, "-", "+", CLAIM_COUNT])?;
        let mut ids = pending_of(&reply).unwrap_or_default();
        ids.retain(|_| self.entropy.below(2) == 0);
        if ids.is_empty() {
            return Ok(ids);
        }
        let texts: Vec<String> = ids.iter().copied().map(text_of).collect();
        let mut args = vec!["XCLAIM", &key, GROUP, &consumer, "0"];
        args.extend(texts.iter().map(String::as_str));
        let taken = |reply: &Value| Some(ids_of(&entries_of(reply)));
        self.claimed(client, stream, &args, taken, ids)
    }

    /// Asks for a claim and writes it down; `asked` are the ids that it names, none where it takes any.
    fn claimed(
        &mut self,
        client: &mut Client,
        stream: Stream,
        args: &[&str],
        taken: impl Fn(&Value) -> Option<Vec<Id>>,
        asked: Vec<Id>,
    ) -> io::Result<Vec<Id>> {
        let call = wait::now();
        let answered = client.call(args);
        let (ids, outcome) = match judge(answered.as_ref().ok(), taken) {
            Outcome::Ok(ids) => (ids, Outcome::Ok(())),
            Outcome::Fail => (asked, Outcome::Fail),
            Outcome::Unknown => (asked, Outcome::Unknown),
        };
        let have = if outcome.is_done() { ids.clone() } else { Vec::new() };
        self.note(stream, call, What::Claim { consumer: self.index, ids, outcome });
        answered.map(|_| have)
    }

    /// Acknowledges entries.
    pub(in crate::chaos) fn acknowledge(
        &mut self,
        client: &mut Client,
        stream: Stream,
        ids: &[Id],
    ) -> io::Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let mut args = vec!["XACK".to_owned(), key(stream), GROUP.to_owned()];
        args.extend(ids.iter().copied().map(text_of));
        let call = wait::now();
        let answered = client.call(&args);
        let outcome = judge(answered.as_ref().ok(), count_of);
        let what = What::Ack { consumer: self.index, ids: ids.to_vec(), outcome };
        self.note(stream, call, what);
        answered.map(drop)
    }

    fn consumer(&self) -> String {
        format!("c{}", self.index)
    }
}

/// Of entries.
pub(in crate::chaos) fn ids_of(entries: &[Seen]) -> Vec<Id> {
    entries.iter().map(|(id, _)| *id).collect()
}
