//! What can happen to a file at rest, by kind of file, and how it is undone. Never touches a file that a process has
//! open.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base::{Entropy, SeededEntropy};

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Damage {
    /// One bit is another.
    Flip,
    /// The end is gone.
    Truncate,
    /// The file is what it was some time ago.
    Old,
    /// There is no file.
    Gone,
}

pub(crate) const DAMAGES: [Damage; 4] = [Damage::Flip, Damage::Truncate, Damage::Old, Damage::Gone];

/// A file of a data directory.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: PathBuf,
    /// What kind of file it is, as the verdict names it.
    pub(crate) kind: String,
}

/// A file that was damaged, and what it was.
pub(crate) struct Spoilt {
    pub(crate) target: Target,
    pub(crate) damage: Damage,
    whole: Vec<u8>,
    at: u64,
}

impl fmt::Display for Spoilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, damage, whole, at } = self;
        write!(f, "{damage:?} at {at} of {} in {}", whole.len(), target.path.display())
    }
}

impl Spoilt {
    /// Of which nothing is asked but its kind.
    #[cfg(test)]
    pub(crate) fn of_kind(kind: &str) -> Self {
        let target = Target { path: PathBuf::from(kind), kind: kind.to_owned() };
        Self { target, damage: Damage::Flip, whole: Vec::new(), at: 0 }
    }

    /// Puts back what it was.
    pub(crate) fn undo(&self) -> Result<()> {
        fs::write(&self.target.path, &self.whole).context("a damaged file that is put back")
    }
}

/// Every file below a data directory, in order, but for those that hold nothing.
pub(crate) fn files(dir: &Path) -> Result<Vec<Target>> {
    let mut paths = Vec::new();
    list(dir, &mut paths)?;
    paths.sort();
    let target = |path: PathBuf| {
        let kind = kind(path.strip_prefix(dir).unwrap_or(&path));
        Target { path, kind }
    };
    Ok(paths.into_iter().map(target).filter(|target| target.kind != "lock").collect())
}

fn list(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn kind(within: &Path) -> String {
    let text = within.display().to_string();
    match text.split('/').collect::<Vec<_>>().as_slice() {
        ["journal", _] => "journal segment".to_owned(),
        ["store", file] if file.starts_with("snap.") => "store/snap".to_owned(),
        ["store", "blobs", _] => "store/blob".to_owned(),
        _ => text,
    }
}

/// The files of one kind after the other, each kind as often as the next, the two that hold
/// nearly everything more often.
pub(crate) fn choose<'a>(files: &'a [Target], entropy: &SeededEntropy) -> Option<&'a Target> {
    if files.is_empty() {
        return None;
    }
    let common = ["journal segment", "store/db"];
    let wanted = match entropy.below(10) {
        0..=3 => common.first().copied(),
        4..=6 => common.last().copied(),
        _ => None,
    };
    let of_kind = |kind: &str| files.iter().filter(|it| it.kind == kind).collect::<Vec<_>>();
    let mut some = wanted.map(of_kind).unwrap_or_default();
    if some.is_empty() {
        let mut kinds: Vec<&str> = files.iter().map(|file| file.kind.as_str()).collect();
        kinds.dedup();
        some = of_kind(kinds[below(entropy, kinds.len())]);
    }
    some.get(below(entropy, some.len())).copied()
}

/// Damages a file; none where that would change nothing. `old` is what it was before.
pub(crate) fn spoil(
    target: &Target,
    damage: Damage,
    old: Option<&Path>,
    entropy: &SeededEntropy,
) -> Result<Option<Spoilt>> {
    let whole = fs::read(&target.path)?;
    let mut at = 0;
    let bytes = match damage {
        Damage::Gone => None,
        Damage::Old => match old.map(fs::read) {
            Some(Ok(old)) => Some(old),
            _ => return Ok(None),
        },
        Damage::Flip | Damage::Truncate => {
            // Zeros that are there ahead of what is to be written say nothing.
            let used = whole.iter().rposition(|byte| *byte != 0).map_or(whole.len(), |at| at + 1);
            at = below(entropy, used);
            let mut bytes = whole.clone();
            match (damage, bytes.get_mut(at)) {
                (Damage::Truncate, _) => bytes.truncate(at),
                (_, Some(byte)) => *byte ^= 1 << entropy.below(8),
                (_, None) => return Ok(None),
            }
            Some(bytes)
        }
    };
    if bytes.as_ref() == Some(&whole) {
        return Ok(None);
    }
    match bytes {
        Some(bytes) => fs::write(&target.path, bytes)?,
        None => fs::remove_file(&target.path)?,
    }
    Ok(Some(Spoilt { target: target.clone(), damage, whole, at: at as u64 }))
}

/// One bit of all the files of a kind, taken together, in the given part of so many equal ones; none where
/// there are none.
pub(crate) fn flip_in_part(
    files: &[Target],
    kind: &str,
    (part, parts): (usize, usize),
    entropy: &SeededEntropy,
) -> Result<Option<Spoilt>> {
    let mut used = Vec::new();
    for target in files.iter().filter(|target| target.kind == kind) {
        let whole = fs::read(&target.path)?;
        let bytes = whole.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        used.push((target, whole, bytes));
    }
    let length = used.iter().map(|(_, _, bytes)| bytes).sum::<usize>() / parts;
    if length == 0 {
        return Ok(None);
    }
    let mut at = part * length + below(entropy, length);
    for (target, whole, bytes) in used {
        if at < bytes {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 1 << entropy.below(8);
            fs::write(&target.path, spoilt)?;
            let (target, damage, at) = (target.clone(), Damage::Flip, at as u64);
            return Ok(Some(Spoilt { target, damage, whole, at }));
        }
        at -= bytes;
    }
    Ok(None)
}

/// A directory, files and all, in the place of another.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn below(entropy: &SeededEntropy, bound: usize) -> usize {
    usize::try_from(entropy.below(bound as u64)).expect("it is below a usize")
}
