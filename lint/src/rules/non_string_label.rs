use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds label values that YAML reads as a number, a bool or null: `track: 2`, `canary: true`, `stage:` and nothing
    /// after it.
    ///
    /// ## Why it matters
    /// Labels are texts. For a number or a bool the API server refuses the whole policy, so what was to be closed stays
    /// open. Null it takes as an empty text: the selector then needs the label with an empty value.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: canary, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchLabels:
    ///       canary: true
    ///   policyTypes: [Ingress]
    /// ```
    ///
    /// ## Fix
    /// `--fix` puts the value into quotes, and writes `""` for `null`.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: canary, namespace: shop}
    /// spec:
    ///   podSelector:
    ///     matchLabels:
    ///       canary: "true"
    ///   policyTypes: [Ingress]
    /// ```
    NP012 "non-string-label" {
        severity: Error,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::NonStringLabel) {
        let written = cx.file.slice(problem.span);
        if matches!(written, "null" | "Null" | "NULL" | "~") {
            let empty = [Edit::replace(problem.span, "\"\"")];
            out.problem(problem).fix(Some(Fix::safe("write the empty text", empty)));
            continue;
        }
        let plain =
            !written.is_empty() && written.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+_".contains(&b));
        let fix = plain.then(|| {
            Fix::safe("put the value into quotes", [Edit::replace(problem.span, format!("\"{written}\""))])
        });
        out.problem(problem).fix(fix);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP012", r"
podSelector: {matchLabels: {track: 2, canary: true, on: off}}
"), @r"
        5:38 error spec.podSelector.matchLabels.track: the value of a label must be a text, but YAML reads a number
        5:49 error spec.podSelector.matchLabels.canary: the value of a label must be a text, but YAML reads the bool true
        5:59 error spec.podSelector.matchLabels.true: the value of a label must be a text, but YAML reads the bool false
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP012",
            r#"
podSelector: {matchLabels: {track: '2', canary: "true", empty: ""}}
"#,
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP012", r"
podSelector:
  matchLabels:
    track: 2 # second
    canary: yes
    stage: null
"), @r#"
        podSelector:
          matchLabels:
            track: "2" # second
            canary: "yes"
            stage: ""
        "#);
    }
}
