use netpol_policy::source::ProblemKind;

use crate::context::{Context, Reporter};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds ports outside 1 to 65535, names that no container port can have, and numbers that quotes make a text.
    ///
    /// ## Why it matters
    /// The API server takes a text for the name of a container port. `"80"` is none, since a name needs a letter, and the
    /// whole policy is refused: what was to be closed stays open.
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
    ///     - ports:
    ///         - {protocol: TCP, port: "80"}
    /// ```
    ///
    /// ## Fix
    /// `--fix` removes the quotes around a number.
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
    NP007 "invalid-port" {
        severity: Error,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for problem in cx.problems(ProblemKind::InvalidPort) {
        let fix = quoted_port(cx.file.slice(problem.span))
            .map(|number| Fix::safe("remove the quotes", [Edit::replace(problem.span, number.to_string())]));
        out.problem(problem).fix(fix);
    }
}

/// The port in a text such as `"80"`.
fn quoted_port(written: &str) -> Option<u16> {
    let inner = ['"', '\''].iter().find_map(|quote| written.strip_prefix(*quote)?.strip_suffix(*quote))?;
    // A leading zero may mean octal to somebody; better to leave it to a person.
    let number = inner.parse().ok()?;
    (number != 0 && !inner.starts_with(['0', '+'])).then_some(number)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP007", r#"
ingress: [{ports: [{port: 0}, {port: 65536}, {port: '80'}, {port: "no-letter-9_"}]}]
"#), @r#"
        5:29 error spec.ingress[0].ports[0].port: 0 is no port: ports are 1 to 65535
        5:40 error spec.ingress[0].ports[1].port: 65536 is no port: ports are 1 to 65535
        5:55 error spec.ingress[0].ports[2].port: "80" is a text, so the API server takes it as a port's name and refuses it
        5:69 error spec.ingress[0].ports[3].port: `no-letter-9_` is no port name: at most 15 lower case letters, digits and `-`, with at least one letter, no `-` at an end or doubled
        "#);
    }

    #[test]
    fn passes() {
        clean(
            "NP007",
            r"
ingress: [{ports: [{port: 80}, {port: http}, {port: '8080-tcp'}]}]
",
        );
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP007", r#"
ingress:
- ports:
  - port: "80" # web
  - {port: '443', protocol: TCP}
"#), @r"
        ingress:
        - ports:
          - port: 80 # web
          - {port: 443, protocol: TCP}
        ");
        insta::assert_snapshot!(fixed("NP007", r"
ingress: [{ports: [{port: '080'}, {port: '99999'}]}]
"), @"ingress: [{ports: [{port: '080'}, {port: '99999'}]}]");
    }
}
