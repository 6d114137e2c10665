use super::unknown_field;
use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules whose `ports` is there but empty.
    ///
    /// ## Why it matters
    /// An empty list of ports allows every port, as if `ports` weren't there. Templates that leave out the last port, and
    /// lists whose items are commented out, end like this.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports: []
    /// ```
    ///
    /// ## Fix
    /// Name the ports. To allow them all, leave `ports` out.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: api}}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    NP105 "empty-port-list" {
        severity: Warning,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in cx.effective_rules() {
        let ports = &at.rule.ports;
        if !unknown_field::is_empty(ports) || unknown_field::emptied_ports(cx, at.rule) {
            continue;
        }
        let Some(place) = ports.whole() else { continue };
        out.report(
            place,
            format!("{}.ports", at.path()),
            "an empty list of ports allows every port and protocol",
        )
        .label("every port")
        .help("name the ports, or leave `ports` out to allow them all");
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, default_codes, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP105", r"
policyTypes: [Ingress, Egress]
ingress:
- from: [{podSelector: {}}]
  ports: []
egress:
- ports:
  # - port: 80
"), @r"
        8:5 warning spec.ingress[0].ports: an empty list of ports allows every port and protocol
        10:5 warning spec.egress[0].ports: an empty list of ports allows every port and protocol
        ");
    }

    #[test]
    fn a_port_at_the_wrong_depth_is_told_once() {
        let text = "podSelector: {}\npolicyTypes: [Ingress]\ningress:\n- from: [{podSelector: {}}]\n  ports:\n  port: 80\n";
        assert_eq!(default_codes(text), ["NP002"]);
        assert!(findings("NP002", text).contains("without it the rule allows its peers on every port"));
    }

    #[test]
    fn passes() {
        clean(
            "NP105",
            r"
policyTypes: [Ingress]
ingress:
- from: [{podSelector: {}}]
- ports: [{port: 80}]
egress:
- ports: []
",
        );
    }
}
