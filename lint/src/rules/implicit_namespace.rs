use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds policies without `metadata.namespace`.
    ///
    /// ## Why it matters
    /// Such a policy goes where the one who applies it happens to be: to the namespace of the command line, of the context,
    /// or `default`. There it selects other pods, or none. Tools that set the namespace, such as Helm and Kustomize, make up
    /// for it.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// Name the namespace.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    /// ```
    NP113 "implicit-namespace" {
        severity: Info,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let metadata = &cx.policy.metadata;
    // One that is no text is there all the same.
    if metadata.namespace.is_some() || cx.policy.problems.iter().any(|p| &*p.path == "metadata.namespace") {
        return;
    }
    let place = metadata.name.as_ref().map_or(cx.policy.kind, |name| name.span);
    out.report(
        place,
        "metadata.namespace",
        "without a namespace the policy is about pods of wherever it is applied",
    )
    .help("name the namespace in `metadata.namespace`");
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP113", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: ''}
"), @r"
        3:18 info metadata.namespace: without a namespace the policy is about pods of wherever it is applied
        8:18 info metadata.namespace: without a namespace the policy is about pods of wherever it is applied
        ");
    }

    #[test]
    fn passes() {
        clean("NP113", "podSelector: {}\n");
        clean(
            "NP113",
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: 12}\nspec: {}\n",
        );
    }
}
