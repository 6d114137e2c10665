//! What the policies of the far end let pass.

use std::net::IpAddr;

use netpol_policy::model::{
    Direction, NetworkPolicy, ObjectName, Peer, Peers, Pod, PodNamespaces, PortMatch, Ports, Protocol, Rule,
};

use crate::index::{Index, PodAt};

/// The pod at the far end of a rule, with what isolates it for the same connections.
pub(super) struct FarEnd<'a> {
    index: &'a Index<'a>,
    pub(super) pod: &'a Pod,
    /// The direction of the rule at the near end.
    direction: Direction,
    policies: Vec<&'a NetworkPolicy>,
    by_label: bool,
}

impl<'a> FarEnd<'a> {
    pub(super) fn new(index: &'a Index<'a>, pod: &'a Pod, direction: Direction) -> Self {
        let seen_there = opposite(direction);
        let namespace = index.cluster().namespaces.get(&pod.name.namespace);
        let by_label = namespace.is_some_and(|namespace| namespace.default_deny().isolates(seen_there));
        Self { index, pod, direction, policies: index.isolating(pod, seen_there).collect(), by_label }
    }

    /// The same for a pod of the index.
    pub(super) fn at(index: &'a Index<'a>, at: PodAt<'a, 'a>, direction: Direction) -> Self {
        let seen_there = opposite(direction);
        let by_label = at.is_isolated_by_label(seen_there);
        Self {
            index,
            pod: at.pod(),
            direction,
            policies: index.isolating_at(at, seen_there).collect(),
            by_label,
        }
    }

    pub(super) fn is_isolated(&self) -> bool {
        self.by_label || !self.policies.is_empty()
    }

    /// The policies that isolate it.
    pub(super) fn policies(&self) -> &[&'a NetworkPolicy] {
        &self.policies
    }

    pub(super) fn isolated_by(&self) -> impl Iterator<Item = &'a ObjectName> {
        self.policies.iter().map(|policy| &policy.name)
    }

    /// Whether something may pass between a pod at the near end and this one, on a port of the near end's rule or on
    /// any; what isn't known may.
    pub(super) fn may_pass(&self, near: &Pod, port: Option<&PortMatch>) -> bool {
        let destination = match self.direction {
            Direction::Egress => self.pod,
            Direction::Ingress => near,
        };
        // A name that no container of the destination has is another matter.
        if port.is_some_and(|port| ranges(port, destination).next().is_none())
            || (near.name == self.pod.name && !near.is_template())
        {
            return true;
        }
        let allows = |policy: &NetworkPolicy, rule: &Rule| {
            let peers = match &rule.peers {
                Peers::All => true,
                Peers::Only(peers) => peers.iter().any(|peer| self.may_mean(policy, peer, near)),
            };
            peers && overlaps(port, &rule.ports, destination)
        };
        let direction = opposite(self.direction);
        let mut policies = self.policies.iter();
        policies.any(|policy| policy.rules(direction).into_iter().flatten().any(|rule| allows(policy, rule)))
    }

    /// Whether somebody outside may reach this pod on a port: from one of some addresses, or from any when there are none.
    pub(super) fn may_let_in(&self, addresses: &[IpAddr], port: &PortMatch) -> bool {
        self.some_rule(port, |peers| match peers {
            Peers::All => true,
            Peers::Only(peers) => peers.iter().any(|peer| match peer {
                Peer::Block(block) => {
                    addresses.is_empty() || addresses.iter().any(|address| block.contains(*address))
                }
                Peer::Pods { .. } => false,
            }),
        })
    }

    /// Whether some rule opens a port to somebody.
    pub(super) fn opens(&self, port: &PortMatch) -> bool {
        self.some_rule(port, |_| true)
    }

    fn some_rule(&self, port: &PortMatch, peers: impl Fn(&Peers) -> bool) -> bool {
        let direction = opposite(self.direction);
        let rules = self.policies.iter().flat_map(|policy| policy.rules(direction).into_iter().flatten());
        rules.into_iter().any(|rule| overlaps(Some(port), &rule.ports, self.pod) && peers(&rule.peers))
    }

    fn may_mean(&self, policy: &NetworkPolicy, peer: &Peer, pod: &Pod) -> bool {
        let (namespaces, pods) = match peer {
            // Most manifests hold no addresses of pods.
            Peer::Block(block) => {
                return pod.addresses.is_empty()
                    || pod.addresses.iter().any(|address| block.contains(*address));
            }
            Peer::Pods { namespaces, pods } => (namespaces, pods),
        };
        let namespace = &*pod.name.namespace;
        pods.matches(&pod.labels)
            && match namespaces {
                PodNamespaces::Own => *namespace == *policy.name.namespace,
                PodNamespaces::Selected(selector) => self.index.namespace_may_match(namespace, selector),
            }
    }
}

/// How the far end sees a connection.
pub(super) fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ingress => Direction::Egress,
        Direction::Egress => Direction::Ingress,
    }
}

/// Whether a rule's ports hold some of those asked for; `None` asks for any.
fn overlaps(asked: Option<&PortMatch>, ports: &Ports, destination: &Pod) -> bool {
    let (Some(asked), Ports::Only(ports)) = (asked, ports) else {
        return true;
    };
    let mut allowed = ports.iter().flat_map(|port| ranges(port, destination));
    allowed.any(|(protocol, first, last)| {
        ranges(asked, destination).any(|(other, from, to)| other == protocol && first <= to && from <= last)
    })
}

type Range = (Protocol, u16, u16);

/// The numbers that a port means at a destination.
fn ranges<'p>(port: &'p PortMatch, destination: &'p Pod) -> impl Iterator<Item = Range> + use<'p> {
    let (range, named) = match port {
        PortMatch::Every(protocol) => (Some((*protocol, 1, u16::MAX)), None),
        PortMatch::Range(protocol, first, last) => (Some((*protocol, first.get(), last.get())), None),
        PortMatch::Named(protocol, name) => (None, Some((*protocol, name))),
    };
    let named = named.into_iter().flat_map(|(protocol, name)| {
        destination.named_ports(protocol, name).map(move |port| (protocol, port.get(), port.get()))
    });
    range.into_iter().chain(named)
}
