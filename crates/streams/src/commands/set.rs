//! What was chosen for all shards comes into effect in this one. Blocks and producers' ids that are
//! there stay as they are until something is added to them.

use super::{Call, Outcome};
use crate::reply::Reply;
use crate::settings::Settings;

impl Call<'_> {
    pub(super) fn set(&mut self, settings: Settings) -> Outcome {
        if settings.revision > self.state.settings.revision {
            self.state.settings = settings;
            self.state.dirty.bytes += 64;
            self.state.dirty.parts += 1;
        }
        Ok(Reply::Ok)
    }
}
