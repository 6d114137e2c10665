use netpol_policy::model::Direction;
use netpol_policy::source::{self, ProblemKind, Slot, SpecSource};
use netpol_policy::span::Span;

use crate::context::{Context, Reporter};
use crate::edits::write_policy_types;
use crate::finding::Fix;
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds policies that leave `policyTypes` to the default, or have no `spec` at all.
    ///
    /// ## Why it matters
    /// The default depends on the rules: `Ingress` always, and `Egress` only when there is at least one egress rule.
    /// Removing the last egress rule opens egress again; adding the first one to a policy that was about egress alone
    /// leaves ingress closed. Written out, it says what the policy isolates.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    /// ```
    ///
    /// ## Fix
    /// `--fix` writes the default.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes:
    ///     - Ingress
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    /// ```
    NP106 "implicit-policy-types" {
        severity: Warning,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let field = match &cx.policy.spec {
        Slot::Present(field) => field,
        Slot::Absent => return report_empty(cx, cx.policy.kind, out),
        Slot::Null(field) => return report_empty(cx, field.key, out),
        Slot::Wrong(_) => return,
    };
    let spec = &field.value;
    let misspelt = spec
        .stray
        .iter()
        .any(|stray| source::nearest(&stray.key.value, ["policyTypes"].into_iter()).is_some());
    if !cx.has_default_policy_types() || misspelt {
        return;
    }
    // These two say more about the same thing.
    let told = [
        (&super::empty_egress_without_type::RULE, super::empty_egress_without_type::applies(cx)),
        (&super::egress_policy_denies_ingress::RULE, super::egress_policy_denies_ingress::applies(cx)),
    ];
    if told.iter().any(|(rule, applies)| *applies && cx.selection.contains(rule)) {
        return;
    }
    let types: Vec<_> =
        Direction::ALL.into_iter().filter(|d| cx.isolates(*d)).map(Direction::policy_type).collect();
    let edits =
        (!field.shared).then(|| write_policy_types(&cx.file.text, field.span, spec, &types)).flatten();
    out.report(
        place(spec, field.key),
        "spec.policyTypes",
        format!("policyTypes is left to the default, which is {} here", words::list(&types)),
    )
    .label("has no policyTypes")
    .help("write policyTypes, so that it doesn't change when rules come and go")
    .fix(edits.map(|edits| Fix::safe(format!("write policyTypes: [{}]", types.join(", ")), edits)));
}

/// Nothing is said at all. Where fields stand at a wrong place, their rule says so.
fn report_empty(cx: &Context<'_>, place: Span, out: &mut Reporter<'_>) {
    if cx.problems(ProblemKind::UnknownField).next().is_none() {
        out.report(
            place,
            "spec",
            "without a spec the policy selects every pod of its namespace and denies them all ingress",
        )
        .help("if this is meant, write it: `spec: {podSelector: {}, policyTypes: [Ingress]}`");
    }
}

/// The key of `policyTypes` when it is there and empty, else of `spec`.
pub(super) fn place(spec: &SpecSource, key: Span) -> Span {
    spec.policy_types.whole().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    const OBJECT: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\n";

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP106", r"
podSelector: {}
"), @"4:1 warning spec.policyTypes: policyTypes is left to the default, which is Ingress here");
        insta::assert_snapshot!(findings("NP106", r"
podSelector: {}
policyTypes: []
ingress: [{}]
egress: [{}]
"), @"6:3 warning spec.policyTypes: policyTypes is left to the default, which is Ingress and Egress here");
        insta::assert_snapshot!(findings("NP106", r"
policyTypes:
"), @"5:3 warning spec.policyTypes: policyTypes is left to the default, which is Ingress here");
        for (spec, place) in [("", "2:7"), ("spec:\n", "4:1"), ("spec: null\n", "4:1")] {
            assert_eq!(
                findings("NP106", &format!("{OBJECT}{spec}")),
                format!(
                    "{place} warning spec: without a spec the policy selects every pod of its namespace and denies \
                     them all ingress\n"
                )
            );
        }
    }

    #[test]
    fn passes() {
        for text in [
            r"
podSelector: {}
policyTypes: [Ingress]
",
            r"
podSelector: {}
plicyTypes: [Ingress]
",
        ] {
            clean("NP106", text);
        }
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP106", r"
podSelector: {} # all
"), @r"
        podSelector: {} # all
        policyTypes:
          - Ingress
        ");
        insta::assert_snapshot!(fixed("NP106", r"
podSelector:
  matchLabels:
    app: db

# who
ingress:
- {}
egress:
- {}
"), @r"
        podSelector:
          matchLabels:
            app: db
        policyTypes:
        - Ingress
        - Egress

        # who
        ingress:
        - {}
        egress:
        - {}
        ");
        insta::assert_snapshot!(fixed("NP106", r"
ingress: []
"), @r"
        policyTypes: [Ingress]
        ingress: []
        ");
        insta::assert_snapshot!(fixed("NP106", r"
podSelector: {}
policyTypes:  # none
"), @r"
        podSelector: {}
        policyTypes: [Ingress]  # none
        ");
        insta::assert_snapshot!(fixed("NP106", r"
policyTypes: ~
"), @"policyTypes: [Ingress]");
        insta::assert_snapshot!(fixed("NP106", r"
policyTypes: []
"), @"policyTypes: [Ingress]");
        insta::assert_snapshot!(fixed("NP106", r"
podSelector:
ingress:
  - {}
"), @r"
        podSelector:
        policyTypes:
          - Ingress
        ingress:
          - {}
        ");
        insta::assert_snapshot!(fixed("NP106", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {}
"), @r"
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: a}
        spec: {policyTypes: [Ingress]}
        ");
        insta::assert_snapshot!(fixed("NP106", r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {ingress: [{}]}
"), @r"
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: a}
        spec: {policyTypes: [Ingress], ingress: [{}]}
        ");
        insta::assert_snapshot!(fixed("NP106", r#"
{
  "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
  "spec": {
    "podSelector": {}
  }
}
"#), @r#"
        {
          "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"},
          "spec": {
            "policyTypes": ["Ingress"],
            "podSelector": {}
          }
        }
        "#);
    }
}
