//! What a power cut met, as far as it can be told from outside: by files that changed shortly before and by what the
//! node said. Never asks the node, which is stopped by then.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use base::Clock;
use journal::guard;

/// What changed within this was being written to.
const WITHIN: Duration = Duration::from_millis(100);

/// How many cuts met each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// A cluster that was never ready.
    pub(crate) forming: u64,
    /// A store that was being written to, which checkpoints do, what sweeps after them, and installs.
    pub(crate) checkpoints: u64,
    /// A segment that came, went or got another name.
    pub(crate) segments: u64,
    /// A snapshot that had begun to come in and wasn't installed.
    pub(crate) installs: u64,
}

impl Met {
    /// What one node was about.
    pub(crate) fn look(data: &Path, log: &str) -> Self {
        let since = ago(WITHIN);
        Self {
            forming: 0,
            checkpoints: is_written(&data.join(guard::STORE_DIR), since).into(),
            segments: is_newer(&data.join(guard::JOURNAL_DIR), since).into(),
            installs: is_installing(log).into(),
        }
    }

    /// What is met at several nodes, or twice, is met once.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            forming: self.forming.max(other.forming),
            checkpoints: self.checkpoints.max(other.checkpoints),
            segments: self.segments.max(other.segments),
            installs: self.installs.max(other.installs),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.forming += other.forming;
        self.checkpoints += other.checkpoints;
        self.segments += other.segments;
        self.installs += other.installs;
    }
}

fn ago(length: Duration) -> SystemTime {
    let now = Duration::from_millis(base::SystemClock.wall_ms());
    SystemTime::UNIX_EPOCH + now.saturating_sub(length)
}

fn is_newer(path: &Path, since: SystemTime) -> bool {
    fs::metadata(path).and_then(|found| found.modified()).is_ok_and(|changed| changed >= since)
}

/// Whether a file below was written to.
fn is_written(dir: &Path, since: SystemTime) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| match path.is_dir() {
        true => is_written(&path, since),
        false => is_newer(&path, since),
    })
}

/// Whether a snapshot is on its way in, by what a node has said since its start. One whose sender went away still is
/// until the next one of its shard is there.
pub(crate) fn is_installing(log: &str) -> bool {
    let mut coming = BTreeSet::new();
    for line in log.lines() {
        let shard = |what: &str| {
            let (_, fields) = line.split_once(what)?;
            fields.split(' ').find(|field| field.starts_with("shard="))
        };
        coming.extend(shard("a snapshot begins"));
        if let Some(shard) = shard("a snapshot is installed") {
            coming.remove(shard);
        }
    }
    !coming.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_is_under_way_from_its_first_word_to_its_last() {
        let begins = |shard| format!("T  INFO a snapshot begins shard={shard} from=2 vote=<T3>\n");
        let ends = |shard| format!("T  INFO a snapshot is installed shard={shard} at=Some(3)\n");
        assert!(!is_installing("T  INFO ready\n"));
        assert!(is_installing(&begins("1")));
        assert!(is_installing(&(begins("1") + &begins("meta") + &ends("1"))));
        assert!(!is_installing(&(begins("1") + &begins("1") + &ends("1"))));
    }

    #[test]
    fn what_was_just_written_is_met_and_what_lies_there_is_not() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Met::look(data.path(), ""), Met::default());
        let (journal, store) = (data.path().join("journal"), data.path().join("store"));
        fs::create_dir_all(store.join("blobs")).unwrap();
        fs::create_dir(&journal).unwrap();
        fs::write(store.join("blobs/1"), "x").unwrap();
        let met = Met::look(data.path(), "");
        assert_eq!((met.checkpoints, met.segments, met.installs), (1, 1, 0));

        let old = ago(Duration::from_secs(5));
        for path in [store.join("blobs/1"), journal] {
            fs::File::open(path).unwrap().set_modified(old).unwrap();
        }
        assert_eq!(Met::look(data.path(), ""), Met::default());
    }
}
