//! EXPIRE and its kin, PERSIST, and the removal of what has expired. A key whose time has passed is
//! gone for every command: those that name it remove it before they run, and a tick that the leader
//! proposes removes the others.

use bytes::Bytes;

use super::{Call, Outcome};
use crate::command::{Command, ExpireOnly, When};
use crate::event::Event;
use crate::limits::EXPIRE_KEYS_MAX;
use crate::reply::Reply;

impl Call<'_> {
    pub(super) fn expire(&mut self, key: &Bytes, when: When, only: ExpireOnly) -> Outcome {
        let Some(stream) = self.state.stream(key) else { return Ok(Reply::Count(0)) };
        let at_ms = self.at_ms(when);
        if !admits(only, stream.expires_ms, at_ms) {
            return Ok(Reply::Count(0));
        }
        if at_ms <= self.now_ms {
            self.state.drop_stream(key);
            self.events.push(Event::Removed { key: key.clone() });
        } else {
            self.state.set_expiry(key, Some(at_ms));
            self.events.push(Event::ExpirySet { key: key.clone() });
        }
        Ok(Reply::Count(1))
    }

    /// A time before the beginning is the beginning.
    fn at_ms(&self, when: When) -> u64 {
        match when {
            When::InMs(ms) => self.now_ms.saturating_add_signed(ms),
            When::AtMs(ms) => u64::try_from(ms).unwrap_or(0),
        }
    }

    pub(super) fn persist(&mut self, key: &Bytes) -> Outcome {
        let has_time = self.state.stream(key).is_some_and(|stream| stream.expires_ms.is_some());
        if has_time {
            self.state.set_expiry(key, None);
            self.events.push(Event::Persisted { key: key.clone() });
        }
        Ok(Reply::Count(u64::from(has_time)))
    }

    pub(super) fn expire_due(&mut self) -> Outcome {
        let due = self.state.due(self.now_ms).take(EXPIRE_KEYS_MAX);
        let due: Vec<Bytes> = due.map(|stream| stream.key.clone()).collect();
        for key in &due {
            self.remove_expired(key);
        }
        Ok(Reply::Count(due.len() as u64))
    }

    /// Removes what a command names and is past its time.
    pub(crate) fn expire_named(&mut self, command: &Command) {
        if self.state.due(self.now_ms).next().is_none() {
            return;
        }
        for key in command.keys() {
            if self.state.stream(key).is_some_and(|stream| stream.is_expired(self.now_ms)) {
                self.remove_expired(key);
            }
        }
    }

    fn remove_expired(&mut self, key: &Bytes) {
        self.state.drop_stream(key);
        self.events.push(Event::Expired { key: key.clone() });
    }
}

fn admits(only: ExpireOnly, before_ms: Option<u64>, at_ms: u64) -> bool {
    match only {
        ExpireOnly::Always => true,
        ExpireOnly::WithoutTime => before_ms.is_none(),
        ExpireOnly::WithTime => before_ms.is_some(),
        ExpireOnly::Later => before_ms.is_some_and(|before| at_ms > before),
        ExpireOnly::Earlier => before_ms.is_none_or(|before| at_ms < before),
        ExpireOnly::WithTimeEarlier => before_ms.is_some_and(|before| at_ms < before),
    }
}
