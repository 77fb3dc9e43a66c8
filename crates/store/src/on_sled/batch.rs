//! Writing to a shard's tree. Small records gather in a batch, which is cut into several where it
//! gets long, each atomic and each with the shard's sum. Chunks are written at once, on their own:
//! each batch of sled costs two syncs, and nobody sees a chunk without its entry.
//!
//! Flushes only so that sled's own threads are never all busy. Each of its writes ends by taking the
//! lock of its segments; who takes a new segment holds that lock until the file has been cut off
//! there, which another of the same seven threads must do. With seven writes on their way the store
//! stands still for ever (spacejam/sled#1269, mended after 0.34.7).

use std::sync::atomic::{AtomicUsize, Ordering};

use super::failed;
use crate::api::Error;
use crate::layout::sum::{self, Sum};
use crate::layout::{chunk, frame};
use crate::limits::{
    AHEAD_OF_SLED_MAX, BATCH_AHEAD_OF_SLED, BATCH_OPERATIONS_MAX, VALUE_BYTES_MAX,
};

/// What sled was given since it was last waited for, in chunks. Of all shards of a store.
#[derive(Debug, Default)]
pub(super) struct Ahead(AtomicUsize);

impl Ahead {
    /// So much is about to be given: waits for what was given before where it would get too much.
    pub(super) fn wait_for_room(&self, tree: &sled::Tree, chunks: usize) -> Result<(), Error> {
        if self.0.fetch_add(chunks, Ordering::Relaxed) + chunks <= AHEAD_OF_SLED_MAX {
            return Ok(());
        }
        tree.flush().map_err(failed)?;
        self.0.store(chunks, Ordering::Relaxed);
        Ok(())
    }
}

pub(super) struct Batch<'a> {
    tree: &'a sled::Tree,
    sum: &'a mut Sum,
    ahead: &'a Ahead,
    batch: sled::Batch,
    operations: usize,
    /// Whether the sum has changed.
    counted: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(tree: &'a sled::Tree, sum: &'a mut Sum, ahead: &'a Ahead) -> Self {
        Self { tree, sum, ahead, batch: sled::Batch::default(), operations: 0, counted: false }
    }

    /// Adds a small record that isn't there yet.
    pub(super) fn insert(&mut self, key: Vec<u8>, payload: &[u8]) -> Result<(), Error> {
        assert!(Sum::counts(&key), "chunks go another way");
        self.make_room()?;
        self.sum.add(&key);
        self.counted = true;
        self.overwrite(key, payload);
        Ok(())
    }

    /// Writes a small record that is there already.
    pub(super) fn overwrite(&mut self, key: Vec<u8>, payload: &[u8]) {
        let value = framed(&key, payload);
        self.batch.insert(key, value);
        self.operations += 1;
    }

    /// Removes a small record that is there.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<(), Error> {
        assert!(Sum::counts(key), "chunks go another way");
        self.make_room()?;
        self.sum.subtract(key);
        self.counted = true;
        self.batch.remove(key);
        self.operations += 1;
        Ok(())
    }

    /// Writes a chunk: before its entry.
    pub(super) fn insert_chunk(&mut self, key: &[u8], payload: &[u8]) -> Result<(), Error> {
        assert_eq!(key.first(), Some(&chunk::KIND));
        self.ahead.wait_for_room(self.tree, 1)?;
        self.tree.insert(key, framed(key, payload)).map(drop).map_err(failed)
    }

    /// Removes a chunk, if it is there: before its entry.
    pub(super) fn remove_chunk(&mut self, key: &[u8]) -> Result<(), Error> {
        assert_eq!(key.first(), Some(&chunk::KIND));
        self.ahead.wait_for_room(self.tree, 1)?;
        self.tree.remove(key).map(drop).map_err(failed)
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
        self.ahead.wait_for_room(self.tree, BATCH_AHEAD_OF_SLED)?;
        self.tree.apply_batch(std::mem::take(&mut self.batch)).map_err(failed)
    }
}

fn framed(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let value = frame(key, payload);
    assert!(value.len() <= VALUE_BYTES_MAX, "a longer value would become a blob file");
    value
}
