//! What is told to whoever listens: notices that clients publish, over all nodes of the cluster, and
//! what happens to the keys of this node's replicas. At most once, and nobody waits: a node that
//! isn't reached, or stands still, misses what was told meanwhile. Never stored, never in the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use streams::event::Event;

use crate::link::Message;
use crate::machine::data::Listener;
use crate::network::Router;

/// Something that a client published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What kind of channel it is; the doors know what the number means.
    pub class: u8,
    pub channel: Bytes,
    pub payload: Bytes,
}

impl Notice {
    /// As it goes to a peer.
    pub(crate) fn to_message(&self, kind: u8) -> Message {
        let (session, head, body) =
            (self.class.into(), self.channel.clone(), vec![self.payload.clone()]);
        Message { kind, session, head, body, ..Message::default() }
    }

    /// As it came from one.
    pub(crate) fn of_message(message: Message) -> Result<Self, &'static str> {
        let class = u8::try_from(message.session).map_err(|_| "unknown class of notice")?;
        let [payload] =
            <[Bytes; 1]>::try_from(message.body).map_err(|_| "a notice has one payload")?;
        Ok(Self { class, channel: message.head, payload })
    }
}

/// Somebody who listens. Calls must not block.
pub trait Ear: Send + Sync {
    /// A client published something, at this node or another.
    fn told(&self, notice: &Notice);

    /// Something happened to keys, in the order in which this node applied it.
    fn happened(&self, events: &[Event]);

    /// Whether it wants to hear what happens to keys.
    fn wants_events(&self) -> bool;
}

/// A node's.
pub struct Bus {
    /// None in a test without peers.
    router: Option<Arc<Router>>,
    ears: Mutex<Vec<Weak<dyn Ear>>>,
    /// Somebody wants to hear what happens to keys.
    wanted: Arc<AtomicBool>,
}

impl Bus {
    pub(crate) fn new(router: Arc<Router>) -> Arc<Self> {
        Arc::new(Self { router: Some(router), ..Self::alone() })
    }

    /// A bus that reaches nobody but who listens here. For tests of doors.
    pub fn alone() -> Self {
        Self { router: None, ears: Mutex::default(), wanted: Arc::default() }
    }

    /// From now on somebody listens, for as long as they live.
    pub fn attach(&self, ear: Weak<dyn Ear>) {
        self.ears().push(ear);
        self.refresh();
    }

    /// Asks everybody again what they want to hear.
    pub fn refresh(&self) {
        let wanted = self.listening().iter().any(|ear| ear.wants_events());
        self.wanted.store(wanted, Ordering::SeqCst);
    }

    /// Tells everybody who listens, at every node that is reached.
    pub fn publish(&self, notice: &Notice) {
        self.told(notice);
        if let Some(router) = &self.router {
            router.tell_all(notice);
        }
    }

    /// Another node told this.
    pub(crate) fn told(&self, notice: &Notice) {
        self.listening().iter().for_each(|ear| ear.told(notice));
    }

    /// Something happened to keys.
    pub fn happened(&self, events: &[Event]) {
        self.listening().iter().for_each(|ear| ear.happened(events));
    }

    /// Set while somebody wants to hear what happens to keys.
    pub fn wanted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.wanted)
    }

    /// Passes on what happens to a shard, until its machine is gone.
    pub async fn pass_on(self: Arc<Self>, mut listener: Listener) {
        while let Some(events) = listener.next().await {
            self.happened(&events);
        }
    }

    /// Who is still there.
    fn listening(&self) -> Vec<Arc<dyn Ear>> {
        let mut ears = self.ears();
        ears.retain(|ear| ear.strong_count() > 0);
        ears.iter().filter_map(Weak::upgrade).collect()
    }

    fn ears(&self) -> MutexGuard<'_, Vec<Weak<dyn Ear>>> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard {
        told: Mutex<Vec<Notice>>,
        events: Mutex<Vec<Event>>,
        wants: AtomicBool,
    }

    impl Ear for Heard {
        fn told(&self, notice: &Notice) {
            self.told.lock().unwrap().push(notice.clone());
        }

        fn happened(&self, events: &[Event]) {
            self.events.lock().unwrap().extend_from_slice(events);
        }

        fn wants_events(&self) -> bool {
            self.wants.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn everybody_who_is_still_there_is_told() {
        let bus = Bus::alone();
        let (first, second) = (Arc::new(Heard::default()), Arc::new(Heard::default()));
        let ears: [Weak<dyn Ear>; 2] = [Arc::downgrade(&first) as _, Arc::downgrade(&second) as _];
        ears.into_iter().for_each(|ear| bus.attach(ear));
        let notice = Notice { class: 1, channel: "c".into(), payload: "p".into() };
        bus.publish(&notice);
        drop(second);
        bus.publish(&notice);
        assert_eq!(*first.told.lock().unwrap(), vec![notice.clone(), notice]);
        assert_eq!(bus.listening().len(), 1);
    }

    #[test]
    fn events_are_wanted_while_somebody_wants_them() {
        let bus = Bus::alone();
        let ear = Arc::new(Heard::default());
        bus.attach(Arc::downgrade(&ear) as _);
        assert!(!bus.wanted().load(Ordering::SeqCst));
        ear.wants.store(true, Ordering::SeqCst);
        bus.refresh();
        assert!(bus.wanted().load(Ordering::SeqCst));
        let event = Event::Removed { key: "k".into() };
        bus.happened(std::slice::from_ref(&event));
        assert_eq!(*ear.events.lock().unwrap(), vec![event]);
        drop(ear);
        bus.refresh();
        assert!(!bus.wanted().load(Ordering::SeqCst));
    }
}
