//! A batch on a shard's tree, cut into several where it gets long, each atomic and each with the
//! shard's sum. Never flushes.

use super::failed;
use crate::api::Error;
use crate::layout::sum::{self, Sum};
use crate::layout::{chunk, frame};
use crate::limits::{BATCH_OPERATIONS_MAX, VALUE_BYTES_MAX};

pub(super) struct Batch<'a> {
    tree: &'a sled::Tree,
    sum: &'a mut Sum,
    batch: sled::Batch,
    operations: usize,
    /// Whether the sum has changed.
    counted: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(tree: &'a sled::Tree, sum: &'a mut Sum) -> Self {
        Self { tree, sum, batch: sled::Batch::default(), operations: 0, counted: false }
    }

    /// Adds a record that isn't there yet.
    pub(super) fn insert(&mut self, key: Vec<u8>, payload: &[u8]) -> Result<(), Error> {
        self.make_room()?;
        if Sum::counts(&key) {
            self.sum.add(&key);
            self.counted = true;
        }
        self.overwrite(key, payload);
        Ok(())
    }

    /// Writes a record that is there already.
    pub(super) fn overwrite(&mut self, key: Vec<u8>, payload: &[u8]) {
        let value = frame(&key, payload);
        assert!(value.len() <= VALUE_BYTES_MAX, "a longer value would become a blob file");
        self.batch.insert(key, value);
        self.operations += 1;
    }

    /// Removes a record that is there, or a chunk that may be.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), Error> {
        self.make_room()?;
        if Sum::counts(key) {
            self.sum.subtract(key);
            self.counted = true;
        } else {
            debug_assert_eq!(key.first(), Some(&chunk::KIND));
        }
        self.batch.remove(key);
        self.operations += 1;
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Error> {
        // One place is for the sum.
        if self.operations + 1 < BATCH_OPERATIONS_MAX { Ok(()) } else { self.commit() }
    }

    /// Applies what has gathered. Must be called at the end.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        if self.operations == 0 {
            return Ok(());
        }
        if self.counted {
            self.overwrite(sum::KEY.to_vec(), &self.sum.encode());
            self.counted = false;
        }
        self.operations = 0;
        self.tree.apply_batch(std::mem::take(&mut self.batch)).map_err(failed)
    }
}
