//! What every [`Store`] must do, as one suite to run on each of them. Panics at the first rule that
//! is broken; never looks behind the trait.

use base::ShardId;
use bytes::Bytes;

use crate::api::{CheckpointNumber, Error, Part, Store, Switch};
use crate::limits::{PART_KEY_BYTES_MAX, PUT_PARTS_MAX};

const SHARD: ShardId = ShardId(3);
const OTHER: ShardId = ShardId(4);

/// Runs the whole suite; `make` gives an empty store each time.
pub fn all(make: impl Fn() -> Box<dyn Store>) {
    let rules: &[fn(&dyn Store)] = &[
        starts_empty,
        parts_appear_at_the_switch,
        values_of_every_size,
        keys_in_order_by_prefix_and_page,
        awkward_keys,
        overwriting_and_removing,
        dropping_a_prefix,
        replacing_everything,
        a_pin_holds_its_checkpoint,
        a_pin_outlives_drops_and_replacement,
        numbers_go_up_only,
        abandoned_parts_never_appear,
        staging_beside_checkpoints,
        shards_are_apart,
        forgetting_a_shard,
        a_pin_outlives_forgetting,
        misuse_is_refused,
        big_meta,
        sweeping_changes_nothing_visible,
    ];
    for rule in rules {
        rule(make().as_ref());
    }
}

fn part(key: &[u8], value: impl Into<Bytes>) -> Part {
    Part { key: Bytes::copy_from_slice(key), value: value.into() }
}

fn put(store: &dyn Store, number: u64, key: &[u8], value: &[u8]) {
    let parts = [part(key, value.to_vec())];
    store.put(SHARD, CheckpointNumber(number), &parts).expect("a put is taken");
}

fn switch(store: &dyn Store, number: u64, removed: &[&[u8]], dropped: &[&[u8]]) {
    let own = |keys: &[&[u8]]| keys.iter().map(|key| Bytes::copy_from_slice(key)).collect();
    let switch = Switch {
        number: CheckpointNumber(number),
        meta: Bytes::from(format!("meta {number}")),
        removed: own(removed),
        dropped_prefixes: own(dropped),
    };
    store.switch(SHARD, switch).expect("a switch is taken");
}

fn get(store: &dyn Store, key: &[u8]) -> Option<Bytes> {
    store.get(SHARD, key).expect("a part can be read")
}

fn keys(store: &dyn Store, prefix: &[u8]) -> Vec<Bytes> {
    store.keys(SHARD, prefix, None, usize::MAX).expect("keys can be read")
}

fn sweep_all(store: &dyn Store) {
    for _ in 0..100_000 {
        if !store.sweep(SHARD).expect("sweeping works") {
            return;
        }
    }
    panic!("sweeping never ends");
}

fn refused(result: Result<(), Error>) {
    assert!(matches!(result, Err(Error::Misuse(_))), "must be refused as misuse: {result:?}");
}

fn starts_empty(store: &dyn Store) {
    assert_eq!(store.root(SHARD).expect("readable"), None);
    assert_eq!(get(store, b"a"), None);
    assert!(keys(store, b"").is_empty());
    assert!(store.pin(SHARD).expect("readable").is_none());
    assert!(!store.sweep(SHARD).expect("nothing to sweep"));
}

fn parts_appear_at_the_switch(store: &dyn Store) {
    put(store, 1, b"a", b"one");
    put(store, 1, b"b", b"two");
    assert_eq!(get(store, b"a"), None);
    assert!(keys(store, b"").is_empty());
    assert_eq!(store.root(SHARD).expect("readable"), None);
    switch(store, 1, &[], &[]);
    let root = store.root(SHARD).expect("readable").expect("switched");
    assert_eq!((root.number, root.meta), (CheckpointNumber(1), Bytes::from("meta 1")));
    assert_eq!(get(store, b"a").expect("put"), "one");
    assert_eq!(keys(store, b""), ["a", "b"]);
    put(store, 2, b"a", b"three");
    assert_eq!(get(store, b"a").expect("put"), "one", "ahead of the switch the old one stands");
    switch(store, 2, &[], &[]);
    assert_eq!(get(store, b"a").expect("put"), "three");
    assert_eq!(get(store, b"b").expect("put"), "two");
}

fn values_of_every_size(store: &dyn Store) {
    let sizes = [0, 1, 511, 512, 513, 4096, 5_994, 5_995, 5_996, 6_000, 12_000, 65_536, 1 << 20];
    for (at, size) in sizes.into_iter().enumerate() {
        let value: Vec<u8> = (0..size).map(|i| (i * 31 + at) as u8).collect();
        put(store, 1, format!("{size}").as_bytes(), &value);
    }
    switch(store, 1, &[], &[]);
    for (at, size) in sizes.into_iter().enumerate() {
        let value = get(store, format!("{size}").as_bytes()).expect("put");
        assert_eq!(value.len(), size);
        assert!(value.iter().enumerate().all(|(i, byte)| *byte == (i * 31 + at) as u8));
    }
}

fn keys_in_order_by_prefix_and_page(store: &dyn Store) {
    for number in 0..100u8 {
        put(store, 1, &[b'k', number % 4, number], &[number]);
    }
    switch(store, 1, &[], &[]);
    let all = keys(store, b"k");
    assert_eq!(all.len(), 100);
    assert!(all.is_sorted());
    assert_eq!(keys(store, &[b'k', 2]).len(), 25);
    assert!(keys(store, b"l").is_empty());
    let mut paged: Vec<Bytes> = Vec::new();
    loop {
        let after = paged.last().cloned();
        let page = store.keys(SHARD, b"k", after.as_deref(), 7).expect("readable");
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 7);
        paged.extend(page);
    }
    assert_eq!(paged, all);
    assert!(store.keys(SHARD, b"k", None, 0).expect("readable").is_empty());
    let before = store.keys(SHARD, b"k", Some(b"a"), 1).expect("readable");
    assert_eq!(before, [all[0].clone()], "a start before the prefix is the prefix");
    assert!(store.keys(SHARD, b"k", Some(b"z"), 1).expect("readable").is_empty());
}

fn awkward_keys(store: &dyn Store) {
    let longest = [0u8; PART_KEY_BYTES_MAX];
    let awkward: &[&[u8]] = &[
        b"",
        b"\0",
        b"\0\0",
        b"\0\0\0",
        b"\0\x01",
        b"\0\xff",
        b"a",
        b"a\0",
        b"a\0\0",
        b"a\0\xff",
        b"a\x01",
        b"ab",
        b"a\xff",
        b"\xff",
        b"\xff\0",
        b"\xff\xff",
        &longest,
    ];
    for key in awkward {
        put(store, 1, key, key);
    }
    switch(store, 1, &[], &[]);
    let mut sorted: Vec<&[u8]> = awkward.to_vec();
    sorted.sort_unstable();
    assert_eq!(keys(store, b""), sorted);
    for key in awkward {
        assert_eq!(get(store, key).expect("put"), *key);
        let under: Vec<_> = sorted.iter().filter(|other| other.starts_with(key)).collect();
        assert_eq!(keys(store, key).len(), under.len(), "under {key:?}");
        let later: Vec<_> = sorted.iter().filter(|other| *other > key).collect();
        let page = store.keys(SHARD, b"", Some(key), usize::MAX).expect("readable");
        assert_eq!(page.len(), later.len(), "after {key:?}");
    }
}

fn overwriting_and_removing(store: &dyn Store) {
    for number in 1..=20u64 {
        put(store, number, b"same", &number.to_be_bytes());
        put(store, number, format!("own {number:02}").as_bytes(), b"x");
        let gone = format!("own {:02}", number - 1);
        switch(store, number, &[gone.as_bytes(), b"never there"], &[]);
        assert_eq!(keys(store, b""), [format!("own {number:02}"), "same".to_owned()]);
        if number % 3 == 0 {
            sweep_all(store);
        }
        assert_eq!(get(store, b"same").expect("put"), number.to_be_bytes()[..]);
        assert_eq!(get(store, gone.as_bytes()), None);
    }
    put(store, 21, b"own 05", b"back");
    switch(store, 21, &[], &[]);
    sweep_all(store);
    assert_eq!(get(store, b"own 05").expect("put again"), "back");
}

fn dropping_a_prefix(store: &dyn Store) {
    for number in 0..200u8 {
        put(store, 1, &[b's', number % 2, number], &[1]);
    }
    switch(store, 1, &[], &[]);
    put(store, 2, &[b's', 0, 250], &[2]);
    switch(store, 2, &[], &[&[b's', 0], b"none"]);
    for swept in [false, true] {
        if swept {
            sweep_all(store);
        }
        assert_eq!(keys(store, b"s").len(), 101, "swept: {swept}");
        assert_eq!(keys(store, &[b's', 0]), [vec![b's', 0, 250]]);
        assert_eq!(get(store, &[b's', 0, 4]), None);
        assert_eq!(get(store, &[b's', 1, 5]).expect("kept"), [1][..]);
    }
    put(store, 3, &[b's', 0, 4], &[3]);
    switch(store, 3, &[], &[]);
    assert_eq!(get(store, &[b's', 0, 4]).expect("put again"), [3][..]);
}

fn replacing_everything(store: &dyn Store) {
    for number in 0..50u8 {
        put(store, 1, &[b'o', number], &[1]);
    }
    switch(store, 1, &[], &[]);
    for number in 40..60u8 {
        put(store, 7, &[b'o', number], &[7]);
    }
    store.replace(SHARD, CheckpointNumber(7), Bytes::from("new")).expect("replaced");
    for swept in [false, true] {
        if swept {
            sweep_all(store);
        }
        let root = store.root(SHARD).expect("readable").expect("there");
        assert_eq!((root.number, root.meta), (CheckpointNumber(7), Bytes::from("new")));
        let expected: Vec<Vec<u8>> = (40..60).map(|number| vec![b'o', number]).collect();
        assert_eq!(keys(store, b""), expected, "swept: {swept}");
        assert_eq!(get(store, b"o\x01"), None);
        assert_eq!(get(store, &[b'o', 45]).expect("put"), [7][..]);
    }
}

fn a_pin_holds_its_checkpoint(store: &dyn Store) {
    let big = vec![5u8; 40_000];
    put(store, 1, b"a", &big);
    put(store, 1, b"b", b"one");
    switch(store, 1, &[], &[]);
    let pin = store.pin(SHARD).expect("readable").expect("a checkpoint");
    put(store, 2, b"a", b"two");
    put(store, 2, b"c", b"two");
    switch(store, 2, &[b"b"], &[]);
    put(store, 3, b"b", b"three");
    switch(store, 3, &[b"a"], &[]);
    sweep_all(store);
    let later = store.pin(SHARD).expect("readable").expect("a checkpoint");
    assert_eq!(pin.root().number, CheckpointNumber(1));
    assert_eq!(pin.keys(None, 9).expect("readable"), ["a", "b"]);
    assert_eq!(pin.keys(Some(b"a"), 9).expect("readable"), ["b"]);
    assert_eq!(pin.get(b"a").expect("readable").expect("pinned"), big);
    assert_eq!(pin.get(b"b").expect("readable").expect("pinned"), "one");
    assert_eq!(pin.get(b"c").expect("readable"), None);
    drop(pin);
    sweep_all(store);
    assert_eq!(later.keys(None, 9).expect("readable"), ["b", "c"]);
    assert_eq!(later.get(b"b").expect("readable").expect("pinned"), "three");
    assert_eq!(get(store, b"a"), None);
}

fn a_pin_outlives_drops_and_replacement(store: &dyn Store) {
    put(store, 1, b"xa", b"1");
    put(store, 1, b"ya", b"1");
    switch(store, 1, &[], &[]);
    let first = store.pin(SHARD).expect("readable").expect("a checkpoint");
    switch(store, 2, &[], &[b"x"]);
    let second = store.pin(SHARD).expect("readable").expect("a checkpoint");
    put(store, 3, b"z", b"3");
    store.replace(SHARD, CheckpointNumber(3), Bytes::new()).expect("replaced");
    sweep_all(store);
    assert_eq!(first.keys(None, 9).expect("readable"), ["xa", "ya"]);
    assert_eq!(first.get(b"xa").expect("readable").expect("pinned"), "1");
    assert_eq!(second.keys(None, 9).expect("readable"), ["ya"]);
    assert_eq!(second.get(b"xa").expect("readable"), None);
    drop(first);
    sweep_all(store);
    assert_eq!(second.get(b"ya").expect("readable").expect("pinned"), "1");
    drop(second);
    sweep_all(store);
    assert_eq!(keys(store, b""), ["z"]);
}

fn numbers_go_up_only(store: &dyn Store) {
    switch(store, 5, &[], &[]);
    for number in [0, 4, 5] {
        let number = CheckpointNumber(number);
        refused(store.switch(SHARD, Switch { number, ..Switch::default() }));
        refused(store.replace(SHARD, number, Bytes::new()));
        refused(store.put(SHARD, number, &[part(b"a", "a")]));
    }
    assert_eq!(store.root(SHARD).expect("readable").expect("there").meta, "meta 5");
}

fn abandoned_parts_never_appear(store: &dyn Store) {
    put(store, 1, b"a", b"old");
    put(store, 1, b"b", b"old");
    store.abandon(SHARD, CheckpointNumber(1)).expect("abandoned");
    put(store, 1, b"b", b"new");
    switch(store, 1, &[], &[]);
    for _ in 0..2 {
        assert_eq!(keys(store, b""), ["b"]);
        assert_eq!(get(store, b"a"), None);
        assert_eq!(get(store, b"b").expect("put"), "new");
        sweep_all(store);
    }
}

fn staging_beside_checkpoints(store: &dyn Store) {
    put(store, 100, b"staged", b"100");
    put(store, 1, b"a", b"1");
    switch(store, 1, &[], &[]);
    put(store, 100, b"more", b"100");
    put(store, 3, b"late", b"3");
    put(store, 2, b"a", b"2");
    switch(store, 2, &[], &[]);
    sweep_all(store);
    assert_eq!(keys(store, b""), ["a"]);
    switch(store, 4, &[], &[]);
    sweep_all(store);
    assert_eq!(keys(store, b""), ["a"], "a number that was passed over never appears");
    store.replace(SHARD, CheckpointNumber(100), Bytes::new()).expect("replaced");
    assert_eq!(keys(store, b""), ["more", "staged"]);
    sweep_all(store);
    assert_eq!(get(store, b"staged").expect("put"), "100");
}

fn shards_are_apart(store: &dyn Store) {
    put(store, 1, b"a", b"mine");
    switch(store, 1, &[], &[]);
    for shard in [OTHER, ShardId::META] {
        assert_eq!(store.root(shard).expect("readable"), None);
        assert_eq!(store.get(shard, b"a").expect("readable"), None);
        store.put(shard, CheckpointNumber(1), &[part(b"a", "theirs")]).expect("a put is taken");
        let number = CheckpointNumber(1);
        store.switch(shard, Switch { number, ..Switch::default() }).expect("a switch is taken");
        assert_eq!(store.get(shard, b"a").expect("readable").expect("put"), "theirs");
    }
    assert_eq!(get(store, b"a").expect("put"), "mine");
}

fn forgetting_a_shard(store: &dyn Store) {
    put(store, 9, b"a", b"old");
    switch(store, 9, &[], &[]);
    put(store, 10, b"b", b"old");
    store.forget(SHARD).expect("forgotten");
    assert_eq!(store.root(SHARD).expect("readable"), None);
    assert!(keys(store, b"").is_empty());
    put(store, 2, b"c", b"new");
    store.replace(SHARD, CheckpointNumber(2), Bytes::new()).expect("replaced");
    sweep_all(store);
    assert_eq!(keys(store, b""), ["c"]);
}

fn a_pin_outlives_forgetting(store: &dyn Store) {
    put(store, 1, b"a", &[1; 9_000]);
    switch(store, 1, &[], &[]);
    let pin = store.pin(SHARD).expect("readable").expect("a checkpoint");
    store.forget(SHARD).expect("forgotten");
    put(store, 1, b"b", b"new");
    store.replace(SHARD, CheckpointNumber(1), Bytes::new()).expect("replaced");
    sweep_all(store);
    assert_eq!(pin.keys(None, 9).expect("readable"), ["a"]);
    assert_eq!(pin.get(b"a").expect("readable").expect("pinned"), [1; 9_000][..]);
    drop(pin);
    sweep_all(store);
    assert_eq!(keys(store, b""), ["b"]);
}

fn misuse_is_refused(store: &dyn Store) {
    let one = CheckpointNumber(1);
    let many: Vec<Part> = (0..=PUT_PARTS_MAX).map(|at| part(&[at as u8], "x")).collect();
    refused(store.put(SHARD, one, &many));
    refused(store.put(SHARD, one, &[part(&[1; PART_KEY_BYTES_MAX + 1], "x")]));
    let removed = vec![Bytes::from(vec![1; PART_KEY_BYTES_MAX + 1])];
    refused(store.switch(SHARD, Switch { number: one, removed, ..Switch::default() }));
    put(store, 1, b"a", b"1");
    refused(store.put(SHARD, one, &[part(b"a", "2")]));
    let removed = vec![Bytes::from("a")];
    refused(store.switch(SHARD, Switch { number: one, removed, ..Switch::default() }));
}

fn big_meta(store: &dyn Store) {
    let number = CheckpointNumber(1);
    let meta = Bytes::from(vec![9u8; 100_000]);
    let switch = Switch { number, meta: meta.clone(), ..Switch::default() };
    store.switch(SHARD, switch).expect("a switch is taken");
    assert_eq!(store.root(SHARD).expect("readable").expect("there").meta, meta);
}

fn sweeping_changes_nothing_visible(store: &dyn Store) {
    for number in 1..=30u64 {
        for key in 0..40u64 {
            if (key * 7 + number) % 5 == 0 {
                put(store, number, format!("{key:02}").as_bytes(), &number.to_be_bytes());
            }
        }
        let removed = format!("{:02}", (number * 3 + 1) % 40);
        let written = ((number * 3 + 1) % 40 * 7 + number).is_multiple_of(5);
        let removed: &[&[u8]] = if written { &[] } else { &[removed.as_bytes()] };
        switch(store, number, removed, &[]);
        let before: Vec<_> = keys(store, b"").into_iter().map(|key| get(store, &key)).collect();
        sweep_all(store);
        let after: Vec<_> = keys(store, b"").into_iter().map(|key| get(store, &key)).collect();
        assert_eq!(before, after);
        assert!(after.iter().all(Option::is_some));
    }
}
