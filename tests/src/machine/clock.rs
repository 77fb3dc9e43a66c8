//! Wall clocks that jump while a process runs, by libfaketime. The monotonic clock stays as it is.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// The clocks of some processes.
pub struct Clocks {
    library: PathBuf,
    dir: TempDir,
}

impl Clocks {
    /// Clocks that go right.
    ///
    /// # Errors
    /// Why there are none here.
    pub fn find() -> Result<Self, String> {
        let found = LIBRARIES.iter().map(Path::new).find(|path| path.exists());
        let library = found.ok_or("libfaketime is not installed")?.to_owned();
        let dir = tempfile::Builder::new().prefix("weir-clocks-").tempdir();
        Ok(Self { library, dir: dir.map_err(|error| error.to_string())? })
    }

    /// What a process must have in its environment to go by clock `index`.
    ///
    /// # Errors
    /// The clock's file can't be written.
    pub fn variables(&self, index: usize) -> Result<Vec<(String, String)>, String> {
        self.set(index, 0)?;
        let library = self.library.to_string_lossy().into_owned();
        let file = self.file(index).to_string_lossy().into_owned();
        let variables = [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", file),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DISABLE_SHM", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        Ok(variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Puts a clock so many seconds before or behind the machine's, within a second.
    ///
    /// # Errors
    /// The clock's file can't be written.
    pub fn set(&self, index: usize, seconds: i64) -> Result<(), String> {
        // Renamed over the old one: a process never reads half a number.
        let (file, new) = (self.file(index), self.dir.path().join("new"));
        let written = std::fs::write(&new, format!("{seconds:+}s\n"));
        written.and_then(|()| std::fs::rename(&new, file)).map_err(|error| error.to_string())
    }

    fn file(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("clock-{index}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skips;

    fn seconds(clocks: &Clocks) -> i64 {
        let mut date = std::process::Command::new("date");
        let output = date.arg("+%s").envs(clocks.variables(0).unwrap()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn a_jump_is_seen_by_a_process() {
        let clocks = match Clocks::find() {
            Ok(clocks) => clocks,
            Err(why) => return skips::skip(&format!("clocks that jump: {why}")),
        };
        let before = seconds(&clocks);
        let variables = clocks.variables(0).unwrap();
        clocks.set(0, -3600).unwrap();
        let mut date = std::process::Command::new("date");
        let output = date.arg("+%s").envs(variables).output().unwrap();
        let after: i64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        assert!((-3600..-3500).contains(&(after - before)), "{before}, then {after}");
    }
}
