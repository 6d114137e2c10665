use netpol_policy::source::{ProblemKind, Slot};

use crate::context::{Context, Reporter};
use crate::edits::write_pod_selector;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds policies without a `podSelector`, or with a null one.
    ///
    /// ## Why it matters
    /// Such a policy selects every pod of its namespace. Few readers know; an empty selector, `{}`, says it.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// `--fix` writes the empty selector.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: deny, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    /// ```
    NP112 "implicit-all-pods" {
        severity: Warning,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(field) = cx.policy.spec.present() else { return };
    let spec = &field.value;
    let (place, what) = match &spec.pod_selector {
        Slot::Absent => (field.key, "without a podSelector"),
        Slot::Null(selector) => (selector.key, "with a null podSelector"),
        _ => return,
    };
    // A selector at a wrong place or under a wrong name is another mistake, which NP002 reports.
    let in_rule = |path: &str| ["spec.ingress[", "spec.egress["].iter().any(|list| path.starts_with(list));
    if cx.problems(ProblemKind::UnknownField).any(|problem| !in_rule(&problem.path)) {
        return;
    }
    let edits = write_pod_selector(&cx.file.text, field);
    out.report(place, "spec.podSelector", format!("{what} the policy selects every pod of its namespace"))
        .help("write `podSelector: {}` if that is meant")
        .fix(edits.map(|edits| Fix::safe("write `podSelector: {}`", edits)));
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP112", r"
policyTypes: [Ingress]
"), @"4:1 warning spec.podSelector: without a podSelector the policy selects every pod of its namespace");
        insta::assert_snapshot!(findings("NP112", r"
podSelector:
policyTypes: [Ingress]
"), @"5:3 warning spec.podSelector: with a null podSelector the policy selects every pod of its namespace");
    }

    #[test]
    fn passes() {
        for text in [
            "podSelector: {}\n",
            "podSelectors: {}\npolicyTypes: [Ingress]\n",
            "podSelector: []\n",
            "kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: a}\nspec: {ingress: []}\npodSelector: {}\n",
            "kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: a}\n",
        ] {
            clean("NP112", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP112", r"
# closed
policyTypes: [Ingress] # in
ingress: []
"), @r"
        podSelector: {}
        # closed
        policyTypes: [Ingress] # in
        ingress: []
        ");
        insta::assert_snapshot!(fixed("NP112", r"
policyTypes: [Ingress]
podSelector: # all
"), @r"
        policyTypes: [Ingress]
        podSelector: {} # all
        ");
        insta::assert_snapshot!(fixed("NP112", r"
policyTypes: [Ingress]
podSelector: ~
"), @r"
        policyTypes: [Ingress]
        podSelector: {}
        ");
        let object = |spec: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: a}}\nspec: {spec}\n"
            )
        };
        let anchored = object("").replace("spec: \n", "spec: &a\n  ingress: []\n").replace('\n', "\r\n");
        assert_eq!(fixed("NP112", &anchored), anchored.replace("&a\r\n", "&a\r\n  podSelector: {}\r\n"));
        for (before, after) in [
            ("{}", "{podSelector: {}}"),
            ("{policyTypes: [Ingress]}", "{podSelector: {}, policyTypes: [Ingress]}"),
            (r#"{"policyTypes": ["Ingress"]}"#, r#"{"podSelector": {}, "policyTypes": ["Ingress"]}"#),
        ] {
            assert_eq!(fixed("NP112", &object(before)), object(after));
        }
    }
}
