use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds values of another type than their field has: a mapping where a list belongs, a number where a text belongs.
    ///
    /// ## Why it matters
    /// The API server refuses the whole policy, so what was to be closed stays open. A forgotten dash is the usual cause:
    /// `ingress`, `from`, `to` and `ports` are lists.
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
    ///     from:
    ///       - podSelector: {matchLabels: {app: web}}
    /// ```
    ///
    /// ## Fix
    /// Write the value that the field takes:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///       - podSelector: {matchLabels: {app: web}}
    /// ```
    NP014 "wrong-type" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::WrongType) {
        out.problem(problem);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP014", r"
podSelector: web
ingress:
  from: []
"), @r"
        5:16 error spec.podSelector: this must be a mapping, but is a text
        7:5 error spec.ingress: this must be a list, but is a mapping
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP014",
            r"
podSelector: {}
",
        );
    }
}
