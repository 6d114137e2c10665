//! Where selectors stand, and what they may have meant.

use netpol_policy::model::{Direction, LabelSelector, LabelValue, NetworkPolicy, Peer, Peers, Pod, Rule};
use netpol_policy::source::{self, Field, SelectorSource, Slot};
use netpol_policy::span::Span;

use crate::context::{Context, PeerAt, RuleAt};
use crate::finding::Finding;

/// The labels of a selector that asks for labels only, else the whole selector.
pub(super) fn of_selector(field: &Field<Box<SelectorSource>>) -> Span {
    match (&field.value.match_labels, &field.value.match_expressions) {
        (Slot::Present(labels), Slot::Absent) if !labels.value.is_empty() => labels.span,
        _ => field.key.to(field.span),
    }
}

/// What a selector that matches nothing in a namespace may have meant.
pub(super) struct Hint<'c> {
    /// In words.
    pub(super) text: String,
    /// A pod that has the label that was probably meant.
    pub(super) pod: Option<&'c Pod>,
}

/// More values than this are no choice to show, nor to look for a similar one in.
const MANY_VALUES: usize = 500;

/// Looks for a label value that is close to one that pods there have, or else says which values they have.
pub(super) fn hint<'a>(cx: &Context<'a>, namespace: &str, selector: &LabelSelector) -> Option<Hint<'a>> {
    let words = |text: String| Some(Hint { text, pod: None });
    for requirement in selector.requirements().filter(|requirement| requirement.operator() == "In") {
        let key = requirement.key().as_str();
        let there = cx.index.label_values(namespace, key);
        let has = |value: &str| cx.index.pod_with(namespace, key, value).is_some();
        if requirement.values().any(|value| has(value.as_str())) {
            continue;
        }
        if there.is_empty() {
            return words(format!("no workload of namespace {namespace} has a label `{key}`"));
        }
        if there.len() > MANY_VALUES {
            return None;
        }
        let near = |value: &LabelValue| source::nearest(value.as_str(), there.iter().copied());
        if let Some(near) = requirement.values().find_map(near) {
            let pod = cx.index.pod_with(namespace, key, near);
            return Some(Hint { text: format!("did you mean `{key}: {near}`?"), pod });
        }
        let mut sorted = there.to_vec();
        sorted.sort_unstable();
        let more = sorted.len().saturating_sub(5);
        sorted.truncate(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return words(format!(
            "workloads of namespace {namespace} have `{key}`: {}{more}",
            sorted.join(", ")
        ));
    }
    None
}

impl Hint<'_> {
    /// Says it in a finding, with the pod's place where that is known.
    pub(super) fn tell(&self, cx: &Context<'_>, finding: &mut Finding) {
        finding.help(&self.text);
        if let Some(pod) = self.pod {
            finding.at_workload(cx, pod, "its pods have that label");
        }
    }
}

/// A rule in the meaning of its policy.
pub(super) fn rule_mut<'m>(policy: &'m mut NetworkPolicy, at: &RuleAt<'_>) -> Option<&'m mut Rule> {
    let rules = match at.direction {
        Direction::Ingress => policy.ingress.as_mut()?,
        Direction::Egress => policy.egress.as_mut()?,
    };
    rules.get_mut(at.index)
}

/// A peer in the meaning of its policy.
pub(super) fn peer_mut<'m>(policy: &'m mut NetworkPolicy, at: &PeerAt<'_>) -> Option<&'m mut Peer> {
    match &mut rule_mut(policy, &at.rule)?.peers {
        Peers::Only(peers) => peers.get_mut(at.index),
        Peers::All => None,
    }
}
