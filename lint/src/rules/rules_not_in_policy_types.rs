use netpol_policy::model::Direction;

use crate::context::{Context, Reporter};
use crate::edits::add_policy_type;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules of a direction that `policyTypes` leaves out.
    ///
    /// ## Why it matters
    /// They are ignored: the direction isn't isolated by this policy, so everything stays allowed, whatever the rules say.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   egress:
    ///     - to:
    ///         - podSelector: {matchLabels: {app: api}}
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` adds the type, which closes everything of that direction but what the rules allow.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress, Egress]
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
    NP107 "rules-not-in-policy-types" {
        severity: Error,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(spec) = cx.spec() else { return };
    let Some(types) = spec.policy_types.present().filter(|field| !field.value.items.is_empty()) else {
        return;
    };
    for direction in Direction::ALL {
        let rules = spec.rules(direction);
        let written = rules.value().is_some_and(|list| !list.items.is_empty());
        // A type in the wrong case is another mistake, which NP009 reports.
        let listed = types.value.items.iter().any(|item| {
            item.value.as_deref().is_some_and(|t| t.eq_ignore_ascii_case(direction.policy_type()))
        });
        let Some(key) = rules.key().filter(|_| written && !listed) else { continue };
        let name = direction.policy_type();
        let shared = cx.policy.spec.present().is_some_and(|field| field.shared);
        let edits = (!shared).then(|| add_policy_type(&cx.file.text, spec, name)).flatten();
        out.report(
            key,
            format!("spec.{direction}"),
            format!("these {direction} rules are ignored: policyTypes doesn't list {name}"),
        )
        .label("no effect")
        .near(types.key, "isolates only what is listed here")
        .help(format!("add {name} to policyTypes, or remove the rules"))
        .fix(edits.map(|edits| Fix::changing(format!("add {name} to policyTypes"), edits)));
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP107", r"
policyTypes: [Ingress]
ingress: [{}]
egress: [{}]
"), @"7:3 error spec.egress: these egress rules are ignored: policyTypes doesn't list Egress");
        insta::assert_snapshot!(findings("NP107", r"
policyTypes: [Egress]
ingress: [{}]
"), @"6:3 error spec.ingress: these ingress rules are ignored: policyTypes doesn't list Ingress");
    }

    #[test]
    fn passes() {
        for text in [
            r"
policyTypes: [Ingress]
ingress: [{}]
egress: []
",
            r"
ingress: [{}]
egress: [{}]
",
        ] {
            clean("NP107", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP107", r"
policyTypes:
- Ingress # in
egress: [{}]
"), @r"
        policyTypes:
        - Ingress # in
        - Egress
        egress: [{}]
        ");
        insta::assert_snapshot!(fixed("NP107", r"
policyTypes: ['Egress']
ingress: [{}]
egress: [{}]
"), @r"
        policyTypes: ['Egress', 'Ingress']
        ingress: [{}]
        egress: [{}]
        ");
    }
}
