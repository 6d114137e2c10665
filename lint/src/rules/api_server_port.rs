use std::net::IpAddr;

use netpol_policy::model::{Direction, IpBlock, Peer, Peers, PortMatch, Ports, Protocol, Rule, TargetPort};

use crate::context::{Context, Reporter};
use crate::index::Index;
use crate::rule::rule;

rule! {
    /// ## What it does
    /// Finds egress to the API server by the port of its Service, 443, where its endpoints listen on another, often 6443.
    /// It needs the Service `kubernetes` of namespace `default` or its EndpointSlices, and says nothing when another rule
    /// opens the right port. It is on request.
    ///
    /// ## Why it matters
    /// Policies are decided after the address of a Service has been translated: what counts is the address and the port of
    /// the endpoint. A rule for the Service's address, or for its port, lets no connection to the API server out.
    ///
    /// ## Example
    /// ```yaml
    /// apiVersion: networking.k8s.io/v1
    /// kind: NetworkPolicy
    /// metadata: {name: operator, namespace: shop}
    /// spec:
    ///   podSelector: {matchLabels: {app: operator}}
    ///   policyTypes: [Egress]
    ///   egress:
    ///     - to:
    ///         - ipBlock: {cidr: 10.96.0.1/32}
    ///       ports: [{protocol: TCP, port: 443}]
    /// ---
    /// apiVersion: v1
    /// kind: Service
    /// metadata: {name: kubernetes, namespace: default}
    /// spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}
    /// ---
    /// apiVersion: discovery.k8s.io/v1
    /// kind: EndpointSlice
    /// metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
    /// addressType: IPv4
    /// endpoints: [{addresses: [192.0.2.10]}]
    /// ports: [{name: https, port: 6443}]
    /// ```
    ///
    /// ## Fix
    /// Allow the addresses and the port of the endpoints: `kubectl get endpointslices kubernetes` shows them.
    NP313 "api-server-port" {
        severity: Info,
        scope: Documents,
        fix: None,
        check: Policy(check),
    }
}

/// Where the API server is.
struct ApiServer {
    /// The address of its Service.
    service: Vec<IpAddr>,
    service_port: u16,
    /// Where it listens; none when no EndpointSlice was given.
    endpoints: Vec<IpAddr>,
    port: u16,
}

impl ApiServer {
    /// `None` when it isn't known, or where the ports are the same.
    fn of(index: &Index<'_>) -> Option<Self> {
        let (service, slices) = (index.api_server(), index.api_server_slices());
        let https =
            service.and_then(|service| service.ports.iter().find(|port| port.protocol == Protocol::Tcp));
        let listening = slices.iter().flat_map(|slice| &slice.ports).map(|(.., port)| port.get()).next();
        let target = https.and_then(|port| match port.target {
            TargetPort::Number(number) => Some(number.get()),
            TargetPort::Name(_) => None,
        });
        let api_server = Self {
            service: service.map(|service| service.cluster_addresses.clone()).unwrap_or_default(),
            service_port: https.map_or(443, |port| port.port.get()),
            endpoints: slices.iter().flat_map(|slice| &slice.addresses).copied().collect(),
            port: listening.or(target)?,
        };
        (api_server.port != api_server.service_port).then_some(api_server)
    }

    /// Whether a block is about the API server and not about the world.
    fn is_meant_by(&self, block: &IpBlock) -> bool {
        let mut addresses = self.service.iter().chain(&self.endpoints);
        block.cidr().prefix_len() > 0 && addresses.any(|address| block.contains(*address))
    }

    /// Whether a rule opens the port where it listens.
    fn is_opened_by(&self, rule: &Rule) -> bool {
        let is_there = |peer: &Peer| match peer {
            Peer::Block(block) => {
                self.endpoints.is_empty() || self.endpoints.iter().any(|address| block.contains(*address))
            }
            Peer::Pods { .. } => false,
        };
        let there = match &rule.peers {
            Peers::All => true,
            Peers::Only(peers) => peers.iter().any(is_there),
        };
        there && opens(&rule.ports, self.port)
    }
}

fn check(cx: &Context<'_>, out: &mut Reporter<'_>) {
    let (Some(policy), Some(api_server)) = (cx.policy.model.as_deref(), ApiServer::of(cx.index)) else {
        return;
    };
    let mut all = cx.index.policies_covering(policy).chain([policy]);
    if all.any(|policy| policy.egress.iter().flatten().any(|rule| api_server.is_opened_by(rule))) {
        return;
    }
    for at in cx.effective_peers().filter(|at| at.rule.direction == Direction::Egress) {
        let rule = policy.egress.as_ref().and_then(|rules| rules.get(at.rule.index));
        let Some(rule) = rule else { continue };
        let Some(Peer::Block(block)) = rule.peers.items().get(at.index) else { continue };
        if !api_server.is_meant_by(block) || !opens(&rule.ports, api_server.service_port) {
            continue;
        }
        let ApiServer { service_port, port, endpoints, .. } = &api_server;
        let mut addresses: Vec<_> = endpoints.iter().take(3).map(ToString::to_string).collect();
        if addresses.is_empty() {
            addresses.push("the addresses of its endpoints".to_owned());
        }
        out.report(
            at.item.span,
            at.path(),
            format!(
                "the API server listens on port {port}; the address and port {service_port} of its Service are translated before \
                 policies count, so this lets no connection to it out"
            ),
        )
        .label("only reaches the Service")
        .help(format!("allow {} on port {port}", addresses.join(", ")));
    }
}

fn opens(ports: &Ports, port: u16) -> bool {
    let Ports::Only(ports) = ports else { return true };
    ports.iter().any(|item| match item {
        PortMatch::Every(protocol) => *protocol == Protocol::Tcp,
        PortMatch::Range(protocol, first, last) => {
            *protocol == Protocol::Tcp && (first.get()..=last.get()).contains(&port)
        }
        PortMatch::Named(..) => false,
    })
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{clean, findings};

    const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: kubernetes}\nspec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443, targetPort: 6443}]}\n";
    const SLICE: &str = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}\naddressType: IPv4\nendpoints: [{addresses: [192.0.2.10]}]\nports: [{name: https, port: 6443}]\n";

    fn text(block: &str, ports: &str, more: &str) -> String {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec:\n  egress:\n  - to: [{{ipBlock: {{cidr: {block}}}}}]\n    ports: {ports}\n{more}"
        )
    }

    #[test]
    fn fails() {
        insta::assert_snapshot!(findings("NP313", &text("10.96.0.1/32", "[{port: 443}]", SERVICE)), @"6:10 info spec.egress[0].to[0]: the API server listens on port 6443; the address and port 443 of its Service are translated before policies count, so this lets no connection to it out");
        insta::assert_snapshot!(findings("NP313", &text("192.0.2.10/32", "[{port: 443}]", SLICE)), @"6:10 info spec.egress[0].to[0]: the API server listens on port 6443; the address and port 443 of its Service are translated before policies count, so this lets no connection to it out");
        let both = format!("{SERVICE}{SLICE}");
        insta::assert_snapshot!(findings("NP313", &text("10.96.0.1/32", "[{port: 443}, {port: 6443}]", &both)), @"6:10 info spec.egress[0].to[0]: the API server listens on port 6443; the address and port 443 of its Service are translated before policies count, so this lets no connection to it out");
    }

    #[test]
    fn passes() {
        clean("NP313", &text("10.96.0.1/32", "[{port: 443}]", ""));
        clean("NP313", &text("0.0.0.0/0", "[{port: 443}]", SLICE));
        clean("NP313", &text("192.0.2.10/32", "[{port: 443}, {port: 6443}]", SLICE));
        clean("NP313", &text("10.96.0.1/32", "[{port: 443}]", &SERVICE.replace("6443", "443")));
        clean("NP313", &text("198.51.100.0/24", "[{port: 443}]", SLICE));
        let other = format!(
            "{SLICE}---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: q, namespace: shop}}\nspec: {{egress: [{{to: [{{ipBlock: {{cidr: 192.0.2.0/24}}}}], ports: [{{port: 6443}}]}}]}}\n"
        );
        clean("NP313", &text("10.96.0.1/32", "[{port: 443}]", &other));
    }
}
