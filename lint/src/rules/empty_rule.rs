use netpol_policy::model::Direction;
use netpol_policy::source::RuleSource;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules without any field: `- {}`. Beside other rules NP114 speaks of them.
    ///
    /// ## Why it matters
    /// An empty rule allows all traffic of its direction, whatever the other rules and policies say. That is the way to
    /// allow everything on purpose; it is also one character away from `[]`, which denies everything.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - {}
    /// ```
    ///
    /// ## Fix
    /// To deny everything, write an empty list:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress: []
    /// ```
    NP104 "empty-rule" {
        severity: Warning,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in cx.effective_rules() {
        if !is_empty(at.rule) || super::allow_all_beside_narrow_rules::explains(cx, at) {
            continue;
        }
        let effect = match at.direction {
            Direction::Ingress => "everyone may connect to the selected pods on every port",
            Direction::Egress => "the selected pods may connect to everything on every port",
        };
        out.report(
            at.head(cx.file),
            at.path(),
            format!("an empty rule allows all {}: {effect}", at.direction),
        )
        .label("allows everything")
        .help(format!("to deny all {} write `{}: []`", at.direction, at.direction));
    }
}

/// Whether nothing at all is written in a rule.
pub(super) fn is_empty(rule: &RuleSource) -> bool {
    rule.peers.is_absent() && rule.ports.is_absent() && rule.wrong_peers.is_none() && rule.stray.is_empty()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP104", r"
policyTypes: [Ingress, Egress]
ingress: [{}]
egress:
- {}
"), @r"
        6:13 warning spec.ingress[0]: an empty rule allows all ingress: everyone may connect to the selected pods on every port
        8:3 warning spec.egress[0]: an empty rule allows all egress: the selected pods may connect to everything on every port
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP104",
            r"
policyTypes: [Ingress]
ingress: [{from: []}, {ports: []}]
egress: [{}]
",
        );
    }
}
