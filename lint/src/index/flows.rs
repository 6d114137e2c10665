//! What the far ends of rules deny. Many policies ask the same about the same pods.

use std::sync::{Arc, PoisonError};

use netpol_policy::model::{Direction, LabelSelector, PodNamespaces, Ports};

use super::{Index, remember};

/// A peer of a rule beside the pods of its policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Flow {
    /// The namespace of the policy.
    pub(crate) own: Box<str>,
    /// The pods that it selects.
    pub(crate) near: LabelSelector,
    pub(crate) direction: Direction,
    /// The namespaces of the peer.
    pub(crate) namespaces: PodNamespaces,
    /// The pods of the peer.
    pub(crate) far: LabelSelector,
    pub(crate) ports: Ports,
}

/// What the policies at the far end deny of a flow.
#[derive(Debug, Default)]
pub(crate) struct Denied {
    /// The indexes of the ports that get through nowhere; of a rule without a list of ports 0 stands for all.
    pub(crate) ports: Vec<usize>,
    /// By what, in words.
    pub(crate) by: String,
}

impl Index<'_> {
    /// What is denied of a flow: as it was worked out before, or as it is now.
    pub(crate) fn denied(
        &self,
        flow: impl FnOnce() -> Flow,
        work_out: impl FnOnce() -> Denied,
    ) -> Arc<Denied> {
        let Some(flows) = &self.flows else { return Arc::new(work_out()) };
        let lock = || flows.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = flow();
        if let Some(known) = lock().get(&flow) {
            return known.clone();
        }
        let denied = Arc::new(work_out());
        remember(&mut lock(), flow, denied.clone());
        denied
    }
}
