//! What the threads of a process are at, as Linux tells: for whoever asks why nothing is done. Never part of a decision.

use std::fs;
use std::path::Path;

/// Each thread of a process, `self` for this one, with its name, its state and where in the kernel it waits; empty
/// where that can't be seen.
pub fn threads_of(process: &str) -> String {
    let tasks = fs::read_dir(Path::new("/proc").join(process).join("task"));
    let told = tasks.into_iter().flatten().flatten().map(|task| {
        let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let stat = read("stat");
        let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?');
        format!("{} {state} {}", read("comm").trim_end(), read("wchan").trim_end())
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_told_with_its_name() {
        let told =
            std::thread::Builder::new().name("named".to_owned()).spawn(|| threads_of("self"));
        let told = told.unwrap().join().unwrap();
        assert!(told.split("; ").any(|one| one.starts_with("named R")), "{told}");
        assert_eq!(threads_of("none"), "");
    }
}
