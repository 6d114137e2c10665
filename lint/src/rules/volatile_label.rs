use netpol_policy::model::{LabelSelector, Labelled, Requirement};

use super::selectors;
use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds pod selectors on labels that change with the next rollout or release: `pod-template-hash`,
    /// `controller-revision-hash`, `helm.sh/chart`, versions.
    ///
    /// ## Why it matters
    /// The policy holds until the label changes. Then the selector matches nothing: the policy no longer isolates the
    /// new pods, or no longer allows them. Nothing says so.
    ///
    /// The label `version` counts only with a full version such as `1.4.2`; variants such as `v1` are told apart on purpose.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchLabels:
    ///       app: db
    ///       pod-template-hash: 5d4f8c7b9
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// Use labels that stay, such as `app.kubernetes.io/name` and `app.kubernetes.io/instance`.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchLabels:
    ///       app: db
    ///   policyTypes: [Ingress]
    /// ```
    NP205 "volatile-label" {
        severity: Warning,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in selectors::all(cx).filter(|at| at.of == Labelled::Pod) {
        for requirement in at.field.value.model.iter().flat_map(LabelSelector::requirements) {
            let key = requirement.key().as_str();
            let Some(when) = changes(requirement) else { continue };
            let place = at.keys(key).first().copied().unwrap_or(at.field.span);
            let effect = match at.peer {
                Some(_) => "this peer doesn't match the new pods",
                None => "the policy doesn't select the new pods",
            };
            out.report(
                place,
                at.path(),
                format!("the label `{key}` changes with every {when}: then {effect}"),
            )
            .help("use labels that stay the same");
        }
    }
}

/// What changes the label that a value is asked of.
fn changes(requirement: &Requirement) -> Option<&'static str> {
    // What asks for no value can't be outdated, and what excludes one leaves the new pods alone.
    if requirement.operator() != "In" {
        return None;
    }
    let mut values = requirement.values();
    match requirement.key().as_str() {
        "pod-template-hash" | "controller-revision-hash" | "pod-template-generation" => Some("rollout"),
        "controller-uid" | "batch.kubernetes.io/controller-uid" => Some("run of its job"),
        "helm.sh/chart" | "app.kubernetes.io/version" => Some("release"),
        "version" | "chart" if values.any(|value| ends_in_version(value.as_str())) => Some("release"),
        _ => None,
    }
}

/// `1.4.2`, `v1.4.2`, `web-1.4.2`.
fn ends_in_version(value: &str) -> bool {
    let version = value.rsplit('-').next().unwrap_or(value).trim_start_matches('v');
    let parts: Vec<_> = version.split('.').collect();
    parts.len() == 3 && parts.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP205", r"
podSelector: {matchLabels: {app: a, version: v1.4.2}}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchExpressions: [{key: pod-template-hash, operator: In, values: [5d4f8c7b9]}]}
  - podSelector: {matchLabels: {helm.sh/chart: web-1.0.0}}
"), @r"
        5:39 warning spec.podSelector: the label `version` changes with every release: then the policy doesn't select the new pods
        9:46 warning spec.ingress[0].from[0].podSelector: the label `pod-template-hash` changes with every rollout: then this peer doesn't match the new pods
        10:35 warning spec.ingress[0].from[1].podSelector: the label `helm.sh/chart` changes with every release: then this peer doesn't match the new pods
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP205",
            r"
podSelector: {matchLabels: {app.kubernetes.io/name: a, version: v1}}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchExpressions: [{key: pod-template-hash, operator: Exists}]}
  - podSelector: {matchExpressions: [{key: version, operator: NotIn, values: [1.4.2]}]}
  - namespaceSelector: {matchLabels: {version: 1.4.2}}
",
        );
    }
}
