use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds the same key twice in one mapping.
    ///
    /// ## Why it matters
    /// YAML forbids it, but most readers keep the last value and drop the first without a word. Two `cidr:` lines under
    /// one `ipBlock`, or two `from:` under one rule, look like a list and are not: only one of them counts.
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
    ///         - ipBlock:
    ///             cidr: 192.0.2.0/25
    ///             cidr: 198.51.100.0/25
    /// ```
    ///
    /// ## Fix
    /// Make list items of them, or remove one:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: office, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 192.0.2.0/25}
    ///         - ipBlock: {cidr: 198.51.100.0/25}
    /// ```
    NP001 "duplicate-key" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::DuplicateKey) {
        let finding = out.problem(problem);
        if let Some(first) = problem.related {
            finding.label("again").near(first, "first here");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP001", r"
podSelector: {}
podSelector: {matchLabels: {a: x, a: y}}
"), @r"
        6:3 error spec.podSelector: the key `podSelector` is here twice, only the last counts
        6:37 error spec.podSelector.matchLabels.a: the key `a` is here twice, only the last counts
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP001",
            r"
podSelector: {matchLabels: {a: x, b: x}}
",
        );
    }
}
