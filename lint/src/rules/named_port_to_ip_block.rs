use netpol_policy::model::{Direction, Peer, PortMatch};

use crate::context::{Context, Reporter, head};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds egress rules that allow a port by its name towards an `ipBlock`.
    ///
    /// ## Why it matters
    /// A port's name is looked up in the containers of the destination pod. Where an address of the block is a pod's, the
    /// name means the port that the pod declares; every other address has no containers, so the name stands for no port
    /// there and allows nothing. Blocks are mostly about such addresses.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: api, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: api}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock: {cidr: 192.0.2.0/24}
    ///       ports:
    ///         - {protocol: TCP, port: https}
    /// ```
    ///
    /// ## Fix
    /// Write the number.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: api, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: api}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock: {cidr: 192.0.2.0/24}
    ///       ports:
    ///         - {protocol: TCP, port: 443}
    /// ```
    NP304 "named-port-to-ip-block" {
        severity: Warning,
        scope: Document,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(model) = &cx.policy.model else { return };
    // The destination of ingress is the selected pod, whose ports have names.
    for at in cx.effective_rules().filter(|at| at.direction == Direction::Egress) {
        let Some(rule) = model.rules(at.direction).and_then(|rules| rules.get(at.index)) else { continue };
        let is_block = |peer: &Peer| matches!(peer, Peer::Block(_));
        let peers = rule.peers.items();
        let Some(block) = peers.iter().position(is_block) else { continue };
        for (index, port) in rule.ports.items().iter().enumerate() {
            let PortMatch::Named(_, name) = port else { continue };
            let Some(item) = at.rule.ports.value().and_then(|list| list.items.get(index)) else { continue };
            let finding = out.report(
                head(cx.file, item.dash, item.span),
                format!("{}.ports[{index}].port", at.path()),
                format!(
                    "the port name `{name}` is looked up on pods: at addresses of an ipBlock that are no pod's it allows \
                     nothing"
                ),
            );
            if let Some(port) = item.value.as_ref().and_then(|port| port.port.present()) {
                finding.place.span = port.span;
            }
            if let Some(peer) = at.peers().nth(block) {
                finding.near(peer.head(cx.file), "addresses; only those of pods have names for ports");
            }
            finding.help("write the port's number");
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP304", r"
policyTypes: [Egress]
egress:
- to: [{ipBlock: {cidr: 192.0.2.0/24}}]
  ports: [{port: 80}, {port: https}]
- to:
  - podSelector: {}
  - ipBlock: {cidr: 192.0.2.0/24}
  ports:
  - protocol: UDP
    port: dns
"), @r"
        8:32 warning spec.egress[0].ports[1].port: the port name `https` is looked up on pods: at addresses of an ipBlock that are no pod's it allows nothing
        14:13 warning spec.egress[1].ports[0].port: the port name `dns` is looked up on pods: at addresses of an ipBlock that are no pod's it allows nothing
        ");
    }

    #[test]
    fn passes() {
        for text in [
            "policyTypes: [Egress]\negress: [{to: [{podSelector: {}}], ports: [{port: http}]}, {ports: [{port: http}]}]\n",
            "policyTypes: [Egress]\negress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 80}]}]\n",
            "policyTypes: [Ingress]\ningress: [{from: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: http}]}]\n",
        ] {
            clean("NP304", text);
        }
    }
}
