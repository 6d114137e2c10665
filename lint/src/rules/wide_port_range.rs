use netpol_policy::model::PortMatch;

use crate::context::{Context, Reporter, head};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds ranges of more than 1000 ports, or of more than `wide-port-range` in the configuration says. A protocol
    /// without any port is left to NP110.
    ///
    /// ## Why it matters
    /// A wide range opens ports that nobody had in mind: what starts to listen there later is reachable at once. It is
    /// often a way to allow replies, which need no rule, or a typing mistake in `endPort`.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: ftp, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: ftp}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: batch}}
    ///       ports:
    ///         - {protocol: TCP, port: 1024, endPort: 65535}
    /// ```
    ///
    /// ## Fix
    /// Name the ports that are used, or a smaller range of them; most servers can be told which to use.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: ftp, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: ftp}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - podSelector: {matchLabels: {app: batch}}
    ///       ports:
    ///         - {protocol: TCP, port: 30000, endPort: 30099}
    /// ```
    NP303 "wide-port-range" {
        severity: Info,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    let limit = u32::from(cx.settings.wide_port_range.get());
    for at in cx.effective_rules() {
        let rules = model.rules(at.direction).unwrap_or_default();
        let ports = rules.get(at.index).map_or(&[][..], |rule| rule.ports.items());
        let Some(list) = at.rule.ports.value() else { continue };
        for (index, (port, item)) in ports.iter().zip(&list.items).enumerate() {
            let PortMatch::Range(protocol, first, last) = port else { continue };
            let width = u32::from(last.get()) - u32::from(first.get()) + 1;
            if width <= limit {
                continue;
            }
            let count = if width == 65_535 { "all".to_owned() } else { width.to_string() };
            let field =
                item.value.as_ref().and_then(|port| Some(port.port.key()?.to(port.end_port.whole()?)));
            let in_order = field.filter(|span| span.start < span.end);
            out.report(
                in_order.unwrap_or_else(|| head(cx.file, item.dash, item.span)),
                format!("{}.ports[{index}]", at.path()),
                format!("{first}-{last} opens {count} ports of {protocol}"),
            )
            .label(format!("more than {limit}"))
            .help("name the ports that are used; replies to connections need no rule");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use crate::check::check_text;
    use crate::rules::testing::{clean, findings};
    use crate::select::Selection;
    use crate::settings::Settings;

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP303", r"
policyTypes: [Ingress, Egress]
ingress:
- ports: [{port: 80}, {port: 1, endPort: 65535}]
egress:
- ports:
  - endPort: 2000
    port: 1000
    protocol: UDP
"), @r"
        7:26 info spec.ingress[0].ports[1]: 1-65535 opens all ports of TCP
        10:7 info spec.egress[0].ports[0]: 1000-2000 opens 1001 ports of UDP
        ");
    }

    #[test]
    fn passes() {
        clean(
            "NP303",
            "ingress: [{ports: [{port: 1000, endPort: 1999}, {protocol: TCP}, {port: 9, endPort: 8}]}]\n",
        );
    }

    #[test]
    fn the_size_is_a_setting() {
        let policy = "kind: NetworkPolicy\napiVersion: networking.k8s.io/v1\nmetadata: {name: p}\nspec:\n  \
                      ingress: [{ports: [{port: 10, endPort: 14}]}]\n";
        for (limit, count) in [(4, 1), (5, 0)] {
            let selection = Selection::new(&["NP303"], &[]).unwrap();
            let wide_port_range = NonZeroU16::new(limit).unwrap();
            let settings = Settings { wide_port_range, ..selection.into() };
            assert_eq!(check_text("p.yaml", policy, &settings).findings.len(), count, "{limit}");
        }
    }
}
