//! Fuzz targets that plain `cargo test` runs: bytes made from a seed, and a check that must hold for
//! any bytes, in 50 ms of processor time and 256 MiB. Only for tests; never asks the machine for
//! randomness, so that a run can be repeated.
//!
//! A target is one file `fuzz.rs` beside the code that it feeds, with a [`Target`] and what must hold.
//! Small inputs worth keeping stand in the crate's `corpus` folder, a file each: they are checked
//! first and then varied. `WEIR_TEST_SEED=n` checks input number `n` alone, `WEIR_TEST_INPUTS=n` so
//! many, from number `WEIR_TEST_FIRST` on. A target's check takes bytes and nothing else, so that a
//! fuzzer which watches coverage can drive it as well.

mod bounds;
mod memory;
mod progress;
mod random;
mod shrink;

use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bounds::Cost;
use progress::Progress;
pub use random::Random;

/// Bytes of an input that a report shows.
const SHOWN_BYTES_MAX: usize = 4096;
/// Inputs between two tellings of a thread.
const TOLD_INPUTS: u64 = 256;
/// Stands for the number of what the corpus has.
const OF_CORPUS: u64 = u64::MAX;

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

/// What is wrong with an input.
struct Failure {
    number: u64,
    input: Vec<u8>,
    what: String,
}

/// The files of a folder, each an input.
pub fn corpus_of(folder: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> =
        files.map(|file| file.expect("a folder can be listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus is read")).collect()
}

/// Feeds what varies a corpus, each input of which must be taken as it is.
///
/// # Panics
/// As [`Target::run`], and when an input of the corpus is not taken.
pub fn feed_varied(
    name: &'static str,
    inputs_count: u64,
    corpus: &[Vec<u8>],
    takes: impl Fn(&[u8]) -> bool + Sync,
) {
    for (at, input) in corpus.iter().enumerate() {
        assert!(takes(input), "{name}: number {at} of the corpus");
    }
    let make = |random: &mut Random| {
        let mut input = random.pick(corpus).clone();
        let other = random.pick(corpus).clone();
        (0..1 + random.below(3)).for_each(|_| random.vary(&mut input, &other));
        input
    };
    let target = Target { name, inputs_count, corpus: corpus.to_vec(), make: &make };
    target.run(|| {
        |input: &[u8]| {
            takes(input);
        }
    });
}

impl Target<'_> {
    /// Checks every input of the corpus, then as many as are wanted. Each thread has a check of its
    /// own.
    ///
    /// # Panics
    /// When a check does, or costs too much: with the input's number and the fewest bytes that still
    /// fail.
    pub fn run<C: FnMut(&[u8])>(&self, checks: impl Fn() -> C + Sync) {
        let mut check = checks();
        for (at, input) in self.corpus.iter().enumerate() {
            if let Err(what) = bounds::check(OF_CORPUS, input, &mut check) {
                let failure = Failure { number: OF_CORPUS, input: input.clone(), what };
                panic!("{}", self.report(&format!("number {at} of the corpus"), &failure, &checks));
            }
        }
        let given = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let count = given("WEIR_TEST_INPUTS").unwrap_or(self.inputs_count);
        let first = given("WEIR_TEST_FIRST").unwrap_or(0);
        let one = given("WEIR_TEST_SEED").map(|number| number..number + 1);
        if let Some(failure) = self.first_failure(one.unwrap_or(first..first + count), &checks) {
            let which = format!("WEIR_TEST_SEED={}", failure.number);
            panic!("{}", self.report(&which, &failure, &checks));
        }
    }

    /// Divides the numbers among as many threads as there are processors.
    fn first_failure<C: FnMut(&[u8])>(
        &self,
        numbers: std::ops::Range<u64>,
        checks: &(impl Fn() -> C + Sync),
    ) -> Option<Failure> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (stop, failed) = (AtomicBool::new(false), Mutex::new(None));
        let progress = Progress::new(self.name, numbers.end - numbers.start);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let mine = numbers.clone().skip(thread).step_by(threads);
                let (stop, failed, progress) = (&stop, &failed, &progress);
                scope.spawn(move || {
                    if let Some(found) = self.failure_of(mine, &mut checks(), stop, progress) {
                        stop.store(true, Ordering::Relaxed);
                        failed.lock().expect("no thread panics with it").get_or_insert(found);
                    }
                });
            }
        });
        let failed = failed.into_inner().expect("no thread panics with it");
        if failed.is_none() {
            progress.end();
        }
        failed
    }

    fn failure_of(
        &self,
        numbers: impl Iterator<Item = u64>,
        check: &mut impl FnMut(&[u8]),
        stop: &AtomicBool,
        progress: &Progress,
    ) -> Option<Failure> {
        let (mut inputs, mut most) = (0, Cost::default());
        for number in numbers {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            let input = self.input(number);
            match bounds::check(number, &input, check) {
                Ok(cost) => most = most.or(cost),
                Err(what) => return Some(Failure { number, input, what }),
            }
            inputs += 1;
            if inputs == TOLD_INPUTS {
                progress.add(std::mem::take(&mut inputs), most);
            }
        }
        progress.add(inputs, most);
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
        failure: &Failure,
        checks: &impl Fn() -> C,
    ) -> String {
        let Failure { number, input, what } = failure;
        let fails = |bytes: &[u8]| {
            shrink::quietly(|| bounds::check(*number, bytes, &mut checks()).is_err())
        };
        let fewest = shrink::shrink(input.clone(), fails);
        let shown = &fewest[..fewest.len().min(SHOWN_BYTES_MAX)];
        let mut report = format!("{}: input {which} fails: it {what}\n", self.name);
        let (bytes, of) = (fewest.len(), input.len());
        let _ =
            write!(report, "{bytes} of its {of} bytes are enough: b\"{}\"", shown.escape_ascii());
        report
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

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
