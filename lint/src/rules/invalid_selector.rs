use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds selectors that can't be built: an unknown operator, `In` or `NotIn` without values, `Exists` or
    /// `DoesNotExist` with values, a label key or value that no object can carry.
    ///
    /// ## Why it matters
    /// The API server refuses the whole policy, so what was to be closed stays open.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchExpressions:
    ///       - {key: app, operator: Equals, values: [web]}
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// The operators are `In`, `NotIn`, `Exists` and `DoesNotExist`:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchExpressions:
    ///       - {key: app, operator: In, values: [web]}
    ///   policyTypes: [Ingress]
    /// ```
    NP006 "invalid-selector" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidSelector) {
        out.problem(problem);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP006", r"
podSelector:
  matchExpressions:
  - {key: a, operator: in, values: [x]}
  - {key: b, operator: NotIn}
  - {key: c, operator: Exists, values: [x]}
  - {key: d/e/f, operator: Exists}
"), @r"
        7:26 error spec.podSelector.matchExpressions[0].operator: `in` is no operator: use In, NotIn, Exists or DoesNotExist
        8:26 error spec.podSelector.matchExpressions[1].values: operator NotIn needs at least one value
        9:34 error spec.podSelector.matchExpressions[2].values: operator Exists takes no values
        10:13 error spec.podSelector.matchExpressions[3].key: `d/e/f` has more than one `/`
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP006",
            r"
podSelector: {matchExpressions: [{key: a, operator: DoesNotExist}], matchLabels: {b: ''}}
",
        );
    }
}
