use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds peers that say nothing (`- {}`) or too much (`ipBlock` together with a selector).
    ///
    /// ## Why it matters
    /// The API server refuses the whole policy, so what was to be closed stays open.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: office, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 192.0.2.0/24}
    ///           podSelector: {matchLabels: {app: web}}
    /// ```
    ///
    /// ## Fix
    /// Write two items where either may connect. For every pod of the namespace write `podSelector: {}`; for everyone
    /// leave `from` out.
    NP004 "invalid-peer" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidPeer) {
        out.problem(problem);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP004", r"
ingress:
- from:
  - {}
  - podSelector: {}
    ipBlock: {cidr: 10.0.0.0/8}
"), @r"
        7:7 error spec.ingress[0].from[0]: a peer needs `podSelector`, `namespaceSelector` or `ipBlock`
        9:7 error spec.ingress[0].from[1]: a peer can't have both `ipBlock` and a selector
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP004",
            r"
ingress: [{from: [{podSelector: {}, namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}]}]
",
        );
    }
}
