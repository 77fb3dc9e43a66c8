//! `weir verify` on the data of a stopped node: whole data is said to be so; a flipped bit in the
//! journal or in the store is found and named, and nothing is changed.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Output;

use tests::cluster::{Cluster, Options, READY_WAIT, run};

/// Said of a store whose newest checkpoints are missing. sled takes a damaged tail of its log for one
/// that was never written, so that a flip may show in nothing else.
const LOST: &str = "the store was at a checkpoint and lost it";

/// What `weir verify` says of a directory: exit code, stdout, stderr.
fn verify(dir: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = run(&["verify", dir.to_str().unwrap()]).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

/// Every file under a directory with its bytes; what verifying may touch is the lock alone.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

/// Flips one bit of what was appended, in so many places; gives the bytes before. A store keeps
/// old copies, in which it does no harm: there every copy is to be hit.
fn flip(file: &Path, places_max: usize) -> Vec<u8> {
    let whole = std::fs::read(file).unwrap();
    let mut bytes = whole.clone();
    let places = bytes.chunks_mut(512).filter(|chunk| chunk.starts_with(b"xxxxxxxx"));
    places.take(places_max).for_each(|chunk| chunk[0] ^= 0x10);
    assert!(bytes != whole, "nothing that was appended is there");
    std::fs::write(file, bytes).unwrap();
    whole
}

#[test]
fn verify_finds_a_flipped_bit_in_journal_and_store_and_changes_nothing() {
    let extra = "[checkpoint]\ndirty_bytes = \"64KiB\"\n".to_owned();
    let options = Options { shards: 2, extra, ..Options::default() };
    let mut cluster = Cluster::start(&options).unwrap();
    let mut client = cluster.nodes[0].client().unwrap();
    for number in 0..100 {
        let key = format!("key-{}", number % 10);
        let reply = client.call(&["XADD", &key, "*", "f", &"x".repeat(10_000)]).unwrap();
        assert!(reply.as_error().is_none(), "{reply}");
    }
    let dir = cluster.data_dir(2);
    let (code, _, error) = verify(&dir);
    assert_eq!(code, Some(3), "a node that runs is not verified: {error}");
    assert!(error.contains("locked"), "{error}");
    cluster.stop().unwrap();

    let before = files(&dir);
    let (code, said, error) = verify(&dir);
    assert_eq!((code, error.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("whole: every checksum and every reference"), "{said}");
    assert!(said.contains("shard 1: checkpoint"), "{said}");

    let segment = cluster.segments(2).unwrap().remove(0);
    let whole = flip(&segment, 1);
    let (code, _, error) = verify(&dir);
    assert_eq!(code, Some(2), "{error}");
    let words = format!("{} is damaged at byte ", segment.display());
    assert!(error.starts_with("weir: ") && error.contains(&words), "{error}");
    std::fs::write(&segment, whole).unwrap();

    let db = dir.join("store").join("db");
    let whole = flip(&db, usize::MAX);
    let (code, said, error) = verify(&dir);
    assert_eq!(code, Some(2), "{said}{error}");
    let damaged = said.contains("damaged value in the store of shard")
        || said.contains("store: unreadable")
        || error.contains(LOST);
    assert!(damaged, "{said}{error}");
    std::fs::write(&db, whole).unwrap();

    let aside = dir.with_extension("store");
    std::fs::rename(dir.join("store"), &aside).unwrap();
    let (code, said, error) = verify(&dir);
    assert!((code, said.contains("store: none yet")) == (Some(2), true), "{said}{error}");
    assert!(error.contains(LOST), "{error}");
    std::fs::rename(&aside, dir.join("store")).unwrap();

    for name in ["witness", "identity"] {
        let aside = dir.with_extension(name);
        std::fs::rename(dir.join(name), &aside).unwrap();
        let (code, said, error) = verify(&dir);
        let words = format!("{} is missing although ", dir.join(name).display());
        assert!(code == Some(2) && error.contains(&words), "{said}{error}");
        std::fs::rename(&aside, dir.join(name)).unwrap();
    }

    assert!(files(&dir) == before, "verifying changed something");
    cluster.nodes.iter_mut().for_each(|node| node.start().unwrap());
    cluster.wait_ready(READY_WAIT).unwrap();
}
