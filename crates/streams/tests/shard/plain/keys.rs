//! What concerns keys whatever they hold: when they expire, and what is asked of them.

use bytes::Bytes;
use streams::command::{Command, ExpireOnly, When};
use streams::error::Refusal;
use streams::query::{About, Query};
use streams::reply::{Entry, Reply};

use super::{Answer, Model, Stream};

/// What one tick removes at most.
const TICK: usize = 1000;

pub(crate) fn is_there(now: u64, stream: Option<&Stream>) -> bool {
    stream.is_some_and(|stream| stream.expires.is_none_or(|last| now <= last))
}

impl Model {
    pub(crate) fn run_expiry(&mut self, command: &Command) -> Reply<Entry> {
        let done = match command {
            Command::Expire { key, when, only } => self.expire(key, *when, *only),
            Command::Persist { key } => {
                self.keys.get_mut(key).is_some_and(|stream| stream.expires.take().is_some())
            }
            _ => return self.tick(),
        };
        Reply::Count(u64::from(done))
    }

    fn expire(&mut self, key: &Bytes, when: When, only: ExpireOnly) -> bool {
        let Some(stream) = self.keys.get_mut(key) else { return false };
        let at = match when {
            When::InMs(ms) => i128::from(self.now) + i128::from(ms),
            When::AtMs(ms) => i128::from(ms),
        };
        // No time is later than any time.
        let before = stream.expires.map_or(i128::MAX, i128::from);
        let has = stream.expires.is_some();
        let set = match only {
            ExpireOnly::Always => true,
            ExpireOnly::WithoutTime => !has,
            ExpireOnly::WithTime => has,
            ExpireOnly::Later => at > before,
            ExpireOnly::Earlier => at < before,
            ExpireOnly::WithTimeEarlier => has && at < before,
        };
        if set && at <= i128::from(self.now) {
            self.keys.remove(key);
        } else if set {
            stream.expires = Some(u64::try_from(at).unwrap());
        }
        set
    }

    fn tick(&mut self) -> Reply<Entry> {
        let before = self.keys.len();
        self.keys.retain(|_, stream| is_there(self.now, Some(stream)));
        let gone = before - self.keys.len();
        assert!(gone < TICK, "the scripts have few keys");
        Reply::Count(gone as u64)
    }

    pub(crate) fn run_names(&mut self, command: &Command) -> Answer {
        let (key, to) = match command {
            Command::Rename { key, to, .. } | Command::Copy { key, to, .. } => (key, to),
            _ => {
                self.keys.clear();
                return Ok(Reply::Ok);
            }
        };
        let Some(stream) = self.keys.get(key).cloned() else {
            let copies = matches!(command, Command::Copy { .. });
            return if copies { Ok(Reply::Count(0)) } else { Err(Refusal::NoKey) };
        };
        let taken = self.keys.contains_key(to);
        match command {
            Command::Rename { only_new: true, .. } | Command::Copy { replace: false, .. }
                if taken =>
            {
                return Ok(Reply::Count(0));
            }
            Command::Rename { .. } => drop(self.keys.remove(key)),
            _ => {}
        }
        self.keys.insert(to.clone(), stream);
        Ok(match command {
            Command::Rename { only_new: false, .. } => Reply::Ok,
            _ => Reply::Count(1),
        })
    }

    pub(crate) fn ask_key(&self, now: u64, query: &Query) -> Answer {
        Ok(match query {
            Query::Keys { pattern } => {
                // The scripts ask for beginnings only.
                let front = pattern.strip_suffix(b"*").expect("a beginning");
                let found = self.keys.keys().filter(|key| key.starts_with(front));
                Reply::Keys(found.cloned().collect())
            }
            Query::Lifetime { key, absolute, in_ms } => {
                let told = match self.keys.get(key).map(|stream| stream.expires) {
                    None => -2,
                    Some(None) => -1,
                    Some(Some(last)) => {
                        let ms = if *absolute { last } else { last - now };
                        let told = if *in_ms { ms } else { (ms + 500) / 1000 };
                        i64::try_from(told).unwrap()
                    }
                };
                Reply::Signed(told)
            }
            Query::Object { key, .. } if !self.keys.contains_key(key) => Reply::NoKey,
            Query::Object { about, .. } => match about {
                About::Encoding => Reply::Text(Bytes::from_static(b"stream")),
                About::References => Reply::Count(1),
                About::IdleTime => Reply::Count(0),
                About::Frequency => return Err(Refusal::NoFrequency),
                About::Bytes => panic!("an estimate"),
            },
            _ => panic!("not about keys: {query:?}"),
        })
    }
}
