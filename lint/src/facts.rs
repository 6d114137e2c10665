//! What a cluster says about itself that no manifest says: who enforces policies on which node, which addresses are its
//! own, and which policies of its administrators come first.

mod admin;
mod agent;
mod nodes;
mod ranges;
mod read;
mod version;

pub use admin::{AdminAction, AdminPeer, AdminPolicy, AdminPorts, AdminRule, Subject};
pub use agent::{Agent, AgentKind, Limit, Limitation};
pub use nodes::{Enforcement, NodeFacts};
pub use ranges::{AddressOwner, Range, Ranges};
pub use read::{Evidence, Readable};
pub use version::Version;

use crate::file::SourceFile;

/// What is known of a cluster beside its objects that policies select. [`Evidence`] gathers it.
#[derive(Debug, Clone, Default)]
pub struct ClusterFacts {
    /// Its nodes, by name.
    pub nodes: Vec<NodeFacts>,
    /// The agents that enforce policies on at least one node, each version once.
    pub agents: Vec<Agent>,
    /// Addresses of pods and Services.
    pub ranges: Ranges,
    /// Policies of the admin tier, the first to decide first. Baseline policies come last of all and are left out.
    pub admin_policies: Vec<AdminPolicy>,
    /// Every namespace of the cluster is known.
    pub all_namespaces: bool,
    /// Where to say what is wrong with the whole cluster: file and document.
    told_at: Option<(Box<str>, usize)>,
}

impl ClusterFacts {
    /// Chooses the policy at which rules say what is wrong with the whole cluster: the first that is checked.
    pub fn tell_at_first(&mut self, files: &[SourceFile]) {
        let first = |file: &SourceFile| Some((file.name.clone(), file.policies().next()?.0));
        self.told_at = files.iter().filter(|file| !file.context).find_map(first);
    }

    /// Chooses a document by the name of its file and its number in it.
    pub fn tell_at(&mut self, file: &str, document: usize) {
        self.told_at = Some((file.into(), document));
    }

    /// Whether what is wrong with the whole cluster is to be said at this document.
    pub(crate) fn is_told_at(&self, file: &SourceFile, document: usize) -> bool {
        self.told_at.as_ref().is_some_and(|(name, number)| *name == file.name && *number == document)
    }
}
