//! What became of the entries of one program, and whether that is right. Never a client.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const DELIVERIES_MAX: u64 = 3;
pub const CLAIM_IDLE_MS: u64 = 300;
const ENTRIES_MIN: u64 = 21;
const PATIENCE: Duration = Duration::from_secs(60);

/// Port, stream and seconds, as the program was told.
pub fn arguments() -> (u16, String, f64) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [port, name, seconds] = &args[..] else { panic!("usage: PORT NAME SECONDS") };
    (port.parse().expect("a port"), name.clone(), seconds.parse().expect("seconds"))
}

/// Whether the work on this entry fails, each time.
pub fn fails(number: u64) -> bool {
    number.is_multiple_of(10)
}

/// What was produced, done and given up.
pub struct Outcome {
    ends: Instant,
    pub produced: AtomicU64,
    pub done: Mutex<Vec<u64>>,
    pub dead: Mutex<Vec<u64>>,
}

impl Outcome {
    pub fn new(seconds: f64) -> Self {
        let ends = Instant::now() + Duration::from_secs_f64(seconds);
        Self { ends, produced: AtomicU64::new(0), done: Mutex::default(), dead: Mutex::default() }
    }

    pub fn goes_on(&self) -> bool {
        Instant::now() < self.ends || self.produced.load(Ordering::SeqCst) < ENTRIES_MIN
    }

    /// Whether entries are still to be worked on.
    pub fn is_open(&self) -> bool {
        let count = self.done.lock().unwrap().len() + self.dead.lock().unwrap().len();
        let produced = self.produced.load(Ordering::SeqCst);
        assert!(Instant::now() < self.ends + PATIENCE, "{count} of {produced} after a minute");
        self.goes_on() || (count as u64) < produced
    }

    pub fn note_done(&self, number: u64) {
        self.done.lock().unwrap().push(number);
    }

    pub fn note_dead(&self, number: u64) {
        self.dead.lock().unwrap().push(number);
    }

    pub fn check(&self, who: &str, pending: u64, lag: Option<u64>, length: u64) {
        let produced = self.produced.load(Ordering::SeqCst);
        let sorted = |numbers: &Mutex<Vec<u64>>| {
            let mut numbers = numbers.lock().unwrap().clone();
            numbers.sort_unstable();
            numbers
        };
        let (dead, done): (Vec<u64>, Vec<u64>) = (0..produced).partition(|number| fails(*number));
        assert_eq!(sorted(&self.done), done);
        assert_eq!(sorted(&self.dead), dead);
        assert_eq!((pending, lag), (0, Some(0)), "pending and lag");
        assert!(length <= 10, "{length} after the trim");
        println!("{who}: {produced} entries, as expected");
    }
}
