//! Nothing: a place for tests of another package.
