use netpol_policy::model::{Direction, NetworkPolicy, Peers, Ports, Rule};

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules that allow everything to every pod of a namespace, beside a policy that denies by default there. It is
    /// on request: select NP6 or NP603.
    ///
    /// ## Why it matters
    /// Policies add up and none takes precedence: what one allows, no other denies. One rule that allows everything takes
    /// the default-deny of its direction back, and so does every narrower rule beside it lose its meaning. The
    /// default-deny still looks as if it held.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: default-deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: debugging, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - {}
    /// ```
    ///
    /// ## Fix
    /// Remove the rule, or select the pods that are to be open.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: default-deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ---
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - ports: [{protocol: TCP, port: 8080}]
    /// ```
    NP603 "default-deny-voided" {
        severity: Error,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    if !policy.pod_selector.is_everything() {
        return;
    }
    let mut told = [false; 2];
    for at in cx.effective_rules() {
        let rule = policy.rules(at.direction).and_then(|rules| rules.get(at.index));
        let told = &mut told[usize::from(at.direction == Direction::Egress)];
        if *told || !rule.is_some_and(allows_all) {
            continue;
        }
        let namespace = &*policy.name.namespace;
        let mut names: Vec<_> = cx
            .index
            .policies(namespace)
            .filter(|other| other.name != policy.name && denies_by_default(other, at.direction))
            .map(|other| &*other.name.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        let label = cx.index.cluster().namespaces.get(namespace);
        let by = match names.first() {
            Some(name) => format!("policy {name}"),
            None if label.is_some_and(|namespace| namespace.default_deny().isolates(at.direction)) => {
                "its label".to_owned()
            }
            None => continue,
        };
        *told = true;
        let what = match at.direction {
            Direction::Ingress => "connections to",
            Direction::Egress => "connections from",
        };
        out.report(
            at.head(cx.file),
            at.path(),
            format!(
                "namespace {namespace} denies {} by default ({by}), but this rule allows all {what} every pod of it",
                at.direction
            ),
        )
        .label("takes the default-deny back")
        .help("remove the rule, or select the pods that are to be open");
    }
}

/// Whether a policy isolates every pod of its namespace without opening them to everyone.
pub(super) fn denies_by_default(policy: &NetworkPolicy, direction: Direction) -> bool {
    policy.pod_selector.is_everything()
        && policy.rules(direction).is_some_and(|rules| !rules.iter().any(allows_all))
}

fn allows_all(rule: &Rule) -> bool {
    matches!((&rule.peers, &rule.ports), (Peers::All, Ports::All))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
        )
    }

    #[test]
    fn fails() {
        let deny = policy("deny", "{podSelector: {}, policyTypes: [Ingress, Egress]}");
        let open = policy("open", "{podSelector: {}, ingress: [{}, {}], egress: [{}]}");
        insta::assert_snapshot!(findings("NP603", &format!("{deny}{open}")), @r"
        10:35 error spec.ingress[0]: namespace shop denies ingress by default (policy deny), but this rule allows all connections to every pod of it
        10:53 error spec.egress[0]: namespace shop denies egress by default (policy deny), but this rule allows all connections from every pod of it
        ");
        let namespace = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {netpol.dev/default-deny: ingress}}\n";
        insta::assert_snapshot!(findings("NP603", &format!("{namespace}{open}")), @"9:35 error spec.ingress[0]: namespace shop denies ingress by default (its label), but this rule allows all connections to every pod of it");
    }

    #[test]
    fn passes() {
        let deny = policy("deny", "{podSelector: {}, policyTypes: [Ingress]}");
        let cases = [
            policy("open", "{podSelector: {}, ingress: [{}]}"),
            format!("{deny}{}", policy("open", "{podSelector: {matchLabels: {app: web}}, ingress: [{}]}")),
            format!("{deny}{}", policy("open", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}")),
            format!("{deny}{}", policy("open", "{podSelector: {}, policyTypes: [Egress], egress: [{}]}")),
            format!("{}{deny}", policy("open", "{podSelector: {}, ingress: [{}]}").replace("shop", "other")),
        ];
        for text in cases {
            clean("NP603", &text);
        }
    }
}
