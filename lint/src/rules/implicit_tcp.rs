use netpol_policy::source::{Item, PortSource, Slot};

use super::port_without_number;
use crate::context::{Context, Reporter, RuleAt, head};
use crate::edits::{fill_null, write_first};
use crate::finding::{Edit, Fix};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds ports without a `protocol`.
    ///
    /// ## Why it matters
    /// The default is TCP. Whoever opens a port of UDP or SCTP and forgets the protocol opens another port than was meant;
    /// a protocol that is written shows that somebody thought of it.
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
    ///       ports:
    ///         - port: 5432
    /// ```
    ///
    /// ## Fix
    /// `--fix` writes `protocol: TCP`.
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
    ///         - protocol: TCP
    ///           port: 5432
    /// ```
    NP111 "implicit-tcp" {
        severity: Info,
        scope: Document,
        fix: Safe,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    for at in cx.effective_rules() {
        for (index, item) in at.rule.ports.value().into_iter().flat_map(|list| list.items.iter().enumerate())
        {
            let Some(port) = item.value.as_ref().filter(|port| lacks_protocol_only(port)) else { continue };
            // With a dash too many the protocol is written, in the item before or after.
            if port_without_number::explains(cx, at, index) {
                continue;
            }
            let written = port.port.present().map(|field| cx.file.slice(field.span)).unwrap_or_default();
            let fix = edits(cx, &at, item, port).map(|edits| Fix::safe("write `protocol: TCP`", edits));
            out.report(
                head(cx.file, item.dash, item.span),
                format!("{}.ports[{index}]", at.path()),
                format!("port {written} without a protocol is TCP"),
            )
            .fix(fix);
        }
    }
}

/// Whether a port is named and has no protocol. Without a port there is more to say, and a field that the API server
/// drops may be the protocol.
fn lacks_protocol_only(port: &PortSource) -> bool {
    matches!(port.protocol, Slot::Absent | Slot::Null(_))
        && port.port.present().is_some()
        && port.stray.is_empty()
}

fn edits(cx: &Context<'_>, at: &RuleAt<'_>, item: &Item<PortSource>, port: &PortSource) -> Option<Vec<Edit>> {
    if at.shared || item.shared || at.rule.ports.present().is_some_and(|list| list.shared) {
        return None;
    }
    match &port.protocol {
        Slot::Null(field) => {
            let json = cx.file.slice(field.key).starts_with('"');
            fill_null(&cx.file.text, field, if json { "\"TCP\"" } else { "TCP" })
        }
        _ => write_first(&cx.file.text, item, "protocol", "TCP"),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, codes, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP111", r"
policyTypes: [Ingress]
ingress:
- ports:
  - port: 80
  - protocol:
    port: http
"), @r"
        8:5 info spec.ingress[0].ports[0]: port 80 without a protocol is TCP
        9:5 info spec.ingress[0].ports[1]: port http without a protocol is TCP
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP111",
            r"
policyTypes: [Ingress]
ingress:
- ports: [{port: 80, protocol: TCP}, {}, {port: 80, potocol: UDP}]
egress:
- ports: [{port: 80}]
",
        );
    }

    #[test]
    fn the_protocol_may_be_an_item_of_its_own() {
        let text = "policyTypes: [Egress]\negress: [{ports: [{protocol: UDP}, {port: 53}]}]\n";
        assert_ne!(findings("NP111", text), "");
        assert!(!codes(&["NP1"], text).contains(&"NP111"));
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP111", r#"
policyTypes: [Ingress]
ingress:
- ports:
  # the web
  - port: 80 # plain
  - protocol:
    port: http
  - {port: 443}
  - {"port": 444, "protocol": null}
  - {"port": 445}
  -
    port: 8080
    endPort: 8090
"#), @r#"
        policyTypes: [Ingress]
        ingress:
        - ports:
          # the web
          - protocol: TCP
            port: 80 # plain
          - protocol: TCP
            port: http
          - {protocol: TCP, port: 443}
          - {"port": 444, "protocol": "TCP"}
          - {"protocol": "TCP", "port": 445}
          -
            protocol: TCP
            port: 8080
            endPort: 8090
        "#);
    }
}
