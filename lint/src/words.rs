//! Words for messages.

use std::collections::BTreeSet;

use netpol_policy::model::{LabelSelector, METADATA_NAME, Pod, WorkloadName};

/// A namespace selector in words: `namespace shop`, `namespaces team=shop`, `every namespace`.
pub(crate) fn namespaces(selector: &LabelSelector) -> String {
    if selector.is_everything() {
        return "every namespace".to_owned();
    }
    match only_name(selector) {
        Some(name) => format!("namespace {name}"),
        None => format!("namespaces {selector}"),
    }
}

/// The name of the only namespace that a selector can match, when it asks for the name and nothing else.
pub(crate) fn only_name(selector: &LabelSelector) -> Option<&str> {
    let mut requirements = selector.requirements();
    let (requirement, None) = (requirements.next()?, requirements.next()) else { return None };
    let mut values = requirement.values();
    match (requirement.key().as_str(), requirement.operator(), values.next(), values.next()) {
        (METADATA_NAME, "In", Some(value), None) => Some(value.as_str()),
        _ => None,
    }
}

/// More pods than this are not counted.
const MANY_PODS: usize = 1000;

/// The names of some pods: `a, b and 3 more`; `none` when there are none. Variants of one pod count once.
pub(crate) fn pod_names<'p>(mut pods: impl Iterator<Item = &'p Pod>) -> String {
    let first = pods.next();
    let second = pods.next();
    if let (Some(only), None) = (first, second) {
        return pod_name(only);
    }
    let mut pods = first.into_iter().chain(second).chain(pods);
    let names: BTreeSet<_> = pods.by_ref().take(MANY_PODS).map(|pod| &pod.name).collect();
    let shown: Vec<_> = names.iter().take(3).map(ToString::to_string).collect();
    match names.len() {
        0 => "none".to_owned(),
        4.. if pods.next().is_some() => format!("{} and over {} more", shown.join(", "), names.len() - 3),
        4.. => format!("{} and {} more", shown.join(", "), names.len() - 3),
        _ => list(&shown),
    }
}

fn pod_name(pod: &Pod) -> String {
    let WorkloadName { namespace, kind, name } = &pod.name;
    [namespace, "/", kind.as_str(), "/", name].concat()
}

/// `a, b and c`.
pub(crate) fn list<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(list::<&str>(&[]), "");
    }
}
