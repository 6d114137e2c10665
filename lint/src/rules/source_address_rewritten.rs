//! NP513 and which blocks nodes may be in.

use ipnet::IpNet;
use netpol_policy::model::{
    Direction, IpBlock, NetworkPolicy, Peer, PortMatch, Ports, Service, ServicePort, ServiceType, TargetPort,
};

use crate::context::{Context, PeerAt, Reporter};
use crate::rule::rule;
use crate::words;

rule! {
    /// ## What it does
    /// Finds ingress rules with an `ipBlock` of clients outside, for pods behind a Service of type NodePort or LoadBalancer
    /// with `externalTrafficPolicy: Cluster`, which is the default. It needs the Service. It says nothing of blocks that
    /// nodes may be in: where Nodes are given their addresses, else the private ranges.
    ///
    /// ## Why it matters
    /// Such a Service takes connections in at every node and forwards them to pods on any node. On the way the source
    /// becomes the address of the node. The block of the clients never matches, and they are denied; a block that the
    /// nodes are in lets everyone in.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 203.0.113.0/24}
    /// ---
    /// apiVersion: v1
    /// kind: Service
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   type: LoadBalancer
    ///   selector: {app: web}
    ///   ports: [{port: 443, targetPort: 8443}]
    /// ```
    ///
    /// ## Fix
    /// Set `externalTrafficPolicy: Local` on the Service, which keeps the address of the client, or filter clients before
    /// the cluster, with `loadBalancerSourceRanges` or a firewall.
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: web}}
    ///   policyTypes: [Ingress]
    ///   ingress:
    ///     - from:
    ///         - ipBlock: {cidr: 203.0.113.0/24}
    /// ---
    /// apiVersion: v1
    /// kind: Service
    /// metadata: {name: web, namespace: shop}
    /// spec:
    ///   type: LoadBalancer
    ///   externalTrafficPolicy: Local
    ///   selector: {app: web}
    ///   ports: [{port: 443, targetPort: 8443}]
    /// ```
    NP513 "source-address-rewritten" {
        severity: Warning,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

/// The ranges that nodes are usually in.
const PRIVATE: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let Some(policy) = &cx.policy.model else { return };
    let blocks = policy.ingress.iter().flatten().flat_map(|rule| rule.peers.items());
    if !blocks.into_iter().any(|peer| matches!(peer, Peer::Block(_))) {
        return;
    }
    let services = cx.index.services(&policy.name.namespace).iter().copied();
    let exposed: Vec<_> =
        services.filter(|service| rewrites(service) && is_behind(cx, policy, service)).collect();
    if exposed.is_empty() {
        return;
    }
    // All blocks have one cause.
    let mut found: Vec<(PeerAt<'_>, &IpBlock)> = Vec::new();
    let mut services: Vec<String> = Vec::new();
    for at in cx.effective_peers().filter(|at| at.rule.direction == Direction::Ingress) {
        let rule = policy.ingress.as_ref().and_then(|rules| rules.get(at.rule.index));
        let Some(rule) = rule else { continue };
        let Some(Peer::Block(block)) = rule.peers.items().get(at.index) else { continue };
        let leads_here = |port: &ServicePort| may_lead_to(port, &rule.ports);
        let through: Vec<_> = exposed.iter().filter(|service| service.ports.iter().any(leads_here)).collect();
        if through.is_empty() || may_hold_nodes(cx, block) {
            continue;
        }
        services.extend(through.iter().map(|service| service.name.to_string()));
        found.push((at, block));
    }
    let Some(((at, block), others)) = found.split_first() else { return };
    services.sort();
    services.dedup();
    let what = match services.as_slice() {
        [one] => format!("Service {one} replaces"),
        several => format!("Services {} replace", words::list(several)),
    };
    let finding = out.report(
        at.item.span,
        at.path(),
        format!(
            "{what} the address of its clients with a node's (externalTrafficPolicy: Cluster), so {block} matches none of \
             them"
        ),
    );
    finding.label("never the source of what comes through the Service").help(
        "set `externalTrafficPolicy: Local` on the Service, or filter clients before the cluster, \
         with `loadBalancerSourceRanges` or a firewall",
    );
    for (at, _) in others {
        finding.near(at.item.span, "this one neither");
    }
}

/// Whether a Service leads to pods of a policy: to some that are known, or by its labels.
fn is_behind(cx: &Context<'_>, policy: &NetworkPolicy, service: &Service) -> bool {
    let Some(selector) = &service.selector else { return false };
    let mut asked = policy.pod_selector.requirements();
    asked.all(|requirement| selector.requirements().any(|known| known == requirement))
        || cx.index.pods(&policy.name.namespace, selector).any(|pod| policy.pod_selector.matches(&pod.labels))
}

/// Whether a port of a Service may lead to a port of a rule. Names are not looked up.
fn may_lead_to(port: &ServicePort, ports: &Ports) -> bool {
    let Ports::Only(ports) = ports else { return true };
    ports.iter().filter(|allowed| allowed.protocol() == port.protocol).any(|allowed| {
        match (allowed, &port.target) {
            (PortMatch::Every(_), _) => true,
            (PortMatch::Range(_, first, last), TargetPort::Number(number)) => {
                (first..=last).contains(&number)
            }
            (PortMatch::Named(_, name), TargetPort::Name(target)) => name == target,
            _ => true,
        }
    })
}

fn may_hold_nodes(cx: &Context<'_>, block: &IpBlock) -> bool {
    let mut nodes = cx.index.cluster().nodes.iter().flat_map(|node| &node.addresses).peekable();
    if nodes.peek().is_some() {
        return nodes.any(|address| block.contains(*address));
    }
    let v4 = block.cidr().addr().is_ipv4();
    let private = PRIVATE.iter().filter_map(|cidr| cidr.parse::<IpNet>().ok());
    private.filter(|range| range.addr().is_ipv4() == v4).any(|range| {
        let part = if range.prefix_len() >= block.cidr().prefix_len() { range } else { block.cidr() };
        let overlap = range.contains(&block.cidr()) || block.cidr().contains(&range);
        overlap && !block.except().iter().any(|except| except.contains(&part))
    })
}

/// Whether a Service replaces the address of clients from outside with a node's.
fn rewrites(service: &Service) -> bool {
    matches!(service.service_type, ServiceType::NodePort | ServiceType::LoadBalancer)
        && !service.external_traffic_local
        && !service.balances_to_pods
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    fn text(block: &str, ports: &str, service: &str) -> String {
        format!(
            r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: p, namespace: shop}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  ingress:
  - from: [{{ipBlock: {block}}}]
    ports: {ports}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {service}
"
        )
    }

    const BALANCER: &str =
        "{type: LoadBalancer, selector: {app: web, tier: front}, ports: [{port: 443, targetPort: 8443}]}";
    const OFFICE: &str = "{cidr: 203.0.113.0/24}";

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP513", &text(OFFICE, "[]", BALANCER)), @"7:12 warning spec.ingress[0].from[0]: Service shop/web replaces the address of its clients with a node's (externalTrafficPolicy: Cluster), so 203.0.113.0/24 matches none of them");
        let node_port = BALANCER.replace("LoadBalancer", "NodePort");
        insta::assert_snapshot!(findings("NP513", &text(OFFICE, "[{port: 8443}]", &node_port)), @"7:12 warning spec.ingress[0].from[0]: Service shop/web replaces the address of its clients with a node's (externalTrafficPolicy: Cluster), so 203.0.113.0/24 matches none of them");
        let internet =
            "{cidr: 0.0.0.0/0, except: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10]}";
        insta::assert_snapshot!(findings("NP513", &text(internet, "[]", BALANCER)), @"7:12 warning spec.ingress[0].from[0]: Service shop/web replaces the address of its clients with a node's (externalTrafficPolicy: Cluster), so 0.0.0.0/0 except 10.0.0.0/8, 100.64.0.0/10, 172.16.0.0/12, 192.168.0.0/16 matches none of them");
        let node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2.7}]}\n";
        insta::assert_snapshot!(findings("NP513", &format!("{}{node}", text("{cidr: 10.0.0.0/8}", "[]", BALANCER))), @"7:12 warning spec.ingress[0].from[0]: Service shop/web replaces the address of its clients with a node's (externalTrafficPolicy: Cluster), so 10.0.0.0/8 matches none of them");
        let by_pod = text(OFFICE, "[]", &BALANCER.replace("app: web, ", ""));
        let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop, labels: {app: web, tier: front}}\n";
        insta::assert_snapshot!(findings("NP513", &format!("{by_pod}{pod}")), @"7:12 warning spec.ingress[0].from[0]: Service shop/web replaces the address of its clients with a node's (externalTrafficPolicy: Cluster), so 203.0.113.0/24 matches none of them");
    }

    #[test]
    fn passes() {
        clean("NP513", &text("{cidr: 0.0.0.0/0}", "[]", BALANCER));
        clean("NP513", &text("{cidr: 10.1.0.0/16}", "[]", BALANCER));
        clean("NP513", &text("{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}", "[]", BALANCER));
        clean("NP513", &text(OFFICE, "[{port: 8080}]", BALANCER));
        clean("NP513", &text(OFFICE, "[]", &BALANCER.replace("type: LoadBalancer, ", "")));
        clean(
            "NP513",
            &text(
                OFFICE,
                "[]",
                &BALANCER.replace("LoadBalancer", "LoadBalancer, externalTrafficPolicy: Local"),
            ),
        );
        clean("NP513", &text(OFFICE, "[]", &BALANCER.replace("app: web, ", "")));
        let direct = "{name: web, namespace: shop, annotations: {service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip}}";
        clean("NP513", &text(OFFICE, "[]", BALANCER).replace("{name: web, namespace: shop}", direct));
        let node = "---\napiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nstatus: {addresses: [{type: InternalIP, address: 203.0.113.7}]}\n";
        clean("NP513", &format!("{}{node}", text(OFFICE, "[]", BALANCER)));
    }
}
