//! How a connection comes to a Service, and what its pods see of who opened it.

use std::net::IpAddr;

use netpol_policy::evaluate::{Decision, Endpoint, Evaluator, Flow, RuleRef};
use netpol_policy::model::{
    Cluster, Direction, IpBlock, Node, Peer, Service, ServicePort, ServiceType, Traffic,
};

/// At which of its addresses a Service is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry<'c> {
    /// By its name, or at a cluster IP. Who asks is seen as it is.
    Inside(Option<IpAddr>),
    /// At an external IP or an address of its load balancer.
    Outside(IpAddr),
    /// At its port on a node.
    Node(&'c Node, IpAddr),
}

/// What arrives as the source of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Who opens it.
    Opener,
    /// An address of a node that passes it on.
    Node(IpAddr),
    /// An address of some node, and none is known.
    SomeNode,
    /// What a load balancer sends from, which nobody knows.
    Balancer,
}

impl Entry<'_> {
    /// The address that is asked for.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Inside(address) => *address,
            Self::Outside(address) | Self::Node(_, address) => Some(*address),
        }
    }

    /// Where the source's own policies look: at the endpoint, when its own node translates; else at the address that is
    /// asked for, which its node takes for an ordinary one.
    pub(super) fn first_stop<'c>(
        &self,
        cluster: &'c Cluster,
        service: &Service,
        port: &ServicePort,
        source: Endpoint<'c>,
    ) -> Option<(Endpoint<'c>, Traffic)> {
        match self {
            Self::Inside(_) => None,
            Self::Outside(address) => service
                .proxied_addresses
                .contains(address)
                .then(|| (Endpoint::at(cluster, *address), Traffic::Port(port.protocol, port.port))),
            Self::Node(node, address) => {
                let own = source.as_pod().is_some_and(|pod| pod.node.as_ref() == Some(&node.name));
                let number = port.node_port.filter(|_| !own)?;
                Some((Endpoint::at(cluster, *address), Traffic::Port(port.protocol, number)))
            }
        }
    }

    /// Whether a Service leads from here to an endpoint. With `externalTrafficPolicy: Local` a node leads those who come
    /// from elsewhere to its own pods only.
    pub(super) fn leads_to(
        &self,
        service: &Service,
        source: Endpoint<'_>,
        destination: Endpoint<'_>,
    ) -> bool {
        let family = self.address().zip(destination.address());
        if family.is_some_and(|(asked, address)| asked.is_ipv4() != address.is_ipv4()) {
            return false;
        }
        let Self::Node(node, _) = self else { return true };
        let asks_its_own = source.as_pod().is_some_and(|pod| pod.node.as_ref() == Some(&node.name));
        !service.external_traffic_local
            || asks_its_own
            || match destination.as_pod() {
                // It may be there.
                Some(pod) => pod.node.as_ref().is_none_or(|other| *other == node.name),
                None => false,
            }
    }

    /// What an endpoint sees: with several nodes that may pass a connection on, one for each.
    pub(super) fn seen(
        &self,
        cluster: &Cluster,
        service: &Service,
        source: Endpoint<'_>,
        destination: Endpoint<'_>,
    ) -> Vec<Seen> {
        let host = source.address().and_then(|address| cluster.node_at(address));
        let on_host = host.is_some() || source.as_pod().is_some_and(|pod| pod.host_network);
        let hairpin = source
            .as_pod()
            .zip(destination.as_pod())
            .is_some_and(|(one, other)| one.name == other.name && !one.is_template());
        let address = match self {
            Self::Inside(_) => return vec![Seen::Opener],
            Self::Outside(address) if service.proxied_addresses.contains(address) => {
                return vec![Seen::Balancer];
            }
            // A node that asks itself, and a pod that comes back to itself.
            Self::Node(node, _) if host.is_some_and(|host| host.name == node.name) || hairpin => {
                return vec![Seen::Opener];
            }
            Self::Outside(_) if on_host || hairpin => return vec![Seen::Opener],
            _ if service.external_traffic_local => return vec![Seen::Opener],
            Self::Outside(_) if service.balances_to_pods && source.as_pod().is_none() => {
                return vec![Seen::Balancer];
            }
            Self::Outside(address) | Self::Node(_, address) => *address,
        };
        let of_family = |node: &Node| {
            node.addresses.iter().copied().find(|known| known.is_ipv4() == address.is_ipv4()).map(Seen::Node)
        };
        let own = source.as_pod().and_then(|pod| pod.node.as_ref());
        let nodes = cluster.nodes.iter();
        let mut seen: Vec<_> = match self {
            Self::Node(node, _) => of_family(node).into_iter().collect(),
            _ => nodes.filter(|node| own.is_none_or(|own| node.name == *own)).filter_map(of_family).collect(),
        };
        if seen.is_empty() {
            seen.push(Seen::SomeNode);
        }
        seen
    }
}

impl Seen {
    /// The source as the destination sees it.
    pub(super) fn endpoint<'c>(self, opener: Endpoint<'c>) -> Endpoint<'c> {
        match self {
            Self::Opener => opener,
            Self::Node(address) => Endpoint::relay(Some(address)),
            Self::SomeNode | Self::Balancer => Endpoint::relay(None),
        }
    }

    /// Whether its address is known.
    pub(super) fn is_known(self) -> bool {
        matches!(self, Self::Opener | Self::Node(_))
    }
}

/// Whether a Service has ports on nodes.
pub(super) fn has_node_ports(service: &Service) -> bool {
    matches!(service.service_type, ServiceType::NodePort | ServiceType::LoadBalancer)
}

/// What the destination says to a source whose address isn't known, and the rules with blocks that may hold it: when
/// there are some, it depends on them.
pub(super) fn unknown<'c>(
    evaluator: &Evaluator<'c>,
    destination: Endpoint<'c>,
    traffic: Traffic,
) -> (Decision<'c>, Vec<RuleRef<'c>>) {
    let ask = |address| evaluator.verdict(&Flow::new(Endpoint::relay(address), destination, traffic)).ingress;
    let decision = ask(None);
    let (Decision::Denied { .. }, Some(pod)) = (&decision, destination.as_pod()) else {
        return (decision, Vec::new());
    };
    let policies = evaluator.selecting(pod, Direction::Ingress);
    let rules = policies.flat_map(|policy| policy.ingress.iter().flatten());
    let blocks = rules.flat_map(|rule| rule.peers.items()).filter_map(|peer| match peer {
        Peer::Block(block) => Some(block),
        Peer::Pods { .. } => None,
    });
    let of_family = |block: &&IpBlock| {
        destination.address().is_none_or(|address| address.is_ipv4() == block.cidr().addr().is_ipv4())
    };
    let mut deciding: Vec<RuleRef<'c>> = Vec::new();
    for block in blocks.filter(of_family) {
        let Some(address) = some_address(block) else { continue };
        let decision = ask(Some(address));
        let Decision::Allowed { by, .. } = &decision else { continue };
        if block.cidr().prefix_len() == 0 && block.except().is_empty() && destination.address().is_some() {
            return (decision, Vec::new());
        }
        if !deciding.contains(by) {
            deciding.push(*by);
        }
    }
    (decision, deciding)
}

/// The first address of a block that is in no exception.
fn some_address(block: &IpBlock) -> Option<IpAddr> {
    let after = block.except().iter().filter_map(|except| next(except.broadcast()));
    std::iter::once(block.cidr().network()).chain(after).find(|address| block.contains(*address))
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => u32::from(address).checked_add(1).map(|next| IpAddr::V4(next.into())),
        IpAddr::V6(address) => u128::from(address).checked_add(1).map(|next| IpAddr::V6(next.into())),
    }
}
