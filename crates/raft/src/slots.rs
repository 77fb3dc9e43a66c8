//! Which keys a shard answers for. Routing is a hint: whoever sends a call may be behind, so the
//! shard's leader looks again before anything enters the log. What it refuses is in the log as a
//! command that does nothing, so that every replica, and a replay under another map, agrees.

use base::ShardId;
use bytes::Bytes;
use streams::Run;
use streams::command::Command;
use topology::ShardMap;

/// The slots of one shard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    pub(crate) shard: ShardId,
    pub(crate) map: ShardMap,
}

impl Slots {
    /// Whether all of these keys are the shard's.
    pub(crate) fn own<'a>(&self, mut keys: impl Iterator<Item = &'a Bytes>) -> bool {
        keys.all(|key| self.map.shard_of(key) == self.shard)
    }

    /// The run as it is to enter the log.
    pub(crate) fn run(&self, run: &Run) -> Run {
        let settled = |command: &Command| match self.own(command.keys()) {
            true => command.clone(),
            false => Command::Misplaced,
        };
        let commands = run.commands.iter().map(settled).collect();
        Run {
            origin: run.origin,
            first: run.first,
            lowest_unanswered: run.lowest_unanswered,
            commands,
        }
    }
}

#[cfg(test)]
mod tests {
    use streams::Origin;
    use streams::command::{ReadFrom, ReadGroup};

    use super::*;

    #[test]
    fn a_command_with_any_key_of_another_shard_is_refused_under_its_number() {
        let map = ShardMap::new(2).unwrap();
        let name = |shard: u16, nth: usize| {
            let names = (0..).map(|number| Bytes::from(format!("key-{number}")));
            names.filter(|key| map.shard_of(key) == ShardId(shard)).nth(nth).unwrap()
        };
        let remove = |keys: [Bytes; 2]| Command::Remove { keys: keys.into() };
        let read = |keys: [Bytes; 2]| {
            let (group, consumer) = (Bytes::from_static(b"g"), Bytes::from_static(b"c"));
            let streams = keys.map(|key| (key, ReadFrom::New)).into();
            Command::ReadGroup(ReadGroup {
                group,
                consumer,
                count: 1,
                streams,
                ..ReadGroup::default()
            })
        };
        let (ours, mixed) = ([name(1, 0), name(1, 1)], [name(1, 0), name(0, 0)]);
        let commands = vec![
            remove(ours.clone()),
            remove(mixed.clone()),
            Command::Void,
            read(mixed),
            read(ours.clone()),
        ];
        let run = Run { origin: Origin::default(), first: 7, lowest_unanswered: 5, commands };
        let settled = Slots { shard: ShardId(1), map }.run(&run);
        let misplaced = Command::Misplaced;
        let expected =
            [remove(ours.clone()), misplaced.clone(), Command::Void, misplaced, read(ours)];
        assert_eq!(settled.commands, expected);
        assert_eq!((settled.first, settled.lowest_unanswered), (7, 5));
    }
}
