use std::num::NonZeroU16;

use netpol_policy::cover::{Cover, ports_cover};
use netpol_policy::model::{
    Direction, NetworkPolicy, Peer, Peers, PodNamespaces, PortMatch, Ports, Protocol, Rule,
};
use netpol_policy::source::{Item, PortSource};

use super::place::rule_mut;
use crate::context::{Context, Reporter, RuleAt};
use crate::edits::insert_after;
use crate::finding::Fix;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds port 53 opened over only one of UDP and TCP.
    ///
    /// ## Why it matters
    /// DNS needs both. Resolvers ask over UDP first; an answer that doesn't fit into a datagram is asked for again over
    /// TCP. With UDP alone most names resolve and a few don't, which is hard to find. With TCP alone almost nothing
    /// resolves; that happens when `protocol` is left out, because the default is TCP.
    ///
    /// Silent where the policy, or another one that selects its pods, opens the other protocol.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: dns, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    ///           podSelector: {matchLabels: {k8s-app: kube-dns}}
    ///       ports:
    ///         - protocol: UDP
    ///           port: 53
    /// ```
    ///
    /// ## Fix
    /// `--unsafe-fixes` adds the other protocol.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: dns, namespace: shop}
    /// spec:
    ///   podSelector: {}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    ///           podSelector: {matchLabels: {k8s-app: kube-dns}}
    ///       ports:
    ///         - protocol: UDP
    ///           port: 53
    ///         - protocol: TCP
    ///           port: 53
    /// ```
    NP301 "dns-one-protocol" {
        severity: Warning,
        scope: Document,
        fix: Unsafe,
        check: Policy(check),
    }
}

const DNS: u16 = 53;

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    for direction in Direction::ALL {
        for (given, other) in [(Protocol::Udp, Protocol::Tcp), (Protocol::Tcp, Protocol::Udp)] {
            // One rule with the other protocol would be enough, so one finding is.
            let places = cx.effective_rules().filter(|at| at.direction == direction);
            let Some((at, index, item)) = places.filter_map(|at| place(model, at, given)).next() else {
                continue;
            };
            if !opened_otherwise(cx, model, at, other) {
                report(cx, out, model, at, (index, item), (given, other));
            }
        }
    }
}

/// The port of a rule that is 53 of a protocol.
fn place<'a>(
    model: &NetworkPolicy,
    at: RuleAt<'a>,
    given: Protocol,
) -> Option<(RuleAt<'a>, usize, &'a Item<PortSource>)> {
    let ports = &model.rules(at.direction)?.get(at.index)?.ports;
    let is_dns = |port: &PortMatch| {
        matches!(port, PortMatch::Range(protocol, first, last)
            if *protocol == given && first.get() == DNS && last.get() == DNS)
    };
    let index = ports.items().iter().position(is_dns)?;
    Some((at, index, at.rule.ports.value()?.items.get(index)?))
}

/// Whether this policy, or another one that selects these pods, opens DNS over a protocol: to anyone by the port's
/// number or name, or with other ports to the same peers.
fn opened_otherwise(cx: &Context<'_>, model: &NetworkPolicy, at: RuleAt<'_>, protocol: Protocol) -> bool {
    let rule = model.rules(at.direction).and_then(|rules| rules.get(at.index));
    let (Some(rule), Some(dns)) = (rule, NonZeroU16::new(DNS)) else { return true };
    // Most name both.
    if model.rules(at.direction).into_iter().flatten().any(|rule| names_dns(&rule.ports, protocol)) {
        return true;
    }
    let ports = Ports::Only(vec![PortMatch::number(protocol, dns)]);
    let wanted = Rule { peers: rule.peers.clone(), ports };
    let cover = Cover::new(cx.written_namespace());
    let opens = |rule: &Rule| {
        names_dns(&rule.ports, protocol)
            || cover.rule(rule, &wanted)
            // All pods are not all addresses and the reverse, but whoever opens either forgot nothing.
            || (is_wide(&rule.peers) && ports_cover([&rule.ports], &wanted.ports))
    };
    let others = cx.index.policies_covering(model).filter(|other| other.name != model.name);
    std::iter::once(model)
        .chain(others)
        .any(|policy| policy.rules(at.direction).into_iter().flatten().any(opens))
}

/// Whether a protocol's port 53 is among some ports, by its number or a usual name.
fn names_dns(ports: &Ports, protocol: Protocol) -> bool {
    ports.items().iter().any(|port| match port {
        PortMatch::Named(of, name) => {
            *of == protocol && (name.as_str().contains("dns") || name.as_str() == "domain")
        }
        PortMatch::Range(of, first, last) => *of == protocol && first == last && first.get() == DNS,
        PortMatch::Every(_) => false,
    })
}

/// Whether all pods or all addresses of a family are among the peers.
fn is_wide(peers: &Peers) -> bool {
    peers.items().iter().any(|peer| match peer {
        Peer::Pods { namespaces: PodNamespaces::Selected(namespaces), pods } => {
            namespaces.is_everything() && pods.is_everything()
        }
        Peer::Pods { .. } => false,
        Peer::Block(block) => block.cidr().prefix_len() == 0,
    })
}

fn report(
    cx: &Context<'_>,
    out: &mut Reporter<'_>,
    model: &NetworkPolicy,
    at: RuleAt<'_>,
    (index, item): (usize, &Item<PortSource>),
    (given, other): (Protocol, Protocol),
) {
    let shared = at.shared || at.rule.ports.present().is_some_and(|field| field.shared);
    let edits =
        (!shared).then(|| insert_after(&cx.file.text, item, &[("protocol", other.as_str()), ("port", "53")]));
    let fix = edits.flatten().map(|edits| {
        Fix::changing(format!("allow port 53 over {other} as well"), edits)
            .expecting(with_port(model, at, index, other))
    });
    let why = match given {
        Protocol::Tcp => "resolvers ask over UDP first, which stays denied",
        _ => "an answer too large for a datagram is asked for again over TCP, which stays denied",
    };
    let finding = out.report(
        crate::context::head(cx.file, item.dash, item.span),
        format!("{}.ports[{index}]", at.path()),
        format!("DNS is allowed over {given} only: {why}"),
    );
    let defaulted = item.value.as_ref().is_some_and(|port| port.protocol.is_absent());
    finding.label(if defaulted { "TCP by default".to_owned() } else { format!("{given} only") });
    finding.help(format!("allow port 53 over {other} as well")).fix(fix);
}

/// The policy with DNS over one more protocol, after some port of a rule.
fn with_port(
    model: &NetworkPolicy,
    at: RuleAt<'_>,
    index: usize,
    protocol: Protocol,
) -> Option<NetworkPolicy> {
    let mut policy = model.clone();
    let Ports::Only(ports) = &mut rule_mut(&mut policy, &at)?.ports else { return None };
    let dns = NonZeroU16::new(DNS)?;
    ports.insert(index + 1, PortMatch::number(protocol, dns));
    Some(policy)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings, fixed};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP301", r"
policyTypes: [Egress]
egress:
- ports: [{port: 443}, {port: 53, protocol: UDP}]
- to: [{podSelector: {}}]
  ports: [{port: 53, protocol: UDP}]
"), @"7:26 warning spec.egress[0].ports[1]: DNS is allowed over UDP only: an answer too large for a datagram is asked for again over TCP, which stays denied");
        insta::assert_snapshot!(findings("NP301", r"
policyTypes: [Egress, Ingress]
ingress:
- ports: [{port: 53, protocol: UDP}]
egress:
- ports:
  - port: 53
"), @r"
        7:13 warning spec.ingress[0].ports[0]: DNS is allowed over UDP only: an answer too large for a datagram is asked for again over TCP, which stays denied
        10:5 warning spec.egress[0].ports[0]: DNS is allowed over TCP only: resolvers ask over UDP first, which stays denied
        ");
        // All ports of the own pods are not DNS.
        assert_ne!(
            findings(
                "NP301",
                "policyTypes: [Egress]\negress: [{ports: [{port: 53, protocol: UDP}]}, {to: [{podSelector: {}}]}]\n"
            ),
            ""
        );
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Egress]\negress: [{ports: [{port: 53}, {port: 53, protocol: UDP}]}]\n",
            "policyTypes: [Egress]\negress: [{ports: [{port: 53}]}, {ports: [{port: 53, protocol: UDP}]}]\n",
            "policyTypes: [Egress]\negress: [{ports: [{port: 1, endPort: 99}, {port: 53, protocol: UDP}]}]\n",
            "policyTypes: [Egress]\negress: [{ports: [{port: dns-tcp}, {port: 53, protocol: UDP}]}]\n",
            "policyTypes: [Egress]\negress: [{ports: [{port: 53, protocol: UDP}]}, {to: [{namespaceSelector: {}}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{podSelector: {}}], ports: [{port: 53, protocol: UDP}]}, {to: [{podSelector: {}}]}]\n",
            "policyTypes: [Ingress]\negress: [{ports: [{port: 53}]}]\n",
        ] {
            clean("NP301", text);
        }
    }

    #[test]
    fn another_policy_of_the_same_pods_counts() {
        let policy = |name: &str, protocol: &str, app: &str| {
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec:\n  podSelector: {{matchLabels: {{app: {app}}}}}\n  policyTypes: [Egress]\n  egress: [{{ports: [{{port: 53, protocol: {protocol}}}]}}]\n"
            )
        };
        let two = |app| format!("{}---\n{}", policy("udp", "UDP", "web"), policy("tcp", "TCP", app));
        clean("NP301", &two("web"));
        // The other policy selects every pod, this one among them; what this one opens doesn't hold for all of those.
        let wide = two("all").replace("{matchLabels: {app: all}}", "{}");
        let found = findings("NP301", &wide);
        assert!(found.contains("DNS is allowed over TCP only") && found.lines().count() == 1, "{found}");
        assert_eq!(findings("NP301", &two("db")).lines().count(), 2);
    }

    #[test]
    fn fixes() {
        insta::assert_snapshot!(fixed("NP301", r"
policyTypes: [Egress]
egress:
- ports:
  # names
  - port: 53
    protocol: UDP # fast
  - port: 443
"), @r"
        policyTypes: [Egress]
        egress:
        - ports:
          # names
          - port: 53
            protocol: UDP # fast
          - protocol: TCP
            port: 53
          - port: 443
        ");
        insta::assert_snapshot!(fixed("NP301", r"
policyTypes: [Egress]
egress:
- ports:
    - {port: 53}
"), @r"
        policyTypes: [Egress]
        egress:
        - ports:
            - {port: 53}
            - {protocol: UDP, port: 53}
        ");
        insta::assert_snapshot!(fixed("NP301", r#"
policyTypes: [Egress]
egress: [{"ports": [{"port": 53}]}, {ports: [{port: 80}]}]
"#), @r#"
        policyTypes: [Egress]
        egress: [{"ports": [{"port": 53}, {"protocol": "UDP", "port": 53}]}, {ports: [{port: 80}]}]
        "#);
    }
}
