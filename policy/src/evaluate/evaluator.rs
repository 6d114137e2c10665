//! The evaluator.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use crate::model::{
    Cluster, Direction, Namespace, NetworkPolicy, Node, Peer, Peers, Pod, PodNamespaces, PortMatch, Ports,
    Rule, Traffic,
};

use super::connections::Connections;
use super::decision::{Decision, Exemption, Isolation, NearMiss, RuleRef, Verdict};
use super::endpoint::{Endpoint, Flow, common_family, families};
use super::near_miss;
use super::reachability::Reachability;

/// Answers questions about one cluster. Building it is linear in the number of policies and pods.
#[derive(Debug)]
pub struct Evaluator<'c> {
    cluster: &'c Cluster,
    by_namespace: HashMap<&'c str, Vec<&'c NetworkPolicy>>,
    /// Namespaces that pods are in but that have no manifest.
    implicit: HashMap<&'c str, Namespace>,
    /// The nodes that count, where they are not those of the cluster.
    nodes: Option<Vec<&'c Node>>,
}

impl<'c> Evaluator<'c> {
    /// An evaluator for a cluster as it is now.
    pub fn new(cluster: &'c Cluster) -> Self {
        Self::with(cluster, cluster.policies.iter().map(|policy| &**policy), &cluster.pods)
    }

    /// Prepares these policies in the place of those of a cluster, to ask about these pods in the place of its own:
    /// of the cluster only the namespaces and nodes count.
    pub fn with(
        cluster: &'c Cluster,
        policies: impl IntoIterator<Item = &'c NetworkPolicy>,
        pods: impl IntoIterator<Item = &'c Pod>,
    ) -> Self {
        let mut by_namespace: HashMap<&str, Vec<_>> = HashMap::new();
        for policy in policies {
            by_namespace.entry(&policy.name.namespace).or_default().push(policy);
        }
        let mut implicit = HashMap::new();
        for pod in pods {
            if let Cow::Owned(namespace) = cluster.namespace(&pod.name.namespace)
                && !implicit.contains_key(&*pod.name.namespace)
            {
                implicit.insert(&*pod.name.namespace, namespace);
            }
        }
        Self { cluster, by_namespace, implicit, nodes: None }
    }

    /// For whoever knows which policies isolate each endpoint: of the cluster only the namespaces count, and these nodes.
    /// See [`Self::granted`].
    pub fn without_policies(cluster: &'c Cluster, nodes: Vec<&'c Node>) -> Self {
        let (by_namespace, implicit) = (HashMap::new(), HashMap::new());
        Self { cluster, by_namespace, implicit, nodes: Some(nodes) }
    }

    /// The cluster.
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// What both ends say about a flow, and why.
    pub fn verdict(&self, flow: &Flow<'c>) -> Verdict<'c> {
        Verdict {
            egress: self.decide(flow, Direction::Egress),
            ingress: self.decide(flow, Direction::Ingress),
        }
    }

    /// Everything that may be opened from one endpoint to another, over any address family that both have.
    /// Agrees with [`Self::verdict`] for every traffic where there is one.
    pub fn connections(&self, source: Endpoint<'c>, destination: Endpoint<'c>) -> Connections {
        over_families(source, destination, |source, destination| {
            let one = |direction| self.allowed(source, destination, direction);
            one(Direction::Egress).intersection(&one(Direction::Ingress))
        })
    }

    /// [`Self::connections`] for all pairs of some endpoints, quick to ask.
    pub fn reachability(&self, endpoints: Vec<Endpoint<'c>>) -> Reachability<'_, 'c> {
        Reachability::new(self, endpoints)
    }

    /// The rules of one end's policies whose peers mean the other end, whatever their ports are. None when that end is
    /// not isolated or exempt.
    pub fn matching_rules(
        &self,
        source: Endpoint<'c>,
        destination: Endpoint<'c>,
        direction: Direction,
    ) -> Vec<RuleRef<'c>> {
        let (source, destination) = common_family(source, destination);
        let Ok(pod) = self.subject_or_exempt(source, destination, direction) else { return Vec::new() };
        let far = far_end(source, destination, direction);
        let policies = self.selecting(pod, direction);
        let found = policies.flat_map(|policy| {
            rules(policy, direction).filter_map(move |(rule, content)| {
                let peer = self.matching_peer(policy, content, far)?;
                Some(RuleRef { policy, direction, rule, peer, port: None })
            })
        });
        found.collect()
    }

    /// The rule of one end's policies whose peers come closest to meaning the other end, with what its peers lack.
    /// `None` when that end is not isolated or exempt, or when no rule misses.
    pub fn closest_rule(
        &self,
        source: Endpoint<'c>,
        destination: Endpoint<'c>,
        direction: Direction,
    ) -> Option<NearMiss<'c>> {
        let (source, destination) = common_family(source, destination);
        let pod = self.subject_or_exempt(source, destination, direction).ok()?;
        near_miss::closest_by_peer(self, pod, far_end(source, destination, direction), direction)
    }

    /// The policies that isolate a pod in a direction, in the cluster's order.
    pub fn selecting(&self, pod: &'c Pod, direction: Direction) -> impl Iterator<Item = &'c NetworkPolicy> {
        let policies = self.by_namespace.get(&*pod.name.namespace).map_or(&[][..], Vec::as_slice);
        policies.iter().copied().filter(move |policy| {
            pod.is_subject() && policy.rules(direction).is_some() && policy.pod_selector.matches(&pod.labels)
        })
    }

    /// What isolates a pod in a direction; empty when nothing does.
    pub fn isolation(&self, pod: &'c Pod, direction: Direction) -> Vec<Isolation<'c>> {
        let label = pod.is_subject() && self.is_isolated_by_label(pod, direction);
        let policies = self.selecting(pod, direction).map(Isolation::Policy);
        policies.chain(label.then_some(Isolation::NamespaceLabel)).collect()
    }

    /// Whether the label of a pod's namespace isolates it.
    pub fn is_isolated_by_label(&self, pod: &Pod, direction: Direction) -> bool {
        self.namespace_of(pod).default_deny().isolates(direction)
    }

    fn decide(&self, flow: &Flow<'c>, direction: Direction) -> Decision<'c> {
        let pod = match self.subject_or_exempt(flow.source, flow.destination, direction) {
            Ok(pod) => pod,
            Err(exemption) => return Decision::Exempt(exemption),
        };
        let isolation = self.isolation(pod, direction);
        if isolation.is_empty() {
            return Decision::NotIsolated;
        }
        let peer = far_end(flow.source, flow.destination, direction);
        let allowing = self.selecting(pod, direction).find_map(|policy| {
            rules(policy, direction).find_map(|(index, rule)| {
                self.rule_allows(policy, rule, peer, flow).map(|(peer, port)| RuleRef {
                    policy,
                    direction,
                    rule: index,
                    peer,
                    port,
                })
            })
        });
        match allowing {
            Some(by) => Decision::Allowed { isolation, by },
            None => Decision::Denied { closest: near_miss::closest(self, pod, flow, direction), isolation },
        }
    }

    /// The pod that a direction is about, or why no policy can apply.
    pub(super) fn subject_or_exempt(
        &self,
        source: Endpoint<'c>,
        destination: Endpoint<'c>,
        direction: Direction,
    ) -> Result<&'c Pod, Exemption> {
        let (near, far) = match direction {
            Direction::Ingress => (destination, source),
            Direction::Egress => (source, destination),
        };
        let pod = near.as_pod().ok_or(Exemption::NotAPod)?;
        if pod.host_network {
            return Err(Exemption::HostNetwork);
        }
        if !pod.is_subject() {
            return Err(Exemption::NotAPod);
        }
        // A workload's template stands for many pods: one replica to another is an ordinary flow, unless it is named
        // by one address.
        let same_address = near.address().is_some() && near.address() == far.address();
        if same_address || (!pod.is_template() && far.as_pod().is_some_and(|far| far.name == pod.name)) {
            return Err(Exemption::SamePod);
        }
        if self.is_own_node(pod, far) {
            return Err(Exemption::OwnNode);
        }
        Ok(pod)
    }

    /// Whether the far end is the pod's own node, by one of its addresses or as a pod on its host network.
    fn is_own_node(&self, pod: &Pod, far: Endpoint<'c>) -> bool {
        let Some(node) = pod.node.as_ref().filter(|_| !far.relays()) else { return false };
        if let Some(other) = far.as_pod() {
            return other.host_network && other.node.as_ref() == Some(node);
        }
        let node_at = |address: IpAddr| match &self.nodes {
            Some(nodes) => nodes.iter().find(|node| node.addresses.contains(&address)).copied(),
            None => self.cluster.node_at(address),
        };
        far.address().and_then(node_at).is_some_and(|other| other.name == *node)
    }

    /// Everything that one end lets pass.
    fn allowed(&self, source: Endpoint<'c>, destination: Endpoint<'c>, direction: Direction) -> Connections {
        let Ok(pod) = self.subject_or_exempt(source, destination, direction) else {
            return Connections::all();
        };
        if self.isolation(pod, direction).is_empty() {
            return Connections::all();
        }
        self.allowed_by(self.selecting(pod, direction), source, destination, direction)
    }

    /// What one end lets pass when exactly these policies isolate it, at one address of both ends; `None` for everything.
    pub fn granted(
        &self,
        policies: impl Iterator<Item = &'c NetworkPolicy>,
        source: Endpoint<'c>,
        destination: Endpoint<'c>,
        direction: Direction,
    ) -> Option<Connections> {
        self.subject_or_exempt(source, destination, direction).ok()?;
        let allowed = self.allowed_by(policies, source, destination, direction);
        // Ports alone never are everything.
        (!allowed.portless()).then_some(allowed)
    }

    /// Everything that the rules of some policies allow.
    pub(super) fn allowed_by(
        &self,
        policies: impl Iterator<Item = &'c NetworkPolicy>,
        source: Endpoint<'c>,
        destination: Endpoint<'c>,
        direction: Direction,
    ) -> Connections {
        let peer = far_end(source, destination, direction);
        let mut allowed = Connections::none();
        for policy in policies {
            for (_, rule) in rules(policy, direction) {
                if self.matching_peer(policy, rule, peer).is_none() {
                    continue;
                }
                match &rule.ports {
                    Ports::All => return Connections::all(),
                    Ports::Only(items) => items.iter().for_each(|item| add(&mut allowed, item, destination)),
                }
            }
        }
        allowed
    }

    /// The peer and the port of a rule that match a flow; the inner `None`s mean that the rule lists none.
    fn rule_allows(
        &self,
        policy: &NetworkPolicy,
        rule: &Rule,
        peer: Endpoint<'c>,
        flow: &Flow<'c>,
    ) -> Option<(Option<usize>, Option<usize>)> {
        let peer = self.matching_peer(policy, rule, peer)?;
        let port = match &rule.ports {
            Ports::All => None,
            Ports::Only(items) => {
                Some(items.iter().position(|item| port_matches(item, flow.traffic, flow.destination))?)
            }
        };
        Some((peer, port))
    }

    /// The index of the first peer that matches; `Some(None)` for a rule that lists none.
    fn matching_peer(
        &self,
        policy: &NetworkPolicy,
        rule: &Rule,
        peer: Endpoint<'c>,
    ) -> Option<Option<usize>> {
        match &rule.peers {
            Peers::All => Some(None),
            Peers::Only(items) => {
                items.iter().position(|item| self.peer_matches(policy, item, peer)).map(Some)
            }
        }
    }

    /// Whether an endpoint is one of those that a peer means. `policy` gives the own namespace.
    pub fn peer_matches(&self, policy: &NetworkPolicy, peer: &Peer, endpoint: Endpoint<'c>) -> bool {
        let (namespaces, pods) = match peer {
            Peer::Block(block) => return endpoint.address().is_some_and(|address| block.contains(address)),
            Peer::Pods { namespaces, pods } => (namespaces, pods),
        };
        endpoint.subject().is_some_and(|pod| {
            pods.matches(&pod.labels)
                && match namespaces {
                    PodNamespaces::Own => pod.name.namespace == policy.name.namespace,
                    PodNamespaces::Selected(selector) => selector.matches(self.namespace_of(pod).labels()),
                }
        })
    }

    /// The namespace that a pod is in.
    pub(super) fn namespace_of(&self, pod: &Pod) -> Cow<'_, Namespace> {
        let name = &*pod.name.namespace;
        self.implicit.get(name).map_or_else(|| self.cluster.namespace(name), Cow::Borrowed)
    }
}

/// The end that a rule's peers are compared with.
pub(super) fn far_end<'c>(
    source: Endpoint<'c>,
    destination: Endpoint<'c>,
    direction: Direction,
) -> Endpoint<'c> {
    match direction {
        Direction::Ingress => source,
        Direction::Egress => destination,
    }
}

/// The rules of a policy that a direction looks at, with their indexes.
pub(super) fn rules(policy: &NetworkPolicy, direction: Direction) -> impl Iterator<Item = (usize, &Rule)> {
    policy.rules(direction).unwrap_or_default().iter().enumerate()
}

/// Whether a port item matches. A name is looked up on the destination pod, for that protocol.
pub(super) fn port_matches(item: &PortMatch, traffic: Traffic, destination: Endpoint<'_>) -> bool {
    let Traffic::Port(protocol, port) = traffic else { return false };
    if item.protocol() != protocol {
        return false;
    }
    match item {
        PortMatch::Every(_) => true,
        PortMatch::Range(_, first, last) => (*first..=*last).contains(&port),
        PortMatch::Named(_, name) => destination
            .subject()
            .is_some_and(|pod| pod.named_ports(protocol, name).any(|number| number == port)),
    }
}

/// What passes over some family; of ends without a common one, what passes between their first addresses.
pub(super) fn over_families<'c>(
    source: Endpoint<'c>,
    destination: Endpoint<'c>,
    passes: impl Fn(Endpoint<'c>, Endpoint<'c>) -> Connections,
) -> Connections {
    let over = families(source, destination).map(|(source, destination)| passes(source, destination));
    over.reduce(|one, other| one.union(&other)).expect("they have some addresses, or none")
}

/// Adds what a port item allows towards a destination.
fn add(allowed: &mut Connections, item: &PortMatch, destination: Endpoint<'_>) {
    match item {
        PortMatch::Every(protocol) => allowed.insert(*protocol, 1, u16::MAX),
        PortMatch::Range(protocol, first, last) => allowed.insert(*protocol, first.get(), last.get()),
        PortMatch::Named(protocol, name) => {
            if let Some(pod) = destination.subject() {
                pod.named_ports(*protocol, name)
                    .for_each(|port| allowed.insert(*protocol, port.get(), port.get()));
            }
        }
    }
}
