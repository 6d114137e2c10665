use netpol_policy::model::{Direction, PortMatch, Ports, Protocol};

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds `0.0.0.0/0` and `::/0` in ingress rules.
    ///
    /// ## Why it matters
    /// They are every address: the whole Internet as far as it can reach the pod, and also every node and every pod of
    /// the cluster. Exceptions take only the addresses away that they name.
    ///
    /// Silent where only ports of web servers are open: 80, 443, 8000, 8080, 8443, or names that begin with `http` or
    /// `web`. Such a rule is the public entrance that it looks like.
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
    ///         - ipBlock: {cidr: 0.0.0.0/0}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    ///
    /// ## Fix
    /// Name the addresses or the pods that have to get in.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: db, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: db}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 192.0.2.0/24}
    ///       ports:
    ///         - {protocol: TCP, port: 5432}
    /// ```
    NP307 "world-open-ingress" {
        severity: Warning,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    for at in cx.effective_rules().filter(|at| at.direction == Direction::Ingress) {
        let mut worlds = at.peers().filter_map(|peer| {
            let field = peer.peer.ip_block.present()?;
            let block = field.value.model.as_ref().filter(|block| block.cidr().prefix_len() == 0)?;
            let family = if block.cidr().addr().is_ipv4() { "IPv4" } else { "IPv6" };
            Some((peer, field.value.cidr.as_ref()?, family, !block.except().is_empty()))
        });
        let Some((peer, cidr, family, excepts)) = worlds.next() else { continue };
        let Some(rule) = model.rules(at.direction).and_then(|rules| rules.get(at.index)) else { continue };
        if is_entry_point(&rule.ports) {
            continue;
        }
        let second = worlds.find(|(_, _, other, _)| *other != family);
        let family = if second.is_some() { "IPv4 and IPv6" } else { family };
        let except = if excepts { ", but for the exceptions" } else { "" };
        let ports = if rule.ports == Ports::All { "every port" } else { "these ports" };
        let finding = out.report(
            cidr.span,
            format!("{}.ipBlock.cidr", peer.path()),
            format!("every {family} address may connect on {ports}, in the cluster and outside{except}"),
        );
        if let Some((_, cidr, ..)) = second {
            finding.near(cidr.span, "and here the other family");
        }
        finding.help("name the addresses or the pods that have to get in");
    }
}

/// Whether all ports are such as are opened to the world on purpose: those of web servers.
fn is_entry_point(ports: &Ports) -> bool {
    let of_web = |port: &PortMatch| match port {
        PortMatch::Range(Protocol::Tcp | Protocol::Udp, first, last) => {
            first == last && matches!(first.get(), 80 | 443 | 8000 | 8080 | 8443)
        }
        PortMatch::Named(_, name) => {
            ["http", "web"].iter().any(|word| name.as_str().starts_with(word)) || name.as_str() == "quic"
        }
        _ => false,
    };
    !ports.items().is_empty() && ports.items().iter().all(of_web)
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP307", r"
policyTypes: [Ingress]
ingress:
- from: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]
- from:
  - podSelector: {}
  - ipBlock: {cidr: '::/0', except: ['fd00::/8']}
  ports: [{port: 443}, {port: 22}]
"), @r"
        7:29 warning spec.ingress[0].from[0].ipBlock.cidr: every IPv4 and IPv6 address may connect on every port, in the cluster and outside
        10:23 warning spec.ingress[1].from[1].ipBlock.cidr: every IPv6 address may connect on these ports, in the cluster and outside, but for the exceptions
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Ingress]\ningress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}, {ports: [{port: 443}]}]\n",
            "policyTypes: [Ingress]\ningress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}, {port: http}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n",
        ] {
            clean("NP307", text);
        }
    }
}
