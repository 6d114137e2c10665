//! What is known of the cluster: watched, kept small, and put together in the background.
//!
//! [`Watch`] follows the kinds that netpol-lint reads from a cluster. When something changed, everything is indexed
//! anew, off the path of requests, and swapped in as one [`Snapshot`]; a request sees one snapshot from its beginning to
//! its end. While the API server is away, the last snapshot goes on being used, and a metric tells its age.

mod build;
mod snapshot;
mod store;
mod watch;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use kube::Client;

pub(crate) use snapshot::OBJECT;
pub use snapshot::Snapshot;
use store::Store;
pub use store::{Reading, State};

/// A cluster that is watched.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    current: RwLock<Option<Arc<Snapshot>>>,
    /// When the API server last answered.
    contact: RwLock<Option<Instant>>,
}

impl Watch {
    /// Nothing is known yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { store: Store::new(), current: RwLock::default(), contact: RwLock::default() })
    }

    /// What is known already, without an API server.
    pub fn of(snapshot: Snapshot) -> Arc<Self> {
        let watch = Self::new();
        *watch.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(snapshot));
        watch
    }

    /// Watches until it is dropped.
    pub async fn run(self: Arc<Self>, client: Client) {
        let build = build::keep_built(Arc::clone(&self));
        let contact = watch::keep_in_contact(Arc::clone(&self), client.clone());
        let kinds = watch::all(Arc::clone(&self), client);
        tokio::join!(build, contact, kinds);
    }

    /// What is known now; nothing before every kind was read once.
    pub fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the reading of each kind goes.
    pub fn readings(&self) -> Vec<Reading> {
        self.store.readings()
    }

    /// Why rules that need the cluster can't be trusted yet; nothing when they can.
    pub fn missing(&self) -> Option<&'static str> {
        if self.snapshot().is_none() {
            return Some("the cluster isn't known yet\n");
        }
        let needed = ["networkpolicies", "namespaces", "pods"];
        let forbidden =
            |reading: &Reading| reading.state == State::Forbidden && needed.contains(&reading.kind);
        let some = self.readings().iter().any(forbidden);
        some.then_some("the webhook may not list and watch networkpolicies, namespaces and pods\n")
    }

    /// How long ago the API server last answered.
    pub fn silence(&self) -> Option<Duration> {
        let contact = *self.contact.read().unwrap_or_else(PoisonError::into_inner);
        contact.map(|at| at.elapsed())
    }

    fn in_contact(&self) {
        *self.contact.write().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}
