//! Peer clauses: what a rule can ask of an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netpol_policy::model::{IpBlock, LabelSelector, Labels, Peer, Pod, PodNamespaces};

/// A peer with nothing left to look up: two policies that mean the same peers have the same clause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clause {
    /// Pods of one namespace.
    PodsOf {
        /// Its name.
        namespace: Box<str>,
        /// Which pods.
        pods: LabelSelector,
    },
    /// Pods of namespaces by labels.
    Pods {
        /// Which namespaces.
        namespaces: LabelSelector,
        /// Which pods there.
        pods: LabelSelector,
    },
    /// Addresses.
    Block(IpBlock),
}

/// The number of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClauseId(u32);

/// The numbers of clauses: the same clause always gets the same one.
#[derive(Clone, Debug, Default)]
pub struct Clauses {
    ids: BTreeMap<Clause, ClauseId>,
    clauses: BTreeMap<ClauseId, Clause>,
    next: u32,
}

impl Clause {
    /// The clause of a peer in a policy of `namespace`.
    #[must_use]
    pub fn new(peer: &Peer, namespace: &str) -> Self {
        match peer {
            Peer::Block(block) => Self::Block(block.clone()),
            Peer::Pods { namespaces: PodNamespaces::Own, pods } => {
                Self::PodsOf { namespace: namespace.into(), pods: pods.clone() }
            }
            Peer::Pods { namespaces: PodNamespaces::Selected(namespaces), pods } => {
                Self::Pods { namespaces: namespaces.clone(), pods: pods.clone() }
            }
        }
    }

    /// Whether it matches a pod by its labels; blocks match by address only.
    #[must_use]
    pub fn matches_pod(&self, pod: &Pod, namespace_labels: &Labels) -> bool {
        match self {
            Self::PodsOf { namespace, pods } => {
                *pod.name.namespace == **namespace && pods.matches(&pod.labels)
            }
            Self::Pods { namespaces, pods } => {
                namespaces.matches(namespace_labels) && pods.matches(&pod.labels)
            }
            Self::Block(_) => false,
        }
    }

    /// Whether it matches any pods of a namespace, those with the right labels.
    #[must_use]
    pub fn can_match_in(&self, namespace: &str, labels: &Labels) -> bool {
        match self {
            Self::PodsOf { namespace: own, .. } => **own == *namespace,
            Self::Pods { namespaces, .. } => namespaces.matches(labels),
            Self::Block(_) => false,
        }
    }

    /// Whether it matches pods with these labels, where it matches any.
    #[must_use]
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        match self {
            Self::PodsOf { pods, .. } | Self::Pods { pods, .. } => pods.matches(labels),
            Self::Block(_) => false,
        }
    }

    /// Whether it matches an address as such.
    #[must_use]
    pub fn matches_address(&self, address: IpAddr) -> bool {
        matches!(self, Self::Block(block) if block.contains(address))
    }
}

impl Clauses {
    /// The number of a clause, a new one if it was never seen.
    pub fn id(&mut self, clause: Clause) -> ClauseId {
        if let Some(id) = self.ids.get(&clause) {
            return *id;
        }
        let id = ClauseId(self.next);
        self.next = self.next.checked_add(1).expect("fewer than 2^32 clauses in the life of a process");
        self.clauses.insert(id, clause.clone());
        self.ids.insert(clause, id);
        id
    }

    /// Forgets all but these, once there are many others. A number never means something else afterwards.
    pub fn retain(&mut self, used: &BTreeSet<ClauseId>) {
        const FEW: usize = 64;
        if self.clauses.len() > 2 * used.len() + FEW {
            self.clauses.retain(|id, _| used.contains(id));
            self.ids.retain(|_, id| used.contains(id));
        }
    }

    /// The clause of a number.
    ///
    /// # Panics
    /// When the number came from another [`Clauses`].
    #[must_use]
    pub fn clause(&self, id: ClauseId) -> &Clause {
        &self.clauses[&id]
    }
}
