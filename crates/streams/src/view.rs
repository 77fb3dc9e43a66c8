//! The state as it is at a time: a key whose time has passed isn't there, whether or not it was
//! removed already. Every question is answered from this.

use bytes::Bytes;

use crate::id::StreamNumber;
use crate::settings::Settings;
use crate::state::State;
use crate::stream::Stream;

#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    state: &'a State,
    now_ms: u64,
}

impl State {
    pub(crate) fn at(&self, now_ms: u64) -> View<'_> {
        View { state: self, now_ms }
    }
}

impl<'a> View<'a> {
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(crate) fn settings(&self) -> &'a Settings {
        &self.state.settings
    }

    pub(crate) fn stream(&self, key: &[u8]) -> Option<&'a Stream> {
        self.state.stream(key).filter(|stream| !stream.is_expired(self.now_ms))
    }

    pub(crate) fn has(&self, key: &[u8]) -> bool {
        self.stream(key).is_some()
    }

    pub(crate) fn keys_count(&self) -> u64 {
        self.state.keys_count() - self.state.due(self.now_ms).count() as u64
    }

    /// The keys, in order of their bytes.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a Bytes> {
        self.state
            .names
            .iter()
            .filter(|(_, number)| self.number(**number).is_some())
            .map(|(k, _)| k)
    }

    /// Streams in order of the places of their keys, from one on.
    pub(crate) fn streams_from(&self, place: u64) -> impl Iterator<Item = (u64, &'a Stream)> {
        let places = self.state.places.from(place);
        places.filter_map(|(place, number)| Some((place, self.number(number)?)))
    }

    fn number(&self, number: StreamNumber) -> Option<&'a Stream> {
        let stream = self.state.streams.get(&number).map(Box::as_ref);
        stream.filter(|stream| !stream.is_expired(self.now_ms))
    }
}
