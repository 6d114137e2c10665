use netpol_policy::model::Direction;
use netpol_policy::source::Slot;

use crate::context::{Context, Reporter};
use crate::edits::write_policy_types;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds policies with egress rules, without `ingress` and without `policyTypes`.
    ///
    /// ## Why it matters
    /// They deny all ingress as well: without `policyTypes` a policy is always about ingress, and here no rule allows any.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   egress:
    ///     - to:
    ///         - podSelector: {matchLabels: {app: api}}
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` writes `policyTypes: [Egress]`, which leaves ingress alone. To deny ingress on purpose, list both.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - podSelector: {matchLabels: {app: api}}
    ///     - to:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    ///           podSelector: {matchLabels: {k8s-app: kube-dns}}
    ///       ports:
    ///         - {protocol: UDP, port: 53}
    ///         - {protocol: TCP, port: 53}
    /// ```
    NP109 "egress-policy-denies-ingress" {
        severity: Error,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Slot::Present(field) = &cx.policy.spec else { return };
    let Some(key) = field.value.egress.key().filter(|_| applies(cx)) else { return };
    let types = ["Egress"];
    let edits = (!field.shared)
        .then(|| write_policy_types(&cx.file.text, field.span, &field.value, &types))
        .flatten();
    let expected = cx
        .policy
        .model
        .as_deref()
        .cloned()
        .map(|policy| netpol_policy::model::NetworkPolicy { ingress: None, ..policy });
    out.report(
        key,
        "spec.egress",
        "this policy has only egress rules, but without policyTypes it denies all ingress to the selected pods as well",
    )
    .label("the only rules are for egress")
    .help("write `policyTypes: [Egress]`, or `[Ingress, Egress]` where ingress is to be denied")
    .fix(edits.map(|edits| Fix::changing("write policyTypes: [Egress]", edits).expecting(expected)));
}

/// Whether there are egress rules, no `ingress`, and the default of `policyTypes`.
pub(super) fn applies(cx: &Context<'_>) -> bool {
    cx.has_default_policy_types()
        && cx.isolates(Direction::Egress)
        && cx.spec().is_some_and(|spec| spec.ingress.is_absent())
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP109", r"
egress: [{}]
"), @"5:3 error spec.egress: this policy has only egress rules, but without policyTypes it denies all ingress to the selected pods as well");
        insta::assert_snapshot!(findings("NP109", r"
policyTypes: []
egress: [{}]
"), @"6:3 error spec.egress: this policy has only egress rules, but without policyTypes it denies all ingress to the selected pods as well");
    }

    #[test]
    fn passes() {
        for text in [
            r"
policyTypes: [Egress]
egress: [{}]
",
            r"
ingress: []
egress: [{}]
",
            r"
egress: []
",
        ] {
            clean("NP109", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP109", r"
podSelector: {}
egress:
  - {}
"), @r"
        podSelector: {}
        policyTypes:
          - Egress
        egress:
          - {}
        ");
    }
}
