//! Keyspace notifications: which events `notify-keyspace-events` asks for, and the messages that they
//! become. Never a listener.

use bytes::Bytes;
use streams::event::Event;

/// Letters of `notify-keyspace-events`, in the order in which they are shown. `A` stands for those
/// from `g` to `d`.
const LETTERS: &[u8; 15] = b"g$lshzxetdnKEmo";

/// How many of them `A` stands for.
const ALL_COUNT: usize = 10;

/// The classes of events that are asked for, and the channels that they go to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Classes(u64);

impl Classes {
    const ALL: Self = Self((1 << ALL_COUNT) - 1);

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    /// As `CONFIG SET` has them; none where a letter is unknown.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        text.iter().try_fold(Self::default(), |classes, letter| match letter {
            b'A' => Some(Self(classes.0 | Self::ALL.0)),
            letter => Some(Self(classes.0 | bit(*letter)?)),
        })
    }

    /// As `CONFIG GET` shows them.
    pub(crate) fn text(self) -> String {
        let all = self.0 & Self::ALL.0 == Self::ALL.0;
        let rest = if all { &LETTERS[ALL_COUNT..] } else { &LETTERS[..] };
        let has = |letter: &&u8| bit(**letter).is_some_and(|bit| self.0 & bit != 0);
        let rest = rest.iter().filter(has).map(|letter| char::from(*letter));
        all.then_some('A').into_iter().chain(rest).collect()
    }

    fn has(self, letter: u8) -> bool {
        bit(letter).is_some_and(|bit| self.0 & bit != 0)
    }
}

fn bit(letter: u8) -> Option<u64> {
    LETTERS.iter().position(|known| *known == letter).map(|at| 1 << at)
}

/// The messages that an event becomes: channel and payload of each.
pub(super) fn messages(wanted: Classes, event: &Event) -> impl Iterator<Item = (Bytes, Bytes)> {
    let key = event.key();
    let name = described(event).filter(|(class, _)| wanted.has(*class)).map(|(_, name)| name);
    let of_key = name.filter(|_| wanted.has(b'K'));
    let of_key = of_key.map(|name| (joined(b"__keyspace@0__:", key), Bytes::from(name)));
    let of_event = name.filter(|_| wanted.has(b'E'));
    let of_event = of_event.map(|name| (joined(b"__keyevent@0__:", name.as_bytes()), key.clone()));
    of_key.into_iter().chain(of_event)
}

fn joined(prefix: &[u8], name: &[u8]) -> Bytes {
    [prefix, name].concat().into()
}

/// The class of an event and its name, in Redis's words; none of what Redis tells nobody.
fn described(event: &Event) -> Option<(u8, &'static str)> {
    Some(match event {
        Event::Added { .. } => (b't', "xadd"),
        Event::Trimmed { .. } => (b't', "xtrim"),
        Event::Deleted { .. } => (b't', "xdel"),
        Event::IdSet { .. } => (b't', "xsetid"),
        Event::GroupCreated { .. } => (b't', "xgroup-create"),
        Event::GroupMoved { .. } => (b't', "xgroup-setid"),
        Event::GroupDestroyed { .. } => (b't', "xgroup-destroy"),
        Event::ConsumerCreated { .. } => (b't', "xgroup-createconsumer"),
        Event::ConsumerDeleted { .. } => (b't', "xgroup-delconsumer"),
        Event::Removed { .. } => (b'g', "del"),
        Event::Expired { .. } => (b'x', "expired"),
        Event::RenamedFrom { .. } => (b'g', "rename_from"),
        Event::RenamedTo { .. } => (b'g', "rename_to"),
        Event::Copied { .. } => (b'g', "copy_to"),
        Event::ExpirySet { .. } => (b'g', "expire"),
        Event::Persisted { .. } => (b'g', "persist"),
        Event::Released { .. } | Event::Flushed { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_shown_as_they_were_set() {
        for (set, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Kt", "tK"),
            ("tE$", "$tE"),
            ("AKEn", "AnKE"),
            ("g$lshzxetdK", "AK"),
            ("AA", "A"),
        ] {
            let classes = Classes::parse(set.as_bytes()).expect(set);
            assert_eq!(classes.text(), shown, "{set}");
            assert_eq!(Classes::from_bits(classes.bits()), classes);
        }
        assert_eq!(Classes::parse(b"KEy"), None);
    }

    #[test]
    fn an_event_becomes_a_message_for_each_channel_that_is_asked_for() {
        let event = Event::Added { key: "s".into(), id: streams::id::EntryId::MIN };
        let told = |classes: &str| -> Vec<(Bytes, Bytes)> {
            messages(Classes::parse(classes.as_bytes()).unwrap(), &event).collect()
        };
        let of_key = (Bytes::from("__keyspace@0__:s"), Bytes::from("xadd"));
        let of_event = (Bytes::from("__keyevent@0__:xadd"), Bytes::from("s"));
        assert_eq!(told("Kt"), vec![of_key.clone()]);
        assert_eq!(told("Et"), vec![of_event.clone()]);
        assert_eq!(told("KEA"), vec![of_key, of_event]);
        // Neither a channel nor a class alone is enough.
        assert!(told("t").is_empty() && told("KEg").is_empty() && told("").is_empty());
    }
}
