//! The demonstration, over a small history made for it: ends well only when nothing was lost.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::path::Path;
use std::process::{Command, Output};

use tests::cluster::weir;

fn git(dir: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    let mut git = Command::new("git");
    let done = git.current_dir(dir).args(identity).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn history(dir: &Path, commits: usize) {
    git(dir, &["init", "-q"]);
    for number in 0..commits {
        let folder = dir.join(["src", "docs", "a b"][number % 3]);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("file.txt"), "line\n".repeat(number % 7 + 1)).unwrap();
        std::fs::write(dir.join("top"), number.to_string()).unwrap();
        git(dir, &["add", "-A"]);
        git(dir, &["commit", "-q", "-m", &format!("commit {number}")]);
    }
}

fn demo(from: &Path) -> Output {
    Command::new(weir().unwrap()).arg("demo").arg("--from").arg(from).output().unwrap()
}

#[test]
fn the_demonstration_loses_nothing_though_a_leader_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    history(dir.path(), 40);
    let output = demo(dir.path());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{said}");
    for wanted in
        ["killed node", "is started again", "lost                   0", "the tables are equal"]
    {
        assert!(said.contains(wanted), "`{wanted}` is missing:\n{said}");
    }
}

#[test]
fn the_demonstration_says_when_there_is_no_history() {
    let dir = tempfile::tempdir().unwrap();
    let output = demo(dir.path());
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("--from"), "it says what to do: {errors}");
}
