use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds list items without a value: a lone `-` among rules, peers or ports.
    ///
    /// ## Why it matters
    /// The API server refuses some of them and fills others with emptiness. An empty rule allows everything.
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
    ///     - from:
    ///         -
    ///         - podSelector: {matchLabels: {app: web}}
    /// ```
    ///
    /// ## Fix
    /// Remove the item, or give it its value.
    NP005 "null-item" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::NullItem) {
        out.problem(problem);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP005", r"
ingress:
-
- from: [null]
- ports:
  -
"), @r"
        6:3 error spec.ingress[0]: this item is null
        7:12 error spec.ingress[1].from[0]: this item is null
        9:5 error spec.ingress[2].ports[0]: this item is null
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP005",
            r"
ingress: [{}]
",
        );
    }
}
