//! What a client removes of the one stream that loses entries on purpose. Never of a stream that has a group: what is
//! pending there would lose its content.

use std::io;

use base::Entropy;
use checker::history::{Stream, What};
use checker::replies::{count_of, judge, text_of};

use super::{Load, entries_of, ids_of, key};
use crate::client::Client;
use crate::wait;

/// The oldest entries, of which some go at a time.
const OLDEST: &str = "40";

impl Load {
    /// Trims the oldest entries, or deletes one of them.
    pub(super) fn thin(&mut self, client: &mut Client, stream: Stream) -> io::Result<()> {
        let key = key(stream);
        let oldest = client.call(&["XRANGE", &key, "-", "+", "COUNT", OLDEST])?;
        let ids = ids_of(&entries_of(&oldest));
        if ids.is_empty() {
            return Ok(());
        }
        let id = ids[self.below(ids.len() as u64)];
        let text = text_of(id);
        let trims = self.entropy.below(4) > 0;
        let args =
            if trims { vec!["XTRIM", &key, "MINID", &text] } else { vec!["XDEL", &key, &text] };
        let call = wait::now();
        let answered = client.call(&args);
        let outcome = judge(answered.as_ref().ok(), count_of);
        self.note(
            stream,
            call,
            match trims {
                true => What::Trim { before: id, outcome },
                false => What::Delete { ids: vec![id], outcome },
            },
        );
        answered.map(drop)
    }
}
