//! Label selectors in CEL.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;

/// True of labels that a selector matches; `labels` is an expression for a map.
pub(super) fn cel(selector: &Selector, labels: &str) -> String {
    let selector = LabelSelector::from(selector.clone());
    let equal = selector.match_labels.into_iter().flatten().map(|(key, value)| {
        let (key, value) = (text(&key), text(&value));
        format!("({key} in {labels} && {labels}[{key}] == {value})")
    });
    let others = selector.match_expressions.into_iter().flatten().map(|requirement| {
        let key = text(&requirement.key);
        let values: Vec<_> = requirement.values.iter().flatten().map(|value| text(value)).collect();
        let values = values.join(", ");
        match requirement.operator.as_str() {
            "In" => format!("({key} in {labels} && {labels}[{key}] in [{values}])"),
            "NotIn" => format!("!({key} in {labels} && {labels}[{key}] in [{values}])"),
            "Exists" => format!("({key} in {labels})"),
            _ => format!("!({key} in {labels})"),
        }
    });
    let all: Vec<_> = equal.chain(others).collect();
    if all.is_empty() { "true".to_owned() } else { all.join(" && ") }
}

/// A string literal. Label keys and values hold no character that would need more.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
