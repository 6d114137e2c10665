use netpol_policy::source::ProblemKind;

use super::removed_api_version::requote;
use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds protocols other than `TCP`, `UDP` and `SCTP`, and policy types other than `Ingress` and `Egress`; the case
    /// counts.
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
    ///   podSelector: {}
    ///   policyTypes: [ingress]
    ///   ingress:
    ///     - ports:
    ///         - {protocol: tcp, port: 80}
    /// ```
    ///
    /// ## Fix
    /// `--fix` corrects the case; of other words it can't know what was meant.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - ports:
    ///         - {protocol: TCP, port: 80}
    /// ```
    NP009 "invalid-enum" {
        severity: Error,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidEnum) {
        let written = cx.file.slice(problem.span);
        let word = written.trim_matches(['"', '\'']);
        let known: &[&str] = if problem.path.contains("policyTypes") {
            &["Ingress", "Egress"]
        } else {
            &["TCP", "UDP", "SCTP", "NetworkPolicy"]
        };
        let right = known.iter().find(|right| right.eq_ignore_ascii_case(word) && **right != word);
        let fix = right.map(|right| {
            Fix::safe(format!("write `{right}`"), [Edit::replace(problem.span, requote(written, right))])
        });
        out.problem(problem).fix(fix);
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP009", r"
policyTypes: [ingress, Both]
ingress: [{ports: [{protocol: Tcp}, {protocol: ICMP}]}]
"), @r"
        5:17 error spec.policyTypes[0]: `ingress` is no policy type: use Ingress or Egress
        5:26 error spec.policyTypes[1]: `Both` is no policy type: use Ingress or Egress
        6:33 error spec.ingress[0].ports[0].protocol: `Tcp` is no protocol: use TCP, UDP or SCTP
        6:50 error spec.ingress[0].ports[1].protocol: `ICMP` is no protocol: use TCP, UDP or SCTP
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP009",
            r"
policyTypes: [Ingress, Egress]
ingress: [{ports: [{protocol: SCTP}]}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP009", r#"
policyTypes:
- ingress
- 'EGRESS' # all
egress: [{ports: [{protocol: "udp"}]}]
"#), @r#"
        policyTypes:
        - Ingress
        - 'Egress' # all
        egress: [{ports: [{protocol: "UDP"}]}]
        "#);
    }
}
