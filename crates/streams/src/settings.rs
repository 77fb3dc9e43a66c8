//! What of a shard's behaviour may be chosen while it runs. Part of the state, and changed by a
//! command only, so that every replica goes by the same at the same place of the log. Knows no name
//! by which people choose.

use crate::command::Trim;
use crate::idempotence::Window;
use crate::limits::{
    BLOCK_BYTES_DEFAULT, BLOCK_BYTES_MAX, BLOCK_ENTRIES_DEFAULT, BLOCK_ENTRIES_MAX,
    IDEMPOTENCE_IDS_MAX, IDEMPOTENCE_MS_MAX, TRIM_BLOCKS_MAX_DEFAULT,
};

/// A shard's settings. Numbers that are out of range count as the nearest that is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Grows with each choice: nothing replaces a newer one.
    pub revision: u64,
    /// Entries in a block; 0 is as many as there may be.
    pub block_entries_max: u64,
    /// Bytes in a block, as Redis would encode it; 0 is as many as there may be.
    pub block_bytes_max: u64,
    /// How long streams remember what their producers added, where XCFGSET said nothing.
    pub idempotence_ms: u64,
    /// Ids of each producer that they remember.
    pub idempotence_ids_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            revision: 0,
            block_entries_max: BLOCK_ENTRIES_DEFAULT,
            block_bytes_max: BLOCK_BYTES_DEFAULT,
            idempotence_ms: IDEMPOTENCE_MS_MAX,
            idempotence_ids_max: IDEMPOTENCE_IDS_MAX,
        }
    }
}

impl Settings {
    /// Every number, in the order in which they are written.
    pub(crate) fn numbers(&self) -> [u64; 5] {
        let Self { revision, block_entries_max, block_bytes_max, .. } = *self;
        let Self { idempotence_ms, idempotence_ids_max, .. } = *self;
        [revision, block_entries_max, block_bytes_max, idempotence_ms, idempotence_ids_max]
    }

    pub(crate) fn from_numbers(numbers: [u64; 5]) -> Self {
        let [revision, block_entries_max, block_bytes_max, idempotence_ms, idempotence_ids_max] =
            numbers;
        Self { revision, block_entries_max, block_bytes_max, idempotence_ms, idempotence_ids_max }
    }

    pub(crate) fn block_entries(&self) -> usize {
        let max = BLOCK_ENTRIES_MAX;
        usize::try_from(self.block_entries_max)
            .map_or(max, |it| if it == 0 { max } else { it.min(max) })
    }

    pub(crate) fn block_bytes(&self) -> u64 {
        let max = BLOCK_BYTES_MAX;
        if self.block_bytes_max == 0 { max } else { self.block_bytes_max.min(max) }
    }

    pub(crate) fn window(&self) -> Window {
        Window {
            duration_ms: self.idempotence_ms.clamp(1, IDEMPOTENCE_MS_MAX),
            ids_max: self.idempotence_ids_max.clamp(1, IDEMPOTENCE_IDS_MAX),
        }
    }

    /// A trim that says how much it removes at most.
    pub(crate) fn limited(&self, trim: &Trim) -> Trim {
        let default = TRIM_BLOCKS_MAX_DEFAULT * self.block_entries() as u64;
        Trim { limit: trim.limit.or(Some(default)), ..*trim }
    }
}
