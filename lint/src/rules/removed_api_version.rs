use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds policies of an API version that is gone, such as `extensions/v1beta1`.
    ///
    /// ## Why it matters
    /// `extensions/v1beta1` was removed in Kubernetes 1.16. A cluster refuses the object, so what was to be closed stays
    /// open.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: extensions/v1beta1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// The fields are the same in `networking.k8s.io/v1`. `--fix` writes it.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ```
    NP011 "removed-api-version" {
        severity: Error,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

const CURRENT: &str = "networking.k8s.io/v1";

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::RemovedApiVersion) {
        let written = &cx.policy.api_version;
        let quoted = requote(cx.file.slice(problem.span), CURRENT);
        let known = written.span == problem.span && written.value.starts_with("extensions/");
        let fix =
            known.then(|| Fix::safe(format!("write `{CURRENT}`"), [Edit::replace(problem.span, quoted)]));
        out.problem(problem).fix(fix);
    }
}

/// The new text in the quotes of the old one.
pub(super) fn requote(old: &str, new: &str) -> String {
    match old.chars().next() {
        Some(quote @ ('"' | '\'')) => format!("{quote}{new}{quote}"),
        _ => new.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP011", r"
apiVersion: extensions/v1beta1
kind: NetworkPolicy
metadata: {name: a}
---
apiVersion: networking.k8s.io/v2
kind: NetworkPolicy
metadata: {name: b}
"), @r"
        1:13 error apiVersion: Kubernetes 1.16 removed NetworkPolicy from extensions/v1beta1
        5:13 error apiVersion: there is no NetworkPolicy in `networking.k8s.io/v2`
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP011",
            r"
podSelector: {}
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP011", r#"
apiVersion: "extensions/v1beta1" # old
kind: NetworkPolicy
metadata: {name: a}
"#), @r#"
        apiVersion: "networking.k8s.io/v1" # old
        kind: NetworkPolicy
        metadata: {name: a}
        "#);
    }
}
