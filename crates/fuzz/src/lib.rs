//! Fuzz targets that plain `cargo test` runs: bytes made from a seed, and a check that must hold for
//! any bytes. Only for tests; never asks the machine for randomness, so that a run can be repeated.
//!
//! A target is one file `fuzz.rs` beside the code that it feeds, with a [`Target`] and what must hold.
//! Small inputs worth keeping stand in the crate's `corpus` folder, a file each: they are checked
//! first and then varied. `WEIR_TEST_SEED=n` checks input number `n` alone, `WEIR_TEST_INPUTS=n` so
//! many. A target's check takes bytes and nothing else, so that a fuzzer which watches coverage can
//! drive it as well.

mod random;
mod shrink;

use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

pub use random::Random;

/// Bytes of an input that a report shows.
const SHOWN_BYTES_MAX: usize = 4096;

/// What is fed.
pub struct Target<'a> {
    /// As its test is called.
    pub name: &'static str,
    /// Inputs of an ordinary run.
    pub inputs_count: u64,
    /// Inputs worth varying.
    pub corpus: Vec<Vec<u8>>,
    /// Makes an input that is more often sensible than chance would have it.
    pub make: &'a (dyn Fn(&mut Random) -> Vec<u8> + Sync),
}

/// The files of a folder, each an input.
pub fn corpus_of(folder: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> =
        files.map(|file| file.expect("a folder can be listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus is read")).collect()
}

impl Target<'_> {
    /// Checks every input of the corpus, then as many as are wanted. Each thread has a check of its
    /// own.
    ///
    /// # Panics
    /// When a check does: with the input's number and the fewest bytes that still fail.
    pub fn run<C: FnMut(&[u8])>(&self, checks: impl Fn() -> C + Sync) {
        let mut check = checks();
        for (at, input) in self.corpus.iter().enumerate() {
            if catch_unwind(AssertUnwindSafe(|| check(input))).is_err() {
                panic!("{}", self.report(&format!("number {at} of the corpus"), input, &checks));
            }
        }
        let given = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let count = given("WEIR_TEST_INPUTS").unwrap_or(self.inputs_count);
        let numbers = given("WEIR_TEST_SEED").map_or(0..count, |number| number..number + 1);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (stop, failed) = (AtomicBool::new(false), Mutex::new(None));
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (mine, stop, failed) = (numbers.clone().skip(thread), &stop, &failed);
                let checks = &checks;
                scope.spawn(move || {
                    let found = self.first_failure(mine.step_by(threads), &mut checks(), stop);
                    if let Some(found) = found {
                        stop.store(true, Ordering::Relaxed);
                        failed.lock().expect("no thread panics with it").get_or_insert(found);
                    }
                });
            }
        });
        if let Some((number, input)) = failed.into_inner().expect("no thread panics with it") {
            panic!("{}", self.report(&format!("WEIR_TEST_SEED={number}"), &input, &checks));
        }
    }

    fn first_failure(
        &self,
        numbers: impl Iterator<Item = u64>,
        check: &mut impl FnMut(&[u8]),
        stop: &AtomicBool,
    ) -> Option<(u64, Vec<u8>)> {
        for number in numbers {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let input = self.input(number);
            if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
                return Some((number, input));
            }
        }
        None
    }

    /// The input of a number: the same whenever and wherever it is asked for.
    fn input(&self, number: u64) -> Vec<u8> {
        let mut random = Random::new(number);
        let kept = random.pick_owned(&self.corpus).filter(|_| random.one_in(4));
        let vary = kept.is_some() || random.one_in(4);
        let mut input = kept.unwrap_or_else(|| (self.make)(&mut random));
        if vary {
            for _ in 0..1 + random.below(3) {
                let other = random.pick_owned(&self.corpus).filter(|_| random.one_in(4));
                random.vary(&mut input, other.as_deref().unwrap_or_default());
            }
        }
        input
    }

    fn report<C: FnMut(&[u8])>(
        &self,
        which: &str,
        input: &[u8],
        checks: &impl Fn() -> C,
    ) -> String {
        let fails = |bytes: &[u8]| {
            shrink::quietly(|| catch_unwind(AssertUnwindSafe(|| checks()(bytes))).is_err())
        };
        let fewest = shrink::shrink(input.to_vec(), fails);
        let shown = &fewest[..fewest.len().min(SHOWN_BYTES_MAX)];
        let mut report = format!("{}: input {which} fails\n", self.name);
        let (bytes, of) = (fewest.len(), input.len());
        let _ =
            write!(report, "{bytes} of its {of} bytes are enough: b\"{}\"", shown.escape_ascii());
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(inputs_count: u64) -> Target<'static> {
        let make = &|random: &mut Random| random.bytes(20);
        Target { name: "tests", inputs_count, corpus: vec![b"kept".to_vec()], make }
    }

    #[test]
    fn an_input_is_that_of_its_number() {
        let target = target(0);
        let inputs: Vec<_> = (0..1000).map(|number| target.input(number)).collect();
        assert!((0..1000).rev().all(|number| target.input(number) == inputs[number as usize]));
        let different: std::collections::BTreeSet<_> = inputs.iter().collect();
        assert!(different.len() > 800, "only {} different inputs", different.len());
    }

    #[test]
    fn every_input_is_checked_once_and_the_corpus_first() {
        let seen = Mutex::new(Vec::new());
        target(999).run(|| |input: &[u8]| seen.lock().unwrap().push(input.to_vec()));
        let seen = seen.into_inner().unwrap();
        assert_eq!((seen.len(), &seen[0][..]), (1000, &b"kept"[..]));
    }

    #[test]
    fn what_fails_is_told_with_its_number_and_few_bytes() {
        let failing = || |input: &[u8]| assert!(!input.contains(&7), "a seven");
        let told = catch_unwind(|| shrink::quietly(|| target(100_000).run(failing)));
        let told = *told.unwrap_err().downcast::<String>().unwrap();
        assert!(told.contains("WEIR_TEST_SEED="), "{told}");
        assert!(told.contains("1 of its ") && told.ends_with("b\"\\x07\""), "{told}");
    }
}
