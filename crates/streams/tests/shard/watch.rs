//! WATCH never lies: a transaction runs only where what it watches is as it was, whatever came in
//! between, and through any restart.

use base::{Entropy, SeededEntropy};
use bytes::Bytes;
use streams::command::{Command, Stamp, Step, Transaction};
use streams::query::Query;
use streams::reply::{Entry, Reply};

use super::random::Script;
use super::sequences::Step as Done;
use super::stored::Stored;

fn key() -> Bytes {
    Bytes::from_static(b"s")
}

/// Everything that can be asked about the key, but for what is remembered of producers: the time
/// that passes changes that, and no command.
fn contents(shard: &Stored, stamp: Stamp) -> [Reply<Entry>; 2] {
    let full = Query::StreamFull { key: key(), count: 0 };
    let time = Query::Lifetime { key: key(), absolute: true, in_ms: true };
    let mut description = shard.answer(stamp, &full);
    if let Reply::StreamFull(info) = &mut description {
        info.summary.idempotence = None;
    }
    [description, shard.answer(stamp, &time)]
}

#[test]
fn a_transaction_runs_only_where_what_it_watches_is_unchanged() {
    let random = SeededEntropy::new(3);
    let (mut ran, mut failed, mut spared) = (0, 0, 0);
    for seed in 0..150 {
        let mut shard = Stored::default();
        let mut watched = None;
        for step in Script::new(seed).steps() {
            let Done::Command(now_ms, command) = step else { continue };
            let stamp = Stamp { now_ms };
            let names = command.keys().any(|named| *named == key()) || command == Command::Flush;
            let flushes = matches!(&command, Command::Transaction(it)
                if it.steps.contains(&Step::Command(Command::Flush)));
            shard.apply(stamp, &command);
            if random.below(4) == 0 {
                shard.reload();
            }
            let Some((number, before, mut touched)) = watched.take() else {
                let watch = Command::Watch { keys: vec![key()] };
                let Reply::Watched(numbers) = shard.apply(stamp, &watch) else { panic!() };
                watched = Some((numbers[0], contents(&shard, stamp), false));
                continue;
            };
            touched |= names || flushes;
            if random.below(3) > 0 {
                watched = Some((number, before, touched));
                continue;
            }
            let now = contents(&shard, stamp);
            let transaction = Transaction { watched: vec![(key(), number)], steps: Vec::new() };
            match shard.apply(stamp, &Command::Transaction(transaction)) {
                Reply::Nil => {
                    let expired = before[1] != now[1];
                    assert!(touched || expired, "seed {seed}: nobody changed it");
                    failed += 1;
                }
                _ => {
                    assert_eq!(now, before, "seed {seed}");
                    ran += 1;
                    spared += u32::from(!touched);
                }
            }
        }
    }
    assert!(ran > 50 && failed > 50 && spared > 20, "{ran} {failed} {spared}");
}
