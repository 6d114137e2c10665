//! Objects as they are now, kind by kind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netpol_lint::facts::Readable;
use netpol_lint::live::{KINDS, Kind, Piece};
use tokio::sync::Notify;

/// How the reading of a kind goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It isn't read yet.
    Reading,
    /// Everything is here.
    Synced,
    /// The webhook may not list or watch it.
    Forbidden,
    /// The API server doesn't have it.
    Absent,
}

/// A kind and how its reading goes.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The kind's plural, as in the API.
    pub kind: &'static str,
    /// How it goes.
    pub state: State,
    /// How many objects are here.
    pub objects: usize,
}

/// Namespace, empty where there is none, and name.
pub(super) type Key = (Box<str>, Box<str>);

#[derive(Debug)]
pub(super) struct Store {
    kinds: Mutex<Vec<InKind>>,
    changed: Notify,
}

#[derive(Debug)]
struct InKind {
    kind: &'static Kind,
    state: State,
    objects: HashMap<Key, Arc<Piece>>,
}

/// Everything at one moment.
pub(super) struct Everything {
    pub(super) pieces: Vec<Arc<Piece>>,
    pub(super) readable: Readable,
    pub(super) policies: Vec<Arc<Piece>>,
}

impl Store {
    pub(super) fn new() -> Self {
        let kind = |kind| InKind { kind, state: State::Reading, objects: HashMap::new() };
        Self { kinds: Mutex::new(KINDS.iter().map(kind).collect()), changed: Notify::new() }
    }

    /// Puts an object of the kind with this number in the place of what was known of it.
    pub(super) fn put(&self, number: usize, key: Key, piece: Piece) {
        let mut kinds = self.lock();
        let objects = &mut kinds[number].objects;
        if objects.get(&key).is_some_and(|known| known.says_the_same(&piece)) {
            return;
        }
        objects.insert(key, Arc::new(piece));
        self.changed.notify_one();
    }

    /// An object is gone.
    pub(super) fn remove(&self, number: usize, key: &Key) {
        if self.lock()[number].objects.remove(key).is_some() {
            self.changed.notify_one();
        }
    }

    /// All objects of a kind, read anew.
    pub(super) fn replace(&self, number: usize, objects: HashMap<Key, Arc<Piece>>) {
        let mut kinds = self.lock();
        kinds[number].objects = objects;
        kinds[number].state = State::Synced;
        self.changed.notify_one();
    }

    /// A kind can't be read. What was read before stays, unless there is nothing to read any more.
    pub(super) fn unreadable(&self, number: usize, state: State) {
        let mut kinds = self.lock();
        let of_kind = &mut kinds[number];
        if state == State::Absent {
            of_kind.objects.clear();
        }
        if of_kind.state != state {
            of_kind.state = state;
            self.changed.notify_one();
        }
    }

    /// Waits for a change; one that came before counts.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn readings(&self) -> Vec<Reading> {
        let reading = |of_kind: &InKind| Reading {
            kind: of_kind.kind.plural,
            state: of_kind.state,
            objects: of_kind.objects.len(),
        };
        self.lock().iter().map(reading).collect()
    }

    /// Everything, once every kind was read or can't be.
    pub(super) fn everything(&self) -> Option<Everything> {
        let kinds = self.lock();
        if kinds.iter().any(|of_kind| of_kind.state == State::Reading) {
            return None;
        }
        let mut all = Everything { pieces: Vec::new(), readable: Readable::default(), policies: Vec::new() };
        for of_kind in &*kinds {
            if of_kind.state == State::Synced {
                all.readable.mark(of_kind.kind.kind);
            }
            all.pieces.extend(of_kind.objects.values().cloned());
            if of_kind.kind.kind == "NetworkPolicy" {
                all.policies.extend(of_kind.objects.values().cloned());
            }
        }
        Some(all)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<InKind>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
