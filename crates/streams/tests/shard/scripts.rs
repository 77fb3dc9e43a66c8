//! Runs `tests/scripts/*.txt`: commands, then `---`, then what they answer, block by block, each
//! file from an empty state. `WEIR_TEST_UPDATE=1` writes the answers; read them before you keep them.
//!
//! ```text
//! at 100 xadd s * f 1       the stamp is 100; without `at` it is the last one
//! fill s 250                so many entries of a few bytes
//! evict                     a checkpoint, after which no sealed block is in the state
//! reload                    a save and load
//! ```

use std::path::{Path, PathBuf};

use super::script::{self, Asked, Words};
use super::stored::Stored;
use bytes::Bytes;
use streams::command::{Add, AddId, Command, Stamp};

#[derive(Default)]
struct Runner {
    shard: Stored,
    now_ms: u64,
}

impl Runner {
    fn run(&mut self, line: &str) -> String {
        let mut words = Words::new(line);
        if words.take("at") {
            self.now_ms = words.number();
        }
        let stamp = Stamp { now_ms: self.now_ms };
        if words.take("fill") {
            return self.fill(&words.bytes(), words.number());
        }
        if words.take("evict") {
            self.shard.evict();
            return format!("{} blocks stored", self.shard.blocks_count());
        }
        if words.take("reload") {
            let before = self.shard.state.hash();
            self.shard.reload();
            assert_eq!(before, self.shard.state.hash(), "{line}");
            return "reloaded".to_owned();
        }
        let reply = match words.asked() {
            Asked::Command(command) => self.shard.apply(stamp, &command),
            Asked::Query(query) => self.shard.answer(stamp, &query),
        };
        assert!(words.is_empty(), "left over in: {line}");
        script::shown(&reply)
    }

    fn fill(&mut self, key: &Bytes, count: u64) -> String {
        for number in 0..count {
            let fields = vec![Bytes::from_static(b"f"), Bytes::from(number.to_string())];
            let (key, id) = (key.clone(), AddId::Auto);
            let add =
                Command::Add(Add { key, id, fields, must_exist: false, trim: None, once: None });
            self.shard.apply(Stamp { now_ms: self.now_ms }, &add);
        }
        "filled".to_owned()
    }
}

/// The file with the answers that were given. Blocks are separated by empty lines.
fn run_file(path: &Path) -> (String, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut runner = Runner::default();
    let blocks = text.trim_end().split("\n\n").map(|block| {
        let commands: Vec<&str> = block.lines().take_while(|line| *line != "---").collect();
        let mut out = commands.join("\n");
        let run = commands.iter().filter(|line| !line.starts_with('#') && !line.is_empty());
        let answers: Vec<String> = run.map(|line| runner.run(line)).collect();
        if !answers.is_empty() {
            out = format!("{out}\n---\n{}", answers.join("\n"));
        }
        out
    });
    let blocks: Vec<String> = blocks.collect();
    (blocks.join("\n\n") + "\n", text)
}

#[test]
fn scripts_answer_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    assert!(files.len() > 10);
    let mut wrong = Vec::new();
    for path in files {
        let (got, expected) = run_file(&path);
        if got == expected {
            continue;
        }
        if std::env::var_os("WEIR_TEST_UPDATE").is_some() {
            std::fs::write(&path, got).unwrap();
            continue;
        }
        let differs = got.lines().zip(expected.lines()).enumerate().find(|(_, (a, b))| a != b);
        wrong.push(format!("{}: {differs:?}", path.display()));
    }
    assert!(wrong.is_empty(), "(line, (got, expected))\n{}", wrong.join("\n"));
}
