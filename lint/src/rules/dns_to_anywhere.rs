use netpol_policy::model::{Direction, Peer, Peers, PortMatch, Rule};

use super::redundancy::is_empty_list;
use crate::context::{Context, Reporter, head};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds egress rules that open port 53 to any destination: without peers, or to 0.0.0.0/0 or ::/0.
    ///
    /// ## Why it matters
    /// Pods ask the cluster's name server; few have to ask others. DNS to anywhere is a way out: data can be hidden in
    /// questions to a server that somebody else runs, and nothing checks that what goes to port 53 is DNS at all.
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
    ///     - ports:
    ///         - {protocol: UDP, port: 53}
    ///         - {protocol: TCP, port: 53}
    /// ```
    ///
    /// ## Fix
    /// Allow the name server's pods. Where nodes have a DNS cache, allow its address as well, usually 169.254.20.10/32.
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
    ///         - {protocol: UDP, port: 53}
    ///         - {protocol: TCP, port: 53}
    /// ```
    NP312 "dns-to-anywhere" {
        severity: Info,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    let rules = model.rules(Direction::Egress).unwrap_or_default();
    for at in cx.effective_rules().filter(|at| at.direction == Direction::Egress) {
        let Some(rule) = rules.get(at.index) else { continue };
        let Some(list) = at.rule.ports.value() else { continue };
        // An empty list of peers is another matter.
        let to = if is_empty_list(&at.rule.peers) { None } else { anywhere(rule) };
        let port = rule.ports.items().iter().zip(&list.items).position(|(port, _)| is_dns(port));
        let (Some(to), Some(port)) = (to, port) else { continue };
        let item = &list.items[port];
        out.report(
            head(cx.file, item.dash, item.span),
            format!("{}.ports[{port}]", at.path()),
            format!("DNS may go to {to}, to servers that somebody else runs as well"),
        )
        .help("allow only the cluster's name server: the pods `k8s-app: kube-dns` of namespace kube-system");
    }
}

/// Whether a rule allows any destination, in words.
fn anywhere(rule: &Rule) -> Option<&'static str> {
    let Peers::Only(peers) = &rule.peers else { return Some("any destination") };
    peers.iter().find_map(|peer| match peer {
        Peer::Block(block) if block.cidr().prefix_len() == 0 => {
            Some(if block.cidr().addr().is_ipv4() { "any IPv4 address" } else { "any IPv6 address" })
        }
        _ => None,
    })
}

/// Whether a port is opened for DNS on purpose.
fn is_dns(port: &PortMatch) -> bool {
    match port {
        PortMatch::Every(_) => false,
        PortMatch::Range(_, first, last) => (first.get(), last.get()) == (53, 53),
        PortMatch::Named(_, name) => name.as_str() == "domain" || name.as_str().starts_with("dns"),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP312", r"
policyTypes: [Egress]
egress:
- ports: [{port: 443}, {port: 53, protocol: UDP}, {port: 53}]
- to: [{podSelector: {}}, {ipBlock: {cidr: '::/0'}}]
  ports:
  - port: dns-tcp
- to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]
  ports: [{port: 53, protocol: UDP}]
"), @r"
        7:26 info spec.egress[0].ports[1]: DNS may go to any destination, to servers that somebody else runs as well
        10:5 info spec.egress[1].ports[0]: DNS may go to any IPv6 address, to servers that somebody else runs as well
        12:13 info spec.egress[2].ports[0]: DNS may go to any IPv4 address, to servers that somebody else runs as well
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Egress]\negress: [{}, {to: []}, {to: [], ports: [{port: 53}]}]\n",
            "policyTypes: [Egress]\negress: [{ports: [{protocol: UDP}, {port: 443}, {port: 1, endPort: 100}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{namespaceSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 53}]}]\n",
            "policyTypes: [Ingress]\ningress: [{ports: [{port: 53}]}]\n",
        ] {
            clean("NP312", text);
        }
    }
}
