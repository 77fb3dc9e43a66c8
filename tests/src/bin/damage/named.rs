//! Whether what is said of damage names it: the file where it is one that a person puts back or replaces a node for,
//! and the store with each shard whose state is hurt, where it is the store. Never whether it is rightly said.

use std::collections::BTreeSet;
use std::path::Path;

use base::ShardId;

use crate::spoil::Target;

/// Said of a store of which nothing can be read: then no shard is told from another.
const WHOLE_STORE: [&str; 3] =
    ["store: unreadable: ", "damaged store: ", "the store is damaged and set aside"];

/// What is missing in the words of `weir verify`, or of a node that ended, about a file of the data directory `dir`.
/// `hurt` are the shards whose state in the store isn't what it was.
pub(crate) fn missing(
    dir: &Path,
    target: &Target,
    hurt: &BTreeSet<ShardId>,
    said: &str,
) -> Option<String> {
    let within = target.path.strip_prefix(dir).unwrap_or(&target.path);
    let is_store = within.starts_with("store");
    let lacks = match target.kind.as_str() {
        "journal segment" => !names_segment(&target.path, said),
        _ if is_store => !names_store(dir, said) && !names_file(&target.path, said),
        _ => !names_file(&target.path, said),
    };
    if lacks {
        return Some(format!("it doesn't name the {}", target.kind));
    }
    let whole = WHOLE_STORE.iter().any(|words| said.contains(words));
    let unnamed = hurt.iter().find(|shard| is_store && !whole && !names_shard(**shard, said));
    unnamed.map(|shard| format!("it doesn't name shard {shard}"))
}

/// A segment that is gone is missed by its number, where it was the newest.
fn names_segment(path: &Path, said: &str) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number: Option<u64> = name.rsplit('-').next().and_then(|digits| digits.parse().ok());
    let newest = number.map(|number| format!("the witness says that segment {number} was synced"));
    let short = newest.is_some_and(|words| said.contains(&words));
    short
        || [" is damaged at byte ", " has format version "]
            .iter()
            .any(|words| of(path, words, said))
}

fn names_file(path: &Path, said: &str) -> bool {
    let words = [" is damaged at byte ", " is missing although ", " has format version "];
    words.iter().any(|words| of(path, words, said))
}

fn of(path: &Path, words: &str, said: &str) -> bool {
    said.contains(&format!("{}{words}", path.display()))
}

/// Never by its directory alone, which a node names whenever it opens it.
fn names_store(dir: &Path, said: &str) -> bool {
    let refused = format!("{}: ", dir.join("store").display());
    let words = WHOLE_STORE.iter().chain(&[LOST, VALUE, FETCHED]).any(|words| said.contains(words));
    words || said.contains(&refused)
}

const LOST: &str = "the store was at a checkpoint and lost it";
const VALUE: &str = "damaged value in the store of shard ";

const FETCHED: &str = "a store is damaged: a peer's checkpoint is fetched shard=";

/// In a line about damage: in the words of `weir verify`, of a node that ends, or of a node's log.
fn names_shard(shard: ShardId, said: &str) -> bool {
    let lost = format!("shard {shard}: {LOST}");
    let value = format!("{VALUE}{shard},");
    let fetched = format!("{FETCHED}{shard} ");
    [lost, value, fetched].iter().any(|words| said.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(file: &str, kind: &str, hurt: &[ShardId], said: &str) -> Option<String> {
        let dir = Path::new("/data");
        let target = Target { path: dir.join(file), kind: kind.to_owned() };
        missing(dir, &target, &hurt.iter().copied().collect(), said)
    }

    #[test]
    fn words_about_something_else_name_no_damage() {
        let counted = "journal: 3 segments, 7 batches, 9 records, 4 shards, 0 batches perhaps unsynced\n\
                       store: shard 1: checkpoint 4, 9 parts, 100 bytes, 0 damaged, 0 orphans\n";
        let hurt = [ShardId(1)];
        assert!(lacks("store/db", "store/db", &hurt, counted).is_some());
        assert!(lacks("journal/segment-000000000003", "journal segment", &[], counted).is_some());
        let other = "/data/journal/segment-000000000002 is damaged at byte 8: its header";
        assert!(lacks("journal/segment-000000000003", "journal segment", &[], other).is_some());
        assert!(lacks("witness", "witness", &[], other).is_some());
        assert!(lacks("store/db", "store/db", &[], other).is_some());
        let value = "damaged value in the store of shard 2, key b1: its checksum";
        assert!(lacks("store/db", "store/db", &hurt, value).is_some());
        let opened = "INFO opening the store, which may take a while dir=/data/store bytes=5";
        assert!(lacks("store/db", "store/db", &[], opened).is_some());
        let ended = "weir: /data: damaged value in the store of shard 1";
        assert!(lacks("identity", "identity", &[], ended).is_some());
    }

    #[test]
    fn the_file_or_the_store_with_the_shard_names_damage() {
        let segment = "/data/journal/segment-000000000003 is damaged at byte 8: its header";
        assert_eq!(lacks("journal/segment-000000000003", "journal segment", &[], segment), None);
        let gone = "/data/journal/segment-000000000002 is damaged at byte 0: it is the newest, but the witness \
                    says that segment 3 was synced up to byte 9";
        assert_eq!(lacks("journal/segment-000000000003", "journal segment", &[], gone), None);
        let missing = "/data/witness is missing although /data holds data: put the file back";
        assert_eq!(lacks("witness", "witness", &[], missing), None);
        let hurt = [ShardId(1), ShardId::META];
        let lost = "  damaged value in the store of shard meta, key b1: its checksum\n\
                    shard 1: the store was at a checkpoint and lost it: there is none";
        assert_eq!(lacks("store/db", "store/db", &hurt, lost), None);
        let unreadable = "store: unreadable: sled panicked";
        assert_eq!(lacks("store/conf", "store/conf", &hurt, unreadable), None);
    }
}
