use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds an `endPort` without a numeric `port`, or below it.
    ///
    /// ## Why it matters
    /// The API server refuses the whole policy, so what was to be closed stays open.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: ftp, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - ports:
    ///         - {protocol: TCP, port: 30100, endPort: 30000}
    /// ```
    ///
    /// ## Fix
    /// `port` is the first port of the range, `endPort` the last:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: ftp, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - ports:
    ///         - {protocol: TCP, port: 30000, endPort: 30100}
    /// ```
    NP008 "invalid-end-port" {
        severity: Error,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidEndPort) {
        let finding = out.problem(problem);
        if let Some(port) = problem.related {
            finding.near(port, "the first port of the range");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP008", r"
ingress: [{ports: [{port: 80, endPort: 79}, {endPort: 80}, {port: http, endPort: 80}]}]
"), @r"
        5:42 error spec.ingress[0].ports[0].endPort: endPort 79 is below port 80
        5:57 error spec.ingress[0].ports[1].endPort: `endPort` needs a `port`
        5:84 error spec.ingress[0].ports[2].endPort: `endPort` needs a numeric `port`
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP008",
            r"
ingress: [{ports: [{port: 80, endPort: 80}]}]
",
        );
    }
}
