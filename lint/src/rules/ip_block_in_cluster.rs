use ipnet::IpNet;
use netpol_policy::model::{Direction, IpBlock, Peer};

use crate::context::{Context, Reporter};
use crate::facts::{AddressOwner, AgentKind, ClusterFacts, Range};
use crate::output::plural;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds an `ipBlock` that meets the cluster's own addresses: one inside the range of pods or Services, one that covers
    /// a range of pods as a part of something larger, and the very address of a pod or a Service. It knows the ranges from
    /// the nodes' `podCIDRs` and from ServiceCIDR objects. The whole world (`0.0.0.0/0`) is not meant, nor is what `except`
    /// takes out.
    ///
    /// ## Why it matters
    /// Pods get new addresses whenever they are replaced, so a rule for an address soon means another pod. A block that
    /// happens to cover the range of pods lets all of them in. A Service's address is translated before most agents look,
    /// so a rule for it matches nothing; and some agents, Cilium for one, never match pods by address.
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
    ///         - ipBlock: {cidr: 10.0.0.0/8}
    /// ---
    /// apiVersion: v1
    /// kind: Node
    /// metadata: {name: node-1}
    /// spec: {podCIDRs: [10.244.1.0/24]}
    /// ```
    ///
    /// ## Fix
    /// Select pods by their labels. Take the range of pods out of a block that is meant for others:
    /// `except: [10.244.0.0/16]`.
    NP703 "ip-block-in-cluster" {
        severity: Warning,
        scope: Cluster,
        fix: None,
        check: Policy(check),
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let (Some(facts), Some(policy)) = (cx.index.facts(), &cx.policy.model) else { return };
    for at in cx.effective_peers() {
        let rule = policy.rules(at.rule.direction).and_then(|rules| rules.get(at.rule.index));
        let Some(Peer::Block(block)) = rule.and_then(|rule| rule.peers.items().get(at.index)) else {
            continue;
        };
        let Some(meeting) = meeting(facts, block) else { continue };
        let source = at.peer.ip_block.value().and_then(|block| block.cidr.as_ref());
        let span = source.map_or_else(|| at.head(cx.file), |cidr| cidr.span);
        let path = format!("{}.ipBlock.cidr", at.path());
        let (message, label, help) = meeting.words(facts, block, at.rule.direction);
        out.report(span, path, message).label(label).help(help);
    }
}

/// How a block meets the cluster.
enum Meeting<'f> {
    Address(&'f AddressOwner),
    InsidePods(&'f Range),
    InsideServices(&'f Range),
    /// It covers the ranges of so many nodes.
    CoversPods(usize, &'f Range),
}

fn meeting<'f>(facts: &'f ClusterFacts, block: &IpBlock) -> Option<Meeting<'f>> {
    let cidr = block.cidr();
    let ranges = &facts.ranges;
    if cidr.prefix_len() == 0 {
        return None;
    }
    if cidr.prefix_len() == cidr.max_prefix_len()
        && let Some(owner) = ranges.owners.get(&cidr.addr())
    {
        return Some(Meeting::Address(owner));
    }
    let inside = |ranges: &'f [Range]| ranges.iter().find(|range| range.block.contains(&cidr));
    if let Some(range) = inside(&ranges.services) {
        return Some(Meeting::InsideServices(range));
    }
    if let Some(range) = inside(&ranges.pods) {
        return Some(Meeting::InsidePods(range));
    }
    let excepted = |range: &IpNet| block.except().iter().any(|except| except.contains(range));
    let mut covered =
        ranges.pods.iter().filter(|range| cidr.contains(&range.block) && !excepted(&range.block));
    let first = covered.next()?;
    Some(Meeting::CoversPods(1 + covered.count(), first))
}

impl Meeting<'_> {
    /// Message, label and help.
    fn words(
        &self,
        facts: &ClusterFacts,
        block: &IpBlock,
        direction: Direction,
    ) -> (String, &'static str, String) {
        let cidr = block.cidr();
        let ignored = facts.agents.iter().any(|agent| agent.kind == AgentKind::Cilium);
        // docs.cilium.io, "Known missing features for Kubernetes Network Policy": ipBlock set with a pod IP.
        let ignored = if ignored { "; Cilium never matches pods by address" } else { "" };
        let select = "select pods by their labels".to_owned();
        match self {
            Self::Address(AddressOwner::Pod(pod)) => (
                format!(
                    "{} is the address of pod {pod} just now; another pod may have it tomorrow{ignored}",
                    cidr.addr()
                ),
                "a pod's address",
                select,
            ),
            Self::Address(AddressOwner::Service(service)) => (
                service_message(
                    &cidr.addr().to_string(),
                    &format!("the address of Service {service}"),
                    direction,
                ),
                "a Service's address",
                select,
            ),
            Self::InsideServices(range) => (
                service_message(
                    &cidr.to_string(),
                    &format!("inside the Service range {} ({})", range.block, range.of),
                    direction,
                ),
                "addresses of Services",
                select,
            ),
            Self::InsidePods(range) => (
                format!(
                    "{cidr} is inside the pod range {} of node {}: pods' addresses change{ignored}",
                    range.block, range.of
                ),
                "addresses of pods",
                select,
            ),
            Self::CoversPods(nodes, range) => (
                format!(
                    "{cidr} covers the pod range of {}, such as {} of {}: the rule is for every pod there as well{ignored}",
                    plural(*nodes, "node"),
                    range.block,
                    range.of
                ),
                "pods' addresses among others",
                "if pods aren't meant, take their range out with `except`".to_owned(),
            ),
        }
    }
}

fn service_message(what: &str, is: &str, direction: Direction) -> String {
    let why = match direction {
        Direction::Ingress => "no connection comes from there",
        Direction::Egress => "it is translated to a pod's address before most agents look",
    };
    format!("{what} is {is}: {why}")
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn cluster(direction: &str, block: &str) -> String {
        let (list, peers) = if direction == "Ingress" { ("ingress", "from") } else { ("egress", "to") };
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\n\
             spec: {{podSelector: {{}}, policyTypes: [{direction}], {list}: [{{{peers}: [{{ipBlock: {block}}}]}}]}}\n---\n\
             {{apiVersion: v1, kind: Node, metadata: {{name: a}}, spec: {{podCIDRs: [10.244.1.0/24, 'fd00:1::/64']}}}}\n---\n\
             {{apiVersion: v1, kind: Node, metadata: {{name: b}}, spec: {{podCIDRs: [10.244.2.0/24]}}}}\n---\n\
             {{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {{name: kubernetes}}, spec: {{cidrs: [10.96.0.0/16]}}}}\n---\n\
             {{apiVersion: v1, kind: Service, metadata: {{name: db, namespace: shop}}, spec: {{clusterIP: 10.111.0.7, clusterIPs: [10.111.0.7]}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: web, namespace: shop}}, spec: {{nodeName: a, containers: [{{name: w, image: w}}]}}, \
             status: {{phase: Running, podIPs: [{{ip: 10.244.1.7}}]}}}}\n"
        )
    }

    #[test]
    fn fails() {
        let say = |direction, block| findings("NP703", &cluster(direction, block));
        insta::assert_snapshot!(say("Ingress", "{cidr: 10.244.1.7/32}"), @"4:84 warning spec.ingress[0].from[0].ipBlock.cidr: 10.244.1.7 is the address of pod shop/web just now; another pod may have it tomorrow");
        insta::assert_snapshot!(say("Egress", "{cidr: 10.244.2.0/25}"), @"4:80 warning spec.egress[0].to[0].ipBlock.cidr: 10.244.2.0/25 is inside the pod range 10.244.2.0/24 of node b: pods' addresses change");
        insta::assert_snapshot!(say("Ingress", "{cidr: 10.0.0.0/8, except: [10.244.1.0/24]}"), @"4:84 warning spec.ingress[0].from[0].ipBlock.cidr: 10.0.0.0/8 covers the pod range of 1 node, such as 10.244.2.0/24 of b: the rule is for every pod there as well");
        insta::assert_snapshot!(say("Egress", "{cidr: 10.96.0.10/32}"), @"4:80 warning spec.egress[0].to[0].ipBlock.cidr: 10.96.0.10/32 is inside the Service range 10.96.0.0/16 (kubernetes): it is translated to a pod's address before most agents look");
        insta::assert_snapshot!(say("Ingress", "{cidr: 10.111.0.7/32}"), @"4:84 warning spec.ingress[0].from[0].ipBlock.cidr: 10.111.0.7 is the address of Service shop/db: no connection comes from there");
    }

    #[test]
    fn passes() {
        for block in [
            "{cidr: 0.0.0.0/0}",
            "{cidr: 192.168.0.0/16}",
            "{cidr: 10.0.0.0/8, except: [10.244.0.0/16]}",
            "{cidr: '2001:db8::/32'}",
            "{cidr: '::/0'}",
        ] {
            clean("NP703", &cluster("Ingress", block));
        }
    }
}
