//! What the label on a Namespace becomes, in CEL.

use super::objects::Namespaces;
use super::selector::{cel, text};
use netpol_policy::model::{AUDIT_ANNOTATION as AUDIT, DEFAULT_DENY_LABEL as LABEL};

/// Variables of the mutating policy, in order; the last, `mode`, is the label to set, and empty for none.
pub(super) fn variables(namespaces: &Namespaces) -> Vec<(&'static str, String)> {
    let map = |object: &str, field: &str| {
        let there = format!("has({object}.metadata) && has({object}.metadata.{field})");
        format!("({there} ? {object}.metadata.{field} : {{}})")
    };
    let old = |field: &str| format!("oldObject == null ? {{}} : {}", map("oldObject", field));
    let get = |map: &str| format!("('{LABEL}' in variables.{map} ? variables.{map}['{LABEL}'] : '')");
    let mode = text(namespaces.default_deny.as_str());
    let selects = |labels: &str| match &namespaces.selector {
        Some(selector) => cel(selector, &format!("variables.{labels}")),
        None => "true".to_owned(),
    };
    vec![
        ("labels", map("object", "labels")),
        ("annotations", map("object", "annotations")),
        ("oldLabels", old("labels")),
        ("oldAnnotations", old("annotations")),
        // What the annotation asks for. A value that means nothing isolates both directions.
        (
            "asked",
            format!(
                "{value} in ['none', 'ingress', 'egress', 'all'] ? {value} : 'all'",
                value = get("annotations")
            ),
        ),
        ("asks", format!("'{LABEL}' in variables.annotations")),
        // Asked for in this very write.
        (
            "asksNow",
            format!(
                "variables.asks && (!('{LABEL}' in variables.oldAnnotations) || {} != {})",
                get("oldAnnotations"),
                get("annotations")
            ),
        ),
        (
            "mode",
            format!(
                "oldObject == null \
                 ? ('{LABEL}' in variables.labels ? '' : variables.asks ? (variables.asked == 'none' ? '' : variables.asked) \
                 : ({selects}) && {mode} != 'none' ? {mode} : '') \
                 : (('{LABEL}' in variables.labels) != ('{LABEL}' in variables.oldLabels) || {label} != {old_label} ? '' \
                 : variables.asksNow ? (('{LABEL}' in variables.labels ? {label} : 'none') == variables.asked ? '' : variables.asked) \
                 : !variables.asks && !('{LABEL}' in variables.labels) && !({selected}) && ({selects}) && {mode} != 'none' \
                 ? {mode} : '')",
                selects = selects("labels"),
                selected = selects("oldLabels"),
                label = get("labels"),
                old_label = get("oldLabels"),
            ),
        ),
    ]
}

/// Sets it.
pub(super) fn mutation() -> String {
    format!(
        "variables.mode == '' ? Object{{}} : Object{{metadata: Object.metadata{{labels: {{'{LABEL}': variables.mode}}}}}}"
    )
}

/// The directions that a value of the label isolates, as in the enforcer: 0 none, 1 ingress, 2 egress, 3 both.
pub(super) fn isolates(object: &str, direction: &str) -> String {
    format!(
        "(has({object}.metadata.labels) && '{LABEL}' in {object}.metadata.labels \
         && !({object}.metadata.labels['{LABEL}'] in ['none', '{other}']))",
        other = if direction == "ingress" { "egress" } else { "ingress" }
    )
}

/// Whether the policies of a namespace are only tried out, as in the enforcer.
pub(super) fn audits(object: &str) -> String {
    format!(
        "(has({object}.metadata.annotations) && '{AUDIT}' in {object}.metadata.annotations \
         && {object}.metadata.annotations['{AUDIT}'] == 'true')"
    )
}
