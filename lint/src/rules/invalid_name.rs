use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds policies without a name, or with a name, namespace or label that no object can have.
    ///
    /// ## Why it matters
    /// The API server refuses the whole policy, so what was to be closed stays open.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: Deny_All, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// Names are lower case letters, digits, `-` and `.`:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny-all, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ```
    NP015 "invalid-name" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidName) {
        out.problem(problem);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, default_codes, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP015", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: My_Policy, namespace: a.b}
"), @r"
        3:18 error metadata.name: `My_Policy` is no name: at most 253 lower case letters, digits, `-` and `.`, with a letter or digit at the ends
        3:40 error metadata.namespace: `a.b` is no namespace: at most 63 lower case letters, digits and `-`
        ");
        insta::assert_snapshot!(findings("NP015", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
"), @"2:7 error metadata.name: the object has no name");
    }

    #[test]
    fn a_name_that_is_no_text_is_told_once() {
        for name in ["y", "12", "[a]"] {
            let text = format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {{podSelector: {{}}, policyTypes: [Ingress]}}\n"
            );
            assert_eq!(default_codes(&text), ["NP014"], "{name}");
        }
    }

    #[test]
    fn passes() {
        clean(
            "NP015",
            r"
podSelector: {}
",
        );
    }
}
