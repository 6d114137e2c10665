use netpol_policy::source::Slot;

use crate::context::{Context, Reporter};
use crate::edits::write_policy_types;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds an empty `egress` in a policy without `policyTypes`.
    ///
    /// ## Why it matters
    /// It looks like "deny all egress" and does nothing: without `policyTypes` a policy is about egress only if it has at
    /// least one egress rule.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   ingress: []
    ///   egress: []
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` writes `policyTypes`, which closes egress.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress, Egress]
    ///   ingress: []
    ///   egress: []
    /// ```
    NP108 "empty-egress-without-type" {
        severity: Error,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Slot::Present(field) = &cx.policy.spec else { return };
    let Some(span) = field.value.egress.whole().filter(|_| applies(cx)) else { return };
    let types = ["Ingress", "Egress"];
    let edits = (!field.shared)
        .then(|| write_policy_types(&cx.file.text, field.span, &field.value, &types))
        .flatten();
    let expected = cx
        .policy
        .model
        .as_deref()
        .cloned()
        .map(|policy| netpol_policy::model::NetworkPolicy { egress: Some(Vec::new()), ..policy });
    out.report(
        span,
        "spec.egress",
        "an empty egress without policyTypes does nothing: egress stays open, and only ingress is isolated",
    )
    .label("no effect")
    .help("write policyTypes with Egress to deny all egress, or remove the field")
    .fix(edits.map(|edits| Fix::changing("write policyTypes: [Ingress, Egress]", edits).expecting(expected)));
}

/// Whether `egress` is written, empty, and not in the default of `policyTypes`.
pub(super) fn applies(cx: &Context<'_>) -> bool {
    let empty = cx.spec().is_some_and(|spec| match &spec.egress {
        Slot::Null(_) => true,
        slot => slot.value().is_some_and(|list| list.items.is_empty()),
    });
    empty && cx.has_default_policy_types()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP108", r"
egress: []
"), @"5:3 error spec.egress: an empty egress without policyTypes does nothing: egress stays open, and only ingress is isolated");
        insta::assert_snapshot!(findings("NP108", r"
policyTypes: []
egress:
"), @"6:3 error spec.egress: an empty egress without policyTypes does nothing: egress stays open, and only ingress is isolated");
    }

    #[test]
    fn passes() {
        for text in [
            r"
policyTypes: [Ingress]
egress: []
",
            r"
egress: [{}]
",
        ] {
            clean("NP108", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP108", r"
podSelector: {}
egress: [] # none
"), @r"
        podSelector: {}
        policyTypes: [Ingress, Egress]
        egress: [] # none
        ");
        insta::assert_snapshot!(fixed("NP108", r"
podSelector: {}
policyTypes: []
egress:
"), @r"
        podSelector: {}
        policyTypes: [Ingress, Egress]
        egress:
        ");
    }
}
