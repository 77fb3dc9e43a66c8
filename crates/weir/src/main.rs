//! The binary: command line and nothing else.

fn main() {}
