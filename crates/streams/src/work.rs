//! Counts what a call goes through, so that tests can say what a command may cost without asking a
//! clock. Outside of tests it is nothing, and never part of what a call does.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// One entry of a block, one item of a list or one command was looked at.
#[inline]
pub(crate) fn step() {
    #[cfg(test)]
    STEPS.with(|steps| steps.set(steps.get() + 1));
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::STEPS;
    use crate::block::Blocks;
    use crate::command::{
        Add, AddId, AutoClaim, Claim, Command, GroupStart, Keep, Nack, NackMode, ReadFrom,
        ReadGroup, References, Stamp, Step, Transaction, Trim,
    };
    use crate::error::Fault;
    use crate::id::EntryId;
    use crate::query::Query;
    use crate::reply::{EntryRef, Reply};
    use crate::state::State;

    const KEY: Bytes = Bytes::from_static(b"s");

    fn id(number: u64) -> EntryId {
        EntryId::new(number, 0)
    }

    fn ids(count: u64) -> Vec<EntryId> {
        (1..=count).map(id).collect()
    }

    fn group(number: u64) -> Bytes {
        Bytes::from(format!("g{number}"))
    }

    fn add(id: AddId) -> Command {
        let fields = vec![Bytes::from("f"), Bytes::from("v")];
        Command::Add(Add { key: KEY, id, fields, must_exist: false, trim: None, once: None })
    }

    fn create(number: u64) -> Command {
        let (group, start) = (group(number), GroupStart::After(EntryId::MIN));
        Command::GroupCreate { key: KEY, group, start, make_stream: true, entries_read: None }
    }

    fn read(number: u64, count: u64) -> Command {
        let streams = vec![(KEY, ReadFrom::New)];
        let (group, consumer) = (group(number), Bytes::from("c"));
        Command::ReadGroup(ReadGroup { group, consumer, count, streams, ..ReadGroup::default() })
    }

    /// A stream of so many entries, all pending for each of so many groups.
    fn state(entries: u64, groups: u64) -> State {
        let mut state = State::new();
        for number in 1..=entries {
            apply(&mut state, &add(AddId::Exact(id(number))));
        }
        for number in 0..groups {
            apply(&mut state, &create(number));
            apply(&mut state, &read(number, 0));
        }
        state
    }

    /// Nothing was stored, so all blocks are in the state.
    fn apply(state: &mut State, command: &Command) -> Reply<EntryRef> {
        let fetch = |needs: Vec<_>| {
            assert!(needs.is_empty(), "a block is not there");
            Ok::<_, Fault>(Blocks::new())
        };
        let applied = state.apply_steps(Stamp { now_ms: 1 }, command, fetch).unwrap();
        assert!(!matches!(applied.reply, Reply::Refused(_)), "{command:?}: {:?}", applied.reply);
        applied.reply
    }

    fn counted<T>(run: impl FnOnce() -> T) -> u64 {
        STEPS.with(|steps| steps.set(0));
        run();
        STEPS.with(std::cell::Cell::get)
    }

    /// What a command goes through.
    fn steps(mut state: State, command: &Command) -> u64 {
        counted(|| apply(&mut state, command))
    }

    fn claim(ids: Vec<EntryId>) -> Command {
        Command::Claim(Claim {
            key: KEY,
            group: group(0),
            consumer: Bytes::from("other"),
            min_idle_ms: 0,
            ids,
            delivered: None,
            deliveries: None,
            force: false,
            just_id: false,
            last_id: None,
        })
    }

    fn auto_claim(count: u64) -> Command {
        let (start, consumer) = (EntryId::MIN, Bytes::from("other"));
        let (min_idle_ms, just_id) = (0, false);
        let group = group(0);
        Command::AutoClaim(AutoClaim {
            key: KEY,
            group,
            consumer,
            min_idle_ms,
            start,
            count,
            just_id,
        })
    }

    fn nack(ids: Vec<EntryId>) -> Command {
        let (group, mode) = (group(0), NackMode::Fail);
        Command::Nack(Nack { key: KEY, group, mode, ids, deliveries: None, force: false })
    }

    fn trim(newest: u64, references: References) -> Command {
        let keep = Keep::Newest(newest);
        let trim = Trim { keep, approximate: false, limit: None, references };
        Command::Trim { key: KEY, trim }
    }

    fn set_id(last_id: EntryId) -> Command {
        Command::SetId { key: KEY, last_id, entries_added: None, max_deleted_id: None }
    }

    /// Commands that name or reach so many entries, all pending for so many groups.
    fn of_entries(count: u64) -> Vec<Command> {
        let delete = |references| Command::DeleteWith { key: KEY, ids: ids(count), references };
        let ack_delete = |references| {
            let (group, ids) = (group(0), ids(count));
            Command::AckDelete { key: KEY, group, ids, references }
        };
        vec![
            Command::Ack { key: KEY, group: group(0), ids: ids(count) },
            nack(ids(count)),
            claim(ids(count)),
            auto_claim(count),
            Command::Delete { key: KEY, ids: ids(count) },
            delete(References::Keep),
            delete(References::Delete),
            delete(References::Acked),
            ack_delete(References::Keep),
            ack_delete(References::Delete),
            ack_delete(References::Acked),
            trim(0, References::Keep),
            trim(0, References::Delete),
            trim(0, References::Acked),
            Command::ConsumerDelete { key: KEY, group: group(0), consumer: Bytes::from("c") },
            Command::GroupDestroy { key: KEY, group: group(0) },
            Command::Copy { key: KEY, to: Bytes::from("copy"), replace: true },
            Command::Remove { keys: vec![KEY] },
            create(1_000),
        ]
    }

    fn shown(command: &Command) -> String {
        format!("{command:?}").chars().take(120).collect()
    }

    /// Four times as much may cost four times as much, and a little.
    fn assert_linear(what: &str, little: u64, much: u64) {
        assert!(
            much <= little * 5 + 200,
            "{what}: {little} steps, and {much} of four times as much"
        );
    }

    #[test]
    fn a_command_costs_what_the_entries_that_it_reaches_cost() {
        for (little, much) in of_entries(400).iter().zip(&of_entries(1_600)) {
            let few = steps(state(400, 2), little);
            assert_linear(&shown(little), few, steps(state(1_600, 2), much));
        }
    }

    #[test]
    fn a_command_costs_what_the_groups_that_it_reaches_cost() {
        for command in of_entries(150) {
            let few = steps(state(150, 8), &command);
            assert_linear(&shown(&command), few, steps(state(150, 32), &command));
        }
    }

    #[test]
    fn what_a_command_does_not_reach_costs_it_nothing() {
        let commands = [
            add(AddId::Auto),
            Command::Ack { key: KEY, group: group(0), ids: ids(1) },
            nack(ids(1)),
            claim(ids(1)),
            auto_claim(1),
            Command::Delete { key: KEY, ids: ids(1) },
            Command::DeleteWith { key: KEY, ids: ids(1), references: References::Delete },
            trim(u64::MAX, References::Keep),
            create(1_000),
            read(0, 1),
            Command::GroupDestroy { key: KEY, group: group(0) },
            set_id(id(1_000_000)),
        ];
        for command in commands {
            let (small, large) = (steps(state(400, 1), &command), steps(state(6_400, 1), &command));
            assert!(large <= small + 50, "{}: {small} steps, and {large}", shown(&command));
        }
    }

    #[test]
    fn moving_a_stream_back_looks_at_no_pending_entry_where_none_is_gone() {
        let back = |entries: u64| {
            let mut state = state(entries, 1);
            apply(&mut state, &set_id(id(1_000_000)));
            steps(state, &set_id(id(999_999)))
        };
        assert_eq!(back(400), back(6_400));
    }

    #[test]
    fn a_transaction_costs_what_its_steps_cost() {
        let range = Query::Range {
            key: KEY,
            start: EntryId::MIN,
            end: EntryId::MAX,
            count: Some(1),
            reverse: false,
        };
        let many = |count| {
            let steps = vec![Step::Query(range.clone()); count];
            Command::Transaction(Transaction { watched: Vec::new(), steps })
        };
        let few = steps(state(10, 1), &many(100));
        assert_linear("a transaction", few, steps(state(10, 1), &many(400)));
    }

    #[test]
    fn putting_entries_into_a_reply_goes_through_each_block_once() {
        // Sealed blocks, and an open one at the end.
        let state = state(250, 0);
        for reverse in [false, true] {
            let query = Query::Range {
                key: KEY,
                start: EntryId::MIN,
                end: EntryId::MAX,
                count: None,
                reverse,
            };
            let reply = state.answer(&Blocks::new(), Stamp::default(), &query).unwrap();
            let taken = counted(|| {
                let reply = state.resolve(&Blocks::new(), reply).unwrap();
                let Reply::Entries(entries) = reply else { panic!("{reply:?}") };
                assert_eq!(entries.len(), 250);
                assert!(entries.iter().all(|entry| entry.fields.is_some()));
            });
            // Besides the entries, where each block is.
            assert!(taken <= 300, "{taken} steps");
        }
    }
}
