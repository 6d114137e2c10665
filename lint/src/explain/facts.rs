//! What is known of the cluster, for the words.

use std::collections::BTreeSet;

use netpol_policy::evaluate::Evaluator;
use netpol_policy::model::{Cluster, LabelSelector, NetworkPolicy, Pod, PodNamespaces};
use netpol_policy::source::PolicySource;

use super::notes::notes;
use super::side::{Side, side};
use super::subject::{Subject, host_network, others};
use super::{Effect, Explanation, Meaning};
use crate::index::Index;
use crate::words;
use netpol_policy::model::Direction;

/// Explains policies beside a cluster. Building it is linear in the size of the cluster.
pub struct Explainer<'c> {
    pub(super) index: Index<'c>,
    pub(super) evaluator: Evaluator<'c>,
}

/// The workloads that a selector means, as far as anyone can tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Their names as `namespace/Kind/name`, sorted.
    pub pods: Vec<String>,
    /// Nothing else was given that could count: the workloads of every namespace that is meant are known.
    pub complete: bool,
}

impl<'c> Explainer<'c> {
    /// Knows a cluster, its other policies included.
    pub fn new(cluster: &'c Cluster) -> Self {
        Self { index: Index::new(cluster), evaluator: Evaluator::new(cluster) }
    }

    /// Says what a policy does.
    pub fn explain(&self, source: &PolicySource) -> Explanation {
        match &source.model {
            Some(policy) => Explanation {
                name: Some(policy.name.clone()),
                effect: Effect::Stored(Box::new(self.meaning(source, policy))),
            },
            None => Explanation { name: None, effect: Effect::Rejected(rejection(source)) },
        }
    }

    fn meaning(&self, source: &PolicySource, policy: &NetworkPolicy) -> Meaning {
        let subject = Subject::of(self, policy);
        let [ingress, egress] =
            [Direction::Ingress, Direction::Egress].map(|direction| side(self, source, policy, direction));
        let mut still_open: Vec<_> = [&ingress, &egress].into_iter().flat_map(Side::still_open).collect();
        still_open.extend(others(self, policy));
        still_open.extend(host_network(self, policy));
        let notes = notes(policy);
        Meaning { subject, ingress, egress, still_open, notes }
    }

    /// The workloads that a policy selects.
    pub(super) fn selected(&self, policy: &NetworkPolicy) -> Vec<&'c Pod> {
        self.index.pods(&policy.name.namespace, &policy.pod_selector).collect()
    }

    /// The workloads that a peer means, and whether those are all.
    pub(super) fn meant(
        &self,
        namespaces: &PodNamespaces,
        own: &str,
        pods: &LabelSelector,
    ) -> (Vec<&'c Pod>, bool) {
        let (names, complete) = match namespaces {
            PodNamespaces::Own => (vec![own], true),
            PodNamespaces::Selected(selector) => {
                let matched = self.index.namespaces(selector);
                (matched.names, matched.complete)
            }
        };
        let complete = complete && names.iter().all(|name| self.index.knows_workloads_of(name));
        (names.into_iter().flat_map(|name| self.index.pods(name, pods)).collect(), complete)
    }
}

fn rejection(source: &PolicySource) -> String {
    let problem = source.problems.iter().find(|problem| problem.kind.rejects());
    let Some(problem) = problem.or(source.problems.first()) else { return "it is invalid".to_owned() };
    let at = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    crate::output::printable::one_line(&format!("{at}{}", problem.message)).into_owned()
}

impl Known {
    pub(super) fn new(pods: &[&Pod], complete: bool) -> Self {
        let names: BTreeSet<_> = pods.iter().map(|pod| &pod.name).collect();
        Self { pods: names.into_iter().map(ToString::to_string).collect(), complete }
    }

    /// What follows a description: `: a and b`, or nothing when nothing is known.
    pub(super) fn suffix(&self) -> String {
        match (self.pods.is_empty(), self.complete) {
            (false, true) => format!(": {}", names(&self.pods)),
            (false, false) => format!("; of the workloads given: {}", names(&self.pods)),
            (true, true) => ": none of the workloads given".to_owned(),
            (true, false) => String::new(),
        }
    }
}

/// The first names and how many more.
pub(super) fn names(all: &[String]) -> String {
    const SHOWN: usize = 6;
    if all.len() <= SHOWN + 1 {
        return words::list(all);
    }
    format!("{} and {} more", all[..SHOWN].join(", "), all.len() - SHOWN)
}
