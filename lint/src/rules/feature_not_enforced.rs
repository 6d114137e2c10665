use std::collections::BTreeMap;

use netpol_policy::model::{Peer, PortMatch, Protocol, Rule};
use netpol_policy::span::Span;

use crate::context::{Context, Reporter, RuleAt, head};
use crate::facts::{Agent, ClusterFacts, Limit, Limitation};
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds what a policy says and the cluster's agent doesn't enforce, as far as the agent's own documentation or issue
    /// tracker says so:
    ///
    /// - Cilium before 1.16 ignores `endPort`; Cilium handles SCTP only with `sctp.enabled=true`.
    /// - Weave Net doesn't know named ports.
    /// - AWS VPC CNI ignores `ipBlock` of a family that pods don't have.
    ///
    /// ## Why it matters
    /// The API server takes the policy as it is. What the agent makes of it is another policy: narrower or wider than the
    /// one that was written, and nothing says so.
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
    ///         - podSelector: {}
    ///       ports:
    ///         - {protocol: TCP, port: 30000, endPort: 30100}
    /// ---
    /// apiVersion: v1
    /// kind: Node
    /// metadata: {name: node-1}
    /// ---
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: cilium-x7x2p, namespace: kube-system}
    /// spec:
    ///   nodeName: node-1
    ///   hostNetwork: true
    ///   containers: [{name: cilium-agent, image: "quay.io/cilium/cilium:v1.15.3"}]
    /// status: {phase: Running}
    /// ```
    ///
    /// ## Fix
    /// Update the agent, or say it without the feature: ports one by one, numbers in the place of names.
    NP702 "feature-not-enforced" {
        severity: Warning,
        scope: Cluster,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let (Some(facts), Some(policy)) = (cx.index.facts(), &cx.policy.model) else { return };
    // One finding for each limit, at the first place; the oldest version stands for all.
    let mut limits: BTreeMap<*const Limit, (&Limit, &Agent)> = BTreeMap::new();
    for agent in &facts.agents {
        for limit in agent.limits() {
            limits.entry(limit).or_insert((limit, agent));
        }
    }
    for (limit, agent) in limits.into_values() {
        let rules = cx.effective_rules().filter_map(|at| {
            let rule = policy.rules(at.direction)?.get(at.index)?;
            Some((at, rule))
        });
        let mut places = rules.flat_map(|(at, rule)| uses(cx, facts, limit.limitation, at, rule));
        let Some((span, path)) = places.next() else { continue };
        let finding = out.report(span, path, format!("{agent} {}", limit.effect));
        finding.label("not enforced as written");
        for (span, _) in places {
            finding.near(span, "likewise");
        }
        finding.help(match (limit.limitation, limit.until) {
            (_, Some(until)) => format!("update {} to {until} or later", agent.kind.as_str()),
            (Limitation::Sctp, None) => "see that it is switched on, or leave SCTP out".to_owned(),
            (Limitation::NamedPort, None) => "write the port's number".to_owned(),
            (Limitation::EndPort, None) => "list the ports one by one".to_owned(),
            (Limitation::OtherFamily, None) => "leave the block out; it has no effect".to_owned(),
        });
    }
}

/// Where a rule uses what isn't enforced.
fn uses(
    cx: &Context<'_>,
    facts: &ClusterFacts,
    limitation: Limitation,
    at: RuleAt<'_>,
    rule: &Rule,
) -> Vec<(Span, String)> {
    if limitation == Limitation::OtherFamily {
        let other = |peer: &Peer| match peer {
            Peer::Block(block) => facts.ranges.pods_have(block.cidr().addr().is_ipv4()) == Some(false),
            Peer::Pods { .. } => false,
        };
        let peers = at.peers().filter(|peer| rule.peers.items().get(peer.index).is_some_and(other));
        return peers.map(|peer| (peer.head(cx.file), format!("{}.ipBlock", peer.path()))).collect();
    }
    let uses = |port: &PortMatch| match (limitation, port) {
        (Limitation::EndPort, PortMatch::Range(_, first, last)) => first < last,
        (Limitation::NamedPort, PortMatch::Named(..)) => true,
        (Limitation::Sctp, port) => port.protocol() == Protocol::Sctp,
        _ => false,
    };
    let items = at.rule.ports.value().map(|list| list.items.as_slice()).unwrap_or_default();
    let ports = rule.ports.items().iter().zip(items).enumerate().filter(|(_, (port, _))| uses(port));
    ports
        .map(|(index, (_, item))| {
            (head(cx.file, item.dash, item.span), format!("{}.ports[{index}]", at.path()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn cluster(policy: &str, container: &str, image: &str, argument: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  \
             podSelector: {{}}\n  policyTypes: [Ingress, Egress]\n  ingress:\n{policy}\n---\n\
             {{apiVersion: v1, kind: Node, metadata: {{name: one}}}}\n---\napiVersion: v1\nkind: Pod\n\
             metadata: {{name: agent, namespace: kube-system}}\nspec: {{nodeName: one, hostNetwork: true, containers: \
             [{{name: {container}, image: '{image}', args: ['{argument}']}}, {{name: aws-node, image: x}}]}}\n\
             status: {{phase: Running}}\n---\napiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: shop}}\n\
             spec: {{nodeName: one, containers: [{{name: web, image: web}}]}}\n\
             status: {{phase: Running, podIPs: [{{ip: 10.0.0.1}}]}}\n"
        )
    }

    const PORTS: &str = "  - ports:\n    - {port: 1, endPort: 2}\n    - {port: http}\n    - {protocol: SCTP, port: 9}\n    - {port: 7, endPort: 8}";
    const BLOCKS: &str =
        "  - from:\n    - ipBlock: {cidr: 192.0.2.0/24}\n    - ipBlock: {cidr: 2001:db8::/32}";

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP702", &cluster(PORTS, "cilium-agent", "quay.io/cilium/cilium:v1.15.3", "")), @r"
        9:5 warning spec.ingress[0].ports[0]: Cilium 1.15 ignores endPort and allows the first port only
        11:5 warning spec.ingress[0].ports[2]: Cilium 1.15 handles SCTP only where its beta support is switched on (sctp.enabled=true)
        ");
        insta::assert_snapshot!(findings("NP702", &cluster(PORTS, "weave-npc", "weaveworks/weave-npc:2.8.1", "")), @"10:5 warning spec.ingress[0].ports[1]: Weave Net 2.8 doesn't know named ports: its policy controller crashes on them");
        insta::assert_snapshot!(findings("NP702", &cluster(BLOCKS, "aws-eks-nodeagent", "x/aws-network-policy-agent:v1.1.5", "--enable-network-policy=true")), @"10:5 warning spec.ingress[0].from[1].ipBlock: AWS VPC CNI 1.1 enforces only the family that the cluster's pods have and ignores blocks of the other");
    }

    #[test]
    fn passes() {
        clean("NP702", &cluster(PORTS, "calico-node", "calico/node:v3.29.1", ""));
        clean(
            "NP702",
            &cluster("  - ports: [{port: 1, endPort: 2}]", "cilium-agent", "cilium/cilium:v1.17.0", ""),
        );
        clean("NP702", &cluster("  - ports: [{port: 1}]", "cilium-agent", "cilium/cilium:v1.14.0", ""));
        clean("NP702", &cluster(BLOCKS, "calico-node", "calico/node:v3.29.1", ""));
        // Not enforced at all is another rule's matter.
        clean("NP702", &cluster(PORTS, "kube-flannel", "flannel/flannel:v0.26.1", ""));
    }
}
