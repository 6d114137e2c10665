//! Namespaces that are never isolated by default.

use std::collections::BTreeSet;

/// What Kubernetes itself lives in: isolating it is how clusters get bricked.
const SYSTEM_PREFIX: &str = "kube-";

/// Names that are left alone: those that begin with `kube-`, and those given.
#[derive(Debug, Clone, Default)]
pub struct Exemptions {
    names: BTreeSet<String>,
}

impl Exemptions {
    /// Leaves these alone besides `kube-*`.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect() }
    }

    /// Whether a namespace of this name is left alone. A `generateName` may stand for the name: its end can't change
    /// what it begins with.
    pub fn contains(&self, name: &str) -> bool {
        name.starts_with(SYSTEM_PREFIX) || self.names.contains(name)
    }
}
