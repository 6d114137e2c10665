//! Where selectors stand, and what they may have meant.

use netpol_policy::model::{LabelSelector, LabelValue};
use netpol_policy::source::{self, Field, SelectorSource, Slot};
use netpol_policy::span::Span;

use crate::context::Context;

/// The labels of a selector that asks for labels only, else the whole selector.
pub(super) fn of_selector(field: &Field<SelectorSource>) -> Span {
    match (&field.value.match_labels, &field.value.match_expressions) {
        (Slot::Present(labels), Slot::Absent) if !labels.value.is_empty() => labels.span,
        _ => field.key.to(field.span),
    }
}

/// What a selector that matches nothing in a namespace may have meant: a label value that is close to one that pods
/// there have, or else which values they have.
pub(super) fn hint(cx: &Context<'_>, namespace: &str, selector: &LabelSelector) -> Option<String> {
    let everything = LabelSelector::everything();
    for requirement in selector.requirements().filter(|requirement| requirement.operator() == "In") {
        let key = requirement.key();
        let values = || cx.index.pods(namespace, &everything).filter_map(|pod| pod.labels.get(key));
        let wanted: Vec<_> = requirement.values().collect();
        if wanted.iter().any(|value| values().any(|there| there == *value)) {
            continue;
        }
        if values().next().is_none() {
            return Some(format!("no workload of namespace {namespace} has a label `{key}`"));
        }
        let near =
            wanted.iter().find_map(|value| source::nearest(value.as_str(), values().map(LabelValue::as_str)));
        if let Some(near) = near {
            return Some(format!("did you mean `{key}: {near}`?"));
        }
        let mut there: Vec<_> = values().map(LabelValue::as_str).collect();
        there.sort_unstable();
        there.dedup();
        let more = there.len().saturating_sub(5);
        there.truncate(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Some(format!("workloads of namespace {namespace} have `{key}`: {}{more}", there.join(", ")));
    }
    None
}
