use netpol_policy::cover::ports_cover;
use netpol_policy::model::{IpBlock, Peer, Peers, Rule};

use crate::context::{Context, Reporter};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds rules that allow the whole world of one address family, 0.0.0.0/0 or ::/0, where nothing in the policy
    /// allows the other one on the same ports. It is silent unless the configuration has `dual-stack = true`.
    ///
    /// ## Why it matters
    /// Where pods have addresses of both families, programs try IPv6 first. The connection that was to be allowed is
    /// denied, or works after a delay, or only from some places.
    ///
    /// ## Example
    /// ```yaml
    /// # netpol-lint.toml has dual-stack = true
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: out, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock: {cidr: 0.0.0.0/0}
    ///       ports:
    ///         - {protocol: TCP, port: 443}
    /// ```
    ///
    /// ## Fix
    /// Add the other family, with its own exceptions:
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: out, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock: {cidr: 0.0.0.0/0}
    ///         - ipBlock: {cidr: "::/0"}
    ///       ports:
    ///         - {protocol: TCP, port: 443}
    ///     - to:
    ///         - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
    ///           podSelector: {matchLabels: {k8s-app: kube-dns}}
    ///       ports:
    ///         - {protocol: UDP, port: 53}
    ///         - {protocol: TCP, port: 53}
    /// ```
    NP309 "single-family-world" {
        severity: Info,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = cx.policy.model.as_ref().filter(|_| cx.settings.dual_stack) else { return };
    for at in cx.effective_rules() {
        let rules = model.rules(at.direction).unwrap_or_default();
        let Some(rule) = rules.get(at.index) else { continue };
        for peer in at.peers() {
            let Some(field) = peer.peer.ip_block.present() else { continue };
            let (Some(block), Some(cidr)) = (&field.value.model, &field.value.cidr) else { continue };
            if !is_world(block) || has_other_family(rules, rule, block) {
                continue;
            }
            let (this, other, world) = match is_four(block) {
                true => ("IPv4", "IPv6", "::/0"),
                false => ("IPv6", "IPv4", "0.0.0.0/0"),
            };
            out.report(
                cidr.span,
                format!("{}.ipBlock.cidr", peer.path()),
                format!("the whole world over {this}, but not over {other}"),
            )
            .help(format!("add an ipBlock with {world}, and the exceptions that {other} needs"));
            break;
        }
    }
}

/// Whether a rule opens the same ports to the world of the other family.
fn has_other_family(rules: &[Rule], rule: &Rule, block: &IpBlock) -> bool {
    let opens = |outer: &&Rule| match &outer.peers {
        Peers::All => true,
        Peers::Only(peers) => peers.iter().any(
            |peer| matches!(peer, Peer::Block(other) if is_world(other) && is_four(other) != is_four(block)),
        ),
    };
    ports_cover(rules.iter().filter(opens).map(|rule| &rule.ports), &rule.ports)
}

fn is_world(block: &IpBlock) -> bool {
    block.cidr().prefix_len() == 0
}

fn is_four(block: &IpBlock) -> bool {
    block.cidr().addr().is_ipv4()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP309", r"
# dual-stack = true
policyTypes: [Ingress, Egress]
ingress:
- from: [{ipBlock: {cidr: '::/0'}}]
egress:
- to: [{podSelector: {}}, {ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]
  ports: [{port: 443}, {port: 80}]
- to: [{ipBlock: {cidr: '::/0'}}]
  ports: [{port: 443}]
"), @r"
        8:29 info spec.ingress[0].from[0].ipBlock.cidr: the whole world over IPv6, but not over IPv4
        10:46 info spec.egress[0].to[1].ipBlock.cidr: the whole world over IPv4, but not over IPv6
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]\n",
            "# dual-stack = true\npolicyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]}]\n",
            "# dual-stack = true\npolicyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/1}}]}]\n",
            "# dual-stack = true\npolicyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}, {to: [{ipBlock: {cidr: '::/0'}}], ports: [{port: 443, protocol: TCP}]}, {ports: [{port: 80}]}]\n",
        ] {
            clean("NP309", text);
        }
    }
}
