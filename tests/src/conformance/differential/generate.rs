//! Draws sequences of stream commands: mostly sensible ones on few small keys, so that they meet,
//! and some with a word too few, too many or wrong. The same seed draws the same sequence.

use base::{Entropy, SeededEntropy};

use super::sequence::{Arg, Request};

/// Streams whose ids are written out, each on a shard of its own.
const KEYS: &[&str] = &["a", "b", "c"];
/// The stream whose ids the server chooses.
const CLOCKED: &str = "clocked";
/// A stream that is not there, mostly.
const ABSENT: &str = "none";
/// Every key that a sequence may make.
pub(super) const ALL_KEYS: &[&str] = &["a", "b", "c", CLOCKED, ABSENT];
const GROUPS: &[&str] = &["g", "h"];
const CONSUMERS: &[&str] = &["ann", "bob", "eve"];
/// Idle times that every entry has reached, and that only those reach which were said to.
const IDLE_MS: &[&str] = &["0", "10000000"];
/// What takes the place of a right word. Not the greatest id: Redis takes it for `>` in XREADGROUP.
const WRONG: &[&str] = &[
    "",
    "abc",
    "-1",
    "0",
    "0-0",
    "-",
    "+",
    "(",
    "(5-1",
    "5-1-1",
    "5-*",
    "1.5",
    "+1",
    "007",
    ">",
    "$",
    "=",
    "~",
    "COUNT",
    "STREAMS",
    "GROUP",
    "FORCE",
    "LIMIT",
    "99999999999999999999",
    "9223372036854775808",
    "(18446744073709551615-18446744073709551615",
];

/// A sequence of so many commands, and then questions about everything.
pub(super) fn sequence(seed: u64, commands: usize) -> Vec<Request> {
    let mut draw = Draw::new(seed);
    for _ in 0..commands {
        draw.command();
    }
    draw.ask_everything();
    draw.requests
}

/// What was drawn so far, and what the next commands should meet.
struct Draw {
    entropy: SeededEntropy,
    newer: Newer,
    requests: Vec<Request>,
    /// About the greatest milliseconds of each key's ids.
    last_ms: [u64; KEYS.len()],
    /// Requests for which the server chooses an id.
    chosen: Vec<usize>,
}

/// What a sequence may have that Redis 7.0 lacks: nothing, where the seed is even.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Newer {
    Nothing,
    /// XREAD of the last entry.
    Plus,
    /// XSETID, which newer servers refuse where older ones don't.
    SetId,
}

/// The words of one command.
struct Words(Vec<Arg>);

impl Words {
    /// A command and its key.
    fn about(command: &[&str], key: &'static str) -> Self {
        Self(Vec::new()).says(command).key(key)
    }

    fn key(mut self, key: &'static str) -> Self {
        self.0.push(Arg::Key(key));
        self
    }

    fn say(&mut self, word: &str) {
        self.0.push(Arg::Text(word.to_owned()));
    }

    fn says(mut self, words: &[&str]) -> Self {
        words.iter().for_each(|word| self.say(word));
        self
    }
}

impl Draw {
    fn new(seed: u64) -> Self {
        let entropy = SeededEntropy::new(seed);
        let (requests, chosen, last_ms) = (Vec::new(), Vec::new(), [0; KEYS.len()]);
        let newer = match seed % 4 {
            1 => Newer::Plus,
            3 => Newer::SetId,
            _ => Newer::Nothing,
        };
        Self { entropy, newer, requests, last_ms, chosen }
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.entropy.below(bound as u64)).expect("it is below a usize")
    }

    fn chance(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick(&self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len())]
    }

    fn number(&self, bound: usize) -> String {
        self.below(bound).to_string()
    }

    fn command(&mut self) {
        let mut words = match self.below(100) {
            0..25 => self.add(),
            25..38 => self.read_group(),
            38..43 => self.ids_of_group("XACK"),
            43..49 => self.claim(),
            49..55 => self.auto_claim(),
            55..62 => self.pending(),
            62..67 => self.delete(),
            67..71 => self.trim(),
            71..77 => self.range(),
            77..83 => self.read(),
            83..90 => self.group(),
            90..96 => self.info(),
            96..98 if self.newer == Newer::SetId => self.set_id(),
            _ => self.about_key(),
        };
        let chooses = words.0.iter().any(|it| *it == Arg::Text("*".to_owned()));
        if !chooses && self.chance(7) {
            self.spoil(&mut words);
        }
        if chooses {
            self.chosen.push(self.requests.len());
        }
        self.ask(words);
    }

    fn ask(&mut self, words: Words) {
        self.requests.push(Request { number: self.requests.len(), args: words.0 });
    }

    /// A word too few, too many, wrong, or in another case.
    /// Not before the key: others may be asking about the wrong one.
    fn spoil(&self, words: &mut Words) {
        let key = words.0.iter().position(|arg| matches!(arg, Arg::Key(_))).unwrap_or_default();
        if key + 1 >= words.0.len() {
            return;
        }
        let at = key + 1 + self.below(words.0.len() - key - 1);
        let wrong = match self.pick(WRONG) {
            "+" if self.newer != Newer::Plus => ">",
            wrong => wrong,
        };
        let wrong = Arg::Text(wrong.to_owned());
        // Without a word before it, an id would stand for an idle time: then the clock would decide.
        let is_claim = |name: &str| words.0[0] == Arg::Text(name.to_owned());
        let before_idle = at <= 4 && ["XCLAIM", "XAUTOCLAIM"].into_iter().any(is_claim);
        match self.below(5) {
            0 if before_idle => {}
            0 => drop(words.0.remove(at)),
            1 => words.0.insert(at, words.0[at].clone()),
            2 => words.0.insert(at, wrong),
            3 => words.0[at] = wrong,
            _ => {
                if let Arg::Text(text) = &mut words.0[at] {
                    *text = text.to_ascii_lowercase();
                }
            }
        }
    }

    /// A key that holds something, mostly.
    fn key(&self) -> &'static str {
        match self.below(20) {
            0..16 => self.pick(KEYS),
            16..19 => CLOCKED,
            _ => ABSENT,
        }
    }

    fn group_name(&self) -> &'static str {
        if self.chance(4) { "nobody" } else { GROUPS[usize::from(self.chance(20))] }
    }

    /// An id that the key may have.
    fn id(&self, key: &str) -> Arg {
        self.id_behind("", key)
    }

    fn id_behind(&self, prefix: &'static str, key: &str) -> Arg {
        if key == CLOCKED && !self.chosen.is_empty() {
            return Arg::IdOf(prefix, self.chosen[self.below(self.chosen.len())]);
        }
        let last = KEYS.iter().position(|it| *it == key).map_or(5, |at| self.last_ms[at]);
        let ms = self.entropy.below(last + 2);
        match self.below(4) {
            0 => Arg::Text(format!("{prefix}{ms}")),
            _ => Arg::Text(format!("{prefix}{ms}-{}", self.below(4))),
        }
    }

    fn add(&mut self) -> Words {
        let key = if self.chance(15) { CLOCKED } else { self.pick(KEYS) };
        let mut words = Words::about(&["XADD"], key);
        if self.chance(8) {
            words.say("NOMKSTREAM");
        }
        if self.chance(15) {
            self.cut(&mut words, key);
        }
        match KEYS.iter().position(|it| *it == key) {
            Some(at) => words.say(&self.next_id(at)),
            None => words.say("*"),
        }
        for _ in 0..1 + self.below(3) {
            words.say(self.pick(&["f", "g", "name"]));
            // Few of these fill a block, unlike the clocked stream's: the size of an entry there
            // depends on when it came.
            let is_big = key != CLOCKED && self.chance(6);
            let value = if is_big { "x".repeat(1300) } else { self.number(1000) };
            words.say(&value);
        }
        words
    }

    /// An id above the last, mostly.
    fn next_id(&mut self, at: usize) -> String {
        let last = &mut self.last_ms[at];
        match self.entropy.below(20) {
            0 => self.entropy.below(*last + 2).to_string(),
            1 => format!("{}-{}", self.entropy.below(*last + 2), self.entropy.below(4)),
            2..8 => {
                *last += self.entropy.below(2);
                format!("{last}-*")
            }
            _ => {
                *last += 1 + self.entropy.below(2);
                format!("{last}-{}", self.entropy.below(3))
            }
        }
    }

    /// MAXLEN or MINID with what belongs to it.
    fn cut(&self, words: &mut Words, key: &str) {
        let by_id = self.chance(40);
        words.say(if by_id { "MINID" } else { "MAXLEN" });
        let how = self.below(3);
        if how > 0 {
            words.say(["=", "~"][how - 1]);
        }
        match by_id {
            true => words.0.push(self.id(key)),
            false => words.say(&self.number(30)),
        }
        if (how == 2 && self.chance(40)) || self.chance(3) {
            words.say("LIMIT");
            words.say(&self.number(40));
        }
    }

    fn streams(&self, words: &mut Words, id: impl Fn(&str) -> Arg) {
        words.say("STREAMS");
        let keys: Vec<_> = (0..1 + self.below(6) / 4).map(|_| self.key()).collect();
        words.0.extend(keys.iter().map(|key| Arg::Key(key)));
        keys.iter().for_each(|key| words.0.push(id(key)));
    }

    fn read_group(&mut self) -> Words {
        let mut words = Words(Vec::new()).says(&["XREADGROUP", "GROUP"]);
        words.say(self.group_name());
        words.say(self.pick(CONSUMERS));
        if self.chance(60) {
            words.say("COUNT");
            words.say(&self.number(6));
        }
        if self.chance(10) {
            words.say("NOACK");
        }
        if self.chance(3) {
            words = words.says(&["BLOCK", "1"]);
        }
        self.streams(&mut words, |key| match self.below(10) {
            0..7 => Arg::Text(">".to_owned()),
            7..9 => Arg::Text("0".to_owned()),
            _ => self.id(key),
        });
        words
    }

    fn read(&mut self) -> Words {
        let mut words = Words(Vec::new()).says(&["XREAD"]);
        if self.chance(50) {
            words.say("COUNT");
            words.say(&self.number(5));
        }
        if self.chance(3) {
            words = words.says(&["BLOCK", "1"]);
        }
        self.streams(&mut words, |key| match self.below(10) {
            0 => Arg::Text("$".to_owned()),
            1 if self.newer == Newer::Plus => Arg::Text("+".to_owned()),
            1..4 => Arg::Text("0".to_owned()),
            _ => self.id(key),
        });
        words
    }

    /// A command on ids of a group's entries.
    fn ids_of_group(&mut self, name: &str) -> Words {
        let key = self.key();
        let mut words = Words::about(&[name], key);
        words.say(self.group_name());
        self.some_ids(&mut words, key);
        words
    }

    fn some_ids(&self, words: &mut Words, key: &str) {
        for _ in 0..1 + self.below(4) {
            words.0.push(self.id(key));
        }
    }

    fn claim(&mut self) -> Words {
        let key = self.key();
        let mut words = Words::about(&["XCLAIM"], key);
        words.say(self.group_name());
        words.say(self.pick(CONSUMERS));
        words.say(self.pick(IDLE_MS));
        self.some_ids(&mut words, key);
        for _ in 0..self.below(3) {
            match self.below(6) {
                0 => words = words.says(&["IDLE", self.pick(&["0", "20000000"])]),
                1 => words = words.says(&["TIME", "1"]),
                2 => {
                    words.say("RETRYCOUNT");
                    words.say(&self.number(6));
                }
                3 => words.say("FORCE"),
                4 => words.say("JUSTID"),
                _ => {
                    words.say("LASTID");
                    words.0.push(self.id(key));
                }
            }
        }
        words
    }

    fn auto_claim(&mut self) -> Words {
        let key = self.key();
        let mut words = Words::about(&["XAUTOCLAIM"], key);
        words.say(self.group_name());
        words.say(self.pick(CONSUMERS));
        words.say(self.pick(IDLE_MS));
        match self.chance(60) {
            true => words.say(self.pick(&["0", "-"])),
            false => words.0.push(self.id(key)),
        }
        if self.chance(50) {
            words.say("COUNT");
            words.say(&(1 + self.below(4)).to_string());
        }
        if self.chance(30) {
            words.say("JUSTID");
        }
        words
    }

    fn pending(&mut self) -> Words {
        let key = self.key();
        let mut words = Words::about(&["XPENDING"], key);
        words.say(self.group_name());
        if self.chance(70) {
            if self.chance(30) {
                words = words.says(&["IDLE", self.pick(IDLE_MS)]);
            }
            self.interval(&mut words, key, ["-", "+"]);
            words.say(&self.number(8));
            if self.chance(30) {
                words.say(self.pick(CONSUMERS));
            }
        }
        words
    }

    fn interval(&self, words: &mut Words, key: &str, ends: [&str; 2]) {
        for end in ends {
            match self.below(10) {
                0..6 => words.say(end),
                6..9 => words.0.push(self.id(key)),
                _ => words.0.push(self.id_behind("(", key)),
            }
        }
    }

    fn range(&mut self) -> Words {
        let key = self.key();
        let back = self.chance(40);
        let name = if back { "XREVRANGE" } else { "XRANGE" };
        let mut words = Words::about(&[name], key);
        self.interval(&mut words, key, if back { ["+", "-"] } else { ["-", "+"] });
        if self.chance(40) {
            words.say("COUNT");
            words.say(&self.number(6));
        }
        words
    }

    fn delete(&mut self) -> Words {
        let key = self.key();
        let mut words = Words::about(&["XDEL"], key);
        self.some_ids(&mut words, key);
        words
    }

    fn trim(&mut self) -> Words {
        let key = self.key();
        let mut words = Words::about(&["XTRIM"], key);
        self.cut(&mut words, key);
        words
    }

    fn group(&mut self) -> Words {
        let key = self.key();
        let group = self.group_name();
        let named = |name: &str| Words::about(&["XGROUP", name], key).says(&[group]);
        match self.below(20) {
            0..12 => {
                let mut words = named("CREATE");
                self.position(&mut words, key);
                if self.chance(50) {
                    words.say("MKSTREAM");
                }
                words
            }
            12..15 => {
                let mut words = named("SETID");
                self.position(&mut words, key);
                words
            }
            15..17 => named("CREATECONSUMER").says(&[self.pick(CONSUMERS)]),
            17..19 => named("DELCONSUMER").says(&[self.pick(CONSUMERS)]),
            _ => named("DESTROY"),
        }
    }

    /// Where a group stands, and perhaps what it has read.
    fn position(&self, words: &mut Words, key: &str) {
        match self.below(4) {
            0 => words.say("$"),
            1 => words.0.push(self.id(key)),
            _ => words.say("0"),
        }
        if key == KEYS[2] && self.chance(30) {
            words.say("ENTRIESREAD");
            words.say(&self.number(20));
        }
    }

    fn info(&mut self) -> Words {
        let key = self.key();
        match self.below(4) {
            0 => Words::about(&["XINFO", "STREAM"], key),
            1 => {
                let mut words = Words::about(&["XINFO", "STREAM"], key).says(&["FULL"]);
                if self.chance(50) {
                    words.say("COUNT");
                    words.say(&self.number(4));
                }
                words
            }
            2 => Words::about(&["XINFO", "GROUPS"], key),
            _ => Words::about(&["XINFO", "CONSUMERS"], key).says(&[self.group_name()]),
        }
    }

    fn set_id(&mut self) -> Words {
        let key = self.pick(KEYS);
        let mut words = Words::about(&["XSETID"], key);
        words.0.push(self.id(key));
        if self.chance(50) {
            words.say("ENTRIESADDED");
            words.say(&self.number(60));
            words.say("MAXDELETEDID");
            words.0.push(self.id(key));
        }
        words
    }

    fn about_key(&mut self) -> Words {
        let key = self.key();
        let name = match self.below(10) {
            0..2 => "DEL",
            2..4 => "EXISTS",
            4..6 => "TYPE",
            _ => "XLEN",
        };
        // A clocked stream that is made anew within a millisecond would have the same ids again.
        let key = if name == "DEL" { self.pick(KEYS) } else { key };
        Words::about(&[name], key)
    }

    /// What no reply has shown yet.
    fn ask_everything(&mut self) {
        for key in KEYS.iter().chain(&[CLOCKED]) {
            let about = |what| Words::about(&["XINFO", what], key);
            self.ask(about("STREAM").says(&["FULL", "COUNT", "0"]));
            self.ask(about("STREAM"));
            self.ask(about("GROUPS"));
            self.ask(about("CONSUMERS").says(&[GROUPS[0]]));
            self.ask(Words::about(&["XPENDING"], key).says(&[GROUPS[0], "-", "+", "1000"]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_sequence_again() {
        let text = |seed| {
            let requests = sequence(seed, 50);
            requests.iter().map(|it| format!("{it}\n")).collect::<String>()
        };
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        let commands =
            ["XADD", "XREADGROUP", "XCLAIM", "XAUTOCLAIM", "XPENDING", "XTRIM", "XSETID"];
        let many: String = (0..20).map(text).collect();
        assert!(commands.iter().all(|name| many.contains(name)), "{many}");
    }
}
