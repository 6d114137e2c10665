//! The pods that a policy is about, and what others say about them.

use std::sync::Arc;

use netpol_policy::model::{Direction, NetworkPolicy, Peers, PodNamespaces, Ports};

use super::facts::{Explainer, Known, names};
use super::words;
use crate::words::list;

/// The pods that a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `every pod of namespace shop`, `the pods with app=db in namespace shop`.
    pub words: String,
    /// The workloads that are known.
    pub known: Known,
}

impl Subject {
    pub(super) fn of(facts: &Explainer<'_>, policy: &NetworkPolicy) -> Self {
        let own = &*policy.name.namespace;
        let words = words::pods(&PodNamespaces::Own, own, &policy.pod_selector);
        Self { words, known: Known::new(&facts.selected(policy), facts.index.knows_workloads_of(own)) }
    }

    /// With the workloads that are known.
    pub fn sentence(&self) -> String {
        format!("It selects {}{}", self.words, self.known.suffix())
    }
}

/// The other policies that add to what this one allows.
pub(super) fn others(facts: &Explainer<'_>, policy: &NetworkPolicy) -> Vec<String> {
    let pods = facts.selected(policy);
    let mut sentences = Vec::new();
    for direction in Direction::ALL.into_iter().filter(|direction| policy.rules(*direction).is_some()) {
        let namespace = &policy.name.namespace;
        let all = facts.evaluator.cluster().policies.iter().map(Arc::as_ref);
        let same_pods = |other: &&NetworkPolicy| {
            other.name.namespace == *namespace
                && other.name != policy.name
                && other.rules(direction).is_some_and(|rules| !rules.is_empty())
                && pods.iter().any(|pod| other.pod_selector.matches(&pod.labels))
        };
        let (mut everything, mut more) = (Vec::new(), Vec::new());
        for other in all.filter(same_pods) {
            let rules = other.rules(direction).unwrap_or_default();
            let open = rules.iter().any(|rule| (&rule.peers, &rule.ports) == (&Peers::All, &Ports::All));
            if open { &mut everything } else { &mut more }.push(other.name.to_string());
        }
        if !everything.is_empty() {
            let allow = if everything.len() == 1 { "allows" } else { "allow" };
            let everything = names(&everything);
            sentences
                .push(format!("{everything} selects some of these pods too and {allow} all {direction}"));
        }
        if !more.is_empty() {
            let select = if more.len() == 1 { "selects" } else { "select" };
            let adds = if more.len() == 1 { "its" } else { "their" };
            let more = names(&more);
            sentences.push(format!(
                "{more} {select} some of these pods too: {adds} {direction} rules add to these"
            ));
        }
    }
    sentences
}

/// Pods that the selector would match if they weren't on the network of their node.
pub(super) fn host_network(facts: &Explainer<'_>, policy: &NetworkPolicy) -> Option<String> {
    let pods = facts.index.host_network_pods(&policy.name.namespace, &policy.pod_selector);
    let Known { pods, .. } = Known::new(&pods.collect::<Vec<_>>(), true);
    if pods.is_empty() {
        return None;
    }
    let (have, are) = if pods.len() == 1 { ("has", "is") } else { ("have", "are") };
    let names = list(&[names(&pods)]);
    Some(format!(
        "{names} {have} the labels but {are} on the network of the node (hostNetwork), which no policy isolates"
    ))
}
