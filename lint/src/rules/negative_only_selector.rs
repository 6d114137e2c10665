use netpol_policy::model::{LabelSelector, Labelled, METADATA_NAME, Requirement};

use super::selectors;
use crate::context::{Context, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds selectors that only exclude: nothing but `NotIn` and `DoesNotExist`.
    ///
    /// ## Why it matters
    /// Both also hold where the label is missing. `app NotIn (web)` selects every pod that nobody labelled, and every pod
    /// that is deployed next year. That may be meant; it is rarely known.
    ///
    /// Silent about `kubernetes.io/metadata.name` in a `namespaceSelector`: every namespace has it.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector:
    ///             matchExpressions:
    ///               - {key: role, operator: NotIn, values: [guest]}
    /// ```
    ///
    /// ## Fix
    /// Ask for a label that all have who are meant, or name those who are meant.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector:
    ///             matchExpressions:
    ///               - {key: role, operator: In, values: [admin, app]}
    /// ```
    NP202 "negative-only-selector" {
        severity: Info,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in selectors::all(cx) {
        let Some(excluding) = at.field.value.model.as_ref().and_then(|model| excluding(model, at.of)) else {
            continue;
        };
        let Some(first) = excluding.first() else { continue };
        let what = match at.of {
            Labelled::Pod => "pods",
            Labelled::Namespace => "namespaces",
        };
        let texts: Vec<_> = excluding.iter().map(|requirement| format!("`{requirement}`")).collect();
        let verb = if texts.len() == 1 { "excludes" } else { "exclude" };
        let place = at.keys(first.key().as_str()).first().copied().unwrap_or(at.field.span);
        out.report(
            place,
            at.path(),
            format!("{} only {verb}: {what} that nobody labelled are selected too", words::list(&texts)),
        )
        .help(format!("ask for a label that all {what} have which are meant"));
    }
}

/// The requirements of a selector that has none that a missing label fails to meet.
fn excluding(selector: &LabelSelector, of: Labelled) -> Option<Vec<&Requirement>> {
    let is_always_there =
        |requirement: &Requirement| of == Labelled::Namespace && requirement.key().as_str() == METADATA_NAME;
    let excludes = |requirement: &Requirement| matches!(requirement.operator(), "NotIn" | "DoesNotExist");
    let all = selector.requirements();
    all.clone().all(excludes).then(|| all.filter(|requirement| !is_always_there(requirement)).collect())
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP202", r"
podSelector:
  matchExpressions:
  - {key: app, operator: NotIn, values: [db, mail]}
  - {key: stage, operator: DoesNotExist}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector:
      matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: NotIn, values: [guests]}
      - {key: team, operator: NotIn, values: [red]}
"), @r"
        7:13 info spec.podSelector: `app notin (db,mail)` and `!stage` only exclude: pods that nobody labelled are selected too
        15:17 info spec.ingress[0].from[0].namespaceSelector: `team!=red` only excludes: namespaces that nobody labelled are selected too
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP202",
            r"
podSelector: {}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [guests]}]}
    podSelector: {matchLabels: {app: a}, matchExpressions: [{key: role, operator: NotIn, values: [guest]}]}
  - podSelector: {matchExpressions: [{key: role, operator: Exists}, {key: role, operator: NotIn, values: [guest]}]}
egress:
- to: [{podSelector: {matchExpressions: [{key: role, operator: DoesNotExist}]}}]
",
        );
    }
}
