//! What of a shard's tree is visible at one version. Never changes; a switch makes a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::layout::Version;

#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) version: Version,
    pub(super) meta: Bytes,
    /// Versions below that were never switched to and may have records.
    pub(super) passed_over: BTreeSet<Version>,
    pub(super) drops: Arc<Drops>,
}

/// Prefixes that were dropped and not swept yet, each with the newest version that did so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Drops {
    newest: BTreeMap<Bytes, Version>,
    /// Lengths of the prefixes: few, however many prefixes there are.
    lengths: BTreeSet<usize>,
}

impl Drops {
    pub(super) fn add(&mut self, prefix: &Bytes, version: Version) {
        self.lengths.insert(prefix.len());
        let newest = self.newest.entry(prefix.clone()).or_insert(version);
        *newest = version.max(*newest);
    }

    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    /// Whether a part with this key that `version` wrote is gone.
    pub(super) fn cover(&self, key: &[u8], version: Version) -> bool {
        self.lengths
            .iter()
            .filter_map(|length| key.get(..*length))
            .filter_map(|prefix| self.newest.get(prefix))
            .any(|dropped| version < *dropped)
    }
}

impl FromIterator<(Bytes, Version)> for Drops {
    fn from_iter<I: IntoIterator<Item = (Bytes, Version)>>(drops: I) -> Self {
        let mut all = Self::default();
        for (prefix, version) in drops {
            all.add(&prefix, version);
        }
        all
    }
}
