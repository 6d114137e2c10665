//! Policies that are surely in force beside another one.

use netpol_policy::model::NetworkPolicy;

use crate::context::Context;
use crate::finding::{Finding, Label};
use crate::policies::KnownPolicy;

/// More policies of the same pods than this are not looked at.
const MANY: usize = 256;

/// The policies beside one, without itself, that select at least the same pods and are of a kind that is looked for.
pub(super) fn selecting_the_same<'a>(
    cx: &Context<'a>,
    policy: &'a NetworkPolicy,
    is_wanted: impl Fn(&NetworkPolicy) -> bool,
) -> impl Iterator<Item = &'a NetworkPolicy> {
    let (policies, file, source) = (cx.policies, cx.file, cx.policy);
    let others = cx.index.policies_covering(policy).take(MANY);
    let others = others.filter(move |other| other.name != policy.name && is_wanted(other));
    others.filter(move |other| {
        let mut written = policies.named(&other.name.namespace, &other.name.name).peekable();
        // One that no file has runs in the cluster.
        written.peek().is_none()
            || written.any(|known| known.model() == Some(*other) && known.beside(file, source))
    })
}

/// Whether another policy stands after the one at hand, by files and within a file.
pub(super) fn comes_after(cx: &Context<'_>, other: &NetworkPolicy) -> bool {
    let at = (&*cx.file.name, cx.policy.span.start);
    let mut written = cx.policies.named(&other.name.namespace, &other.name.name);
    written.any(|known| match known {
        KnownPolicy::Written { file, source, .. } => {
            known.model() == Some(other) && (&*file.name, source.span.start) > at
        }
        KnownPolicy::Running(_) => false,
    })
}

/// Shows where another policy is, when a file has it.
pub(super) fn show(cx: &Context<'_>, other: &NetworkPolicy, text: &str, finding: &mut Finding) {
    let mut written = cx.policies.named(&other.name.namespace, &other.name.name);
    let known = written.find(|known| known.model() == Some(other) && known.beside(cx.file, cx.policy));
    if let Some(place) = known.and_then(|known| known.place()) {
        let label = Label { place, text: text.to_owned() };
        if !finding.related.contains(&label) {
            finding.related.push(label);
        }
    }
}
