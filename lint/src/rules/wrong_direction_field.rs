use netpol_policy::source::ProblemKind;

use super::unknown_field::opened;
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds `to` in a rule of `ingress`, and `from` in a rule of `egress`.
    ///
    /// ## Why it matters
    /// The API server drops the field. A rule that loses its peers this way allows everyone.
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
    ///     - to:
    ///         - podSelector: {matchLabels: {app: web}}
    /// ```
    ///
    /// ## Fix
    /// Who may connect is `from`; where to is `to`. `--unsafe-fixes` renames the field.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: web}}
    /// ```
    NP003 "wrong-direction-field" {
        severity: Error,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::WrongDirectionField) {
        let at = cx
            .rules()
            .find(|at| at.rule.wrong_peers.as_ref().is_some_and(|field| field.key.span == problem.span));
        let finding = out.problem(problem);
        let Some(at) = at else { continue };
        if at.rule.peers.is_absent() {
            let who = opened(at);
            finding.message = format!("{}; without it the rule allows {who}", finding.message);
            let right = at.direction.peer_field();
            let quoted = super::removed_api_version::requote(cx.file.slice(problem.span), right);
            let fix = Fix::changing(format!("rename it to `{right}`"), [Edit::replace(problem.span, quoted)]);
            finding.fix((!at.shared).then_some(fix));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP003", r"
policyTypes: [Ingress, Egress]
ingress: [{to: [{podSelector: {}}]}]
egress: [{from: [{podSelector: {}}], to: [{podSelector: {}}]}]
"), @r"
        6:14 error spec.ingress[0].to: a rule of `ingress` has no `to`, the API server drops it; without it the rule allows everyone on every port
        7:13 error spec.egress[0].from: a rule of `egress` has no `from`, the API server drops it
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP003",
            r"
ingress: [{from: []}]
egress: [{to: []}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP003", r"
ingress:
- to: # here
  - podSelector: {}
egress:
- from: []
  to: []
"), @r"
        ingress:
        - from: # here
          - podSelector: {}
        egress:
        - from: []
          to: []
        ");
    }
}
