//! The simulation itself: whether a seed means one life.

use std::process::Command;

/// The whole trace of a short life.
fn trace(seed: u64) -> String {
    let program = env!("CARGO_BIN_EXE_sim");
    let lived = Command::new(program).args([&seed.to_string(), "--seconds", "10"]).output();
    let lived = lived.expect("the program runs");
    assert!(lived.status.success(), "{}", String::from_utf8_lossy(&lived.stderr));
    String::from_utf8(lived.stdout).expect("a trace is text")
}

#[test]
fn a_seed_gives_the_same_trace_again_to_the_byte() {
    let (once, again) = (trace(11), trace(11));
    let differs = once.lines().zip(again.lines()).find(|(one, other)| one != other);
    assert_eq!(differs, None);
    assert_eq!(once, again);
    assert!(once.lines().count() > 200, "{once}");
    assert_ne!(once, trace(12));
}
