use netpol_policy::cover::Cover;
use netpol_policy::model::NetworkPolicy;

use super::{neighbours, vacuous_policy};
use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds policies that another policy of the namespace covers: it selects at least the same pods, isolates them in the
    /// same directions and allows everything that this one does. Of two that cover each other the second one is reported.
    /// Policies of other files count when both say the namespace and the folder of one file holds the other.
    ///
    /// ## Why it matters
    /// The policy can go without any change. As long as it is there, people take it for the reason why something works,
    /// and closing what it allows means to find both.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {tier: front}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from: [{podSelector: {matchLabels: {app: proxy}}}]
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web-http, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {tier: front, app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from: [{podSelector: {matchLabels: {app: proxy}}}]
    ///       ports: [{protocol: TCP, port: 8080}]
    /// ```
    ///
    /// ## Fix
    /// Remove it, or narrow the other one if that was meant.
    NP405 "subsumed-policy" {
        severity: Info,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    if vacuous_policy::explains(cx) {
        return;
    }
    let cover = Cover::new(Some(&policy.name.namespace));
    let covers = |other: &NetworkPolicy| cover.policy(other, policy);
    let mut covering = neighbours::selecting_the_same(cx, policy, covers)
        .filter(|other| !(cover.policy(policy, other) && neighbours::comes_after(cx, other)));
    let Some(other) = covering.next() else { return };
    let name = cx.policy.metadata.name.as_ref().map_or(cx.policy.kind, |name| name.span);
    let message = format!("{} allows and isolates all that this policy does", other.name);
    let finding = out.report(name, "metadata.name", message);
    finding.label("can go without any change").help("remove it, or narrow the other one if that was meant");
    neighbours::show(cx, other, "covers it", finding);
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"
        )
    }

    const NARROW: &str = "{podSelector: {matchLabels: {app: db, tier: a}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}";
    const WIDE: &str = "{podSelector: {matchLabels: {tier: a}}, ingress: [{from: [{podSelector: {}}]}]}";

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP405", &(policy("narrow", NARROW) + &policy("wide", WIDE))), @"3:18 info metadata.name: shop/wide allows and isolates all that this policy does");
        insta::assert_snapshot!(findings("NP405", &(policy("a", WIDE) + &policy("b", WIDE))), @"8:18 info metadata.name: shop/a allows and isolates all that this policy does");
    }

    #[test]
    fn passes() {
        clean("NP405", &policy("wide", WIDE));
        clean("NP405", &(policy("narrow", NARROW) + &policy("wide", &WIDE.replace("tier: a", "tier: b"))));
        clean("NP405", &(policy("narrow", NARROW) + &policy("wide", WIDE).replace("shop", "office")));
        clean("NP405", &(policy("deny", "{}") + &policy("narrow", NARROW)));
    }
}
