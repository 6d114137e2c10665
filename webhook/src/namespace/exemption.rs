//! Namespaces that are never isolated by default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

/// What Kubernetes itself lives in: isolating it is how clusters get bricked.
const SYSTEM_PREFIX: &str = "kube-";

/// Namespaces that the API server calls into, each with what it calls there.
pub(crate) type Backing = BTreeMap<String, String>;

/// Names that are left alone: those that begin with `kube-`, those given, and those that the API server calls into.
/// Clones share what is known of the cluster.
#[derive(Debug, Clone)]
pub struct Exemptions {
    names: Arc<BTreeSet<String>>,
    /// None until the cluster has been asked.
    backing: watch::Sender<Option<Backing>>,
}

impl Exemptions {
    /// Leaves these alone besides `kube-*`.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: Arc::new(names.into_iter().collect()), backing: watch::Sender::default() }
    }

    /// Whether a namespace of this name is left alone. A `generateName` may stand for the name: its end can't change
    /// what it begins with.
    pub fn contains(&self, name: &str) -> bool {
        name.starts_with(SYSTEM_PREFIX) || self.names.contains(name) || self.called(name).is_some()
    }

    /// What the API server calls in this namespace, if anything.
    pub(crate) fn called(&self, name: &str) -> Option<String> {
        self.backing.borrow().as_ref()?.get(name).cloned()
    }

    /// What the cluster says; whether that is news.
    pub(super) fn learn(&self, backing: Backing) -> bool {
        self.backing.send_if_modified(|known| {
            let news = known.as_ref() != Some(&backing);
            *known = Some(backing);
            news
        })
    }

    /// To wait for news.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Backing>> {
        self.backing.subscribe()
    }
}
