//! Policy sets: everything that the policies selecting a pod allow in one direction.

use std::collections::BTreeSet;
use std::sync::Arc;

use netpol_policy::model::{
    Direction, Namespace, NetworkPolicy, Peers, Pod, PortMatch, PortName, Ports, Protocol, Rule,
};

use super::Isolation;
use super::clause::{Clause, ClauseId, Clauses};

/// What is allowed: the union of its rules. Compares by content.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicySet {
    /// The rules.
    pub rules: BTreeSet<SetRule>,
}

/// A rule whose peers are numbers and whose ports are resolved as far as the pod itself decides them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetRule {
    /// Whom it is about.
    pub peers: SetPeers,
    /// What they may use.
    pub ports: SetPorts,
}

/// The peers of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetPeers {
    /// Everyone.
    All,
    /// Whoever matches one of these clauses.
    Only(BTreeSet<ClauseId>),
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetPorts {
    /// Everything, also protocols without ports.
    All,
    /// Only these.
    Only(BTreeSet<SetPort>),
}

/// Ports of one protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SetPort {
    /// All of them.
    Every(Protocol),
    /// A closed range.
    Range(Protocol, u16, u16),
    /// What the destination pod calls so. Only in egress sets: for ingress the destination is the pod itself.
    Named(Protocol, PortName),
}

/// The isolation of a pod in a direction by the policies of its namespace; `None` if nothing isolates it. Equal sets are
/// shared through `sets`.
pub(super) fn isolation<'p>(
    namespace: &Namespace,
    of_namespace: impl IntoIterator<Item = &'p NetworkPolicy>,
    pod: &Pod,
    direction: Direction,
    clauses: &mut Clauses,
    sets: &mut BTreeSet<Arc<PolicySet>>,
) -> Option<Isolation> {
    let by_namespace = namespace.default_deny().isolates(direction);
    let mut policies = Vec::new();
    let mut set = PolicySet::default();
    for policy in of_namespace {
        if policy.pod_selector.matches(&pod.labels)
            && let Some(rules) = policy.rules(direction)
        {
            policies.push(policy.name.clone());
            let namespace = &policy.name.namespace;
            set.rules.extend(rules.iter().map(|rule| set_rule(rule, namespace, direction, pod, clauses)));
        }
    }
    if policies.is_empty() && !by_namespace {
        return None;
    }
    policies.sort();
    // A rule whose ports name nothing allows nothing.
    set.rules.retain(|rule| rule.ports != SetPorts::Only(BTreeSet::new()));
    let set = match sets.get(&set) {
        Some(shared) => Arc::clone(shared),
        None => {
            let set = Arc::new(set);
            sets.insert(Arc::clone(&set));
            set
        }
    };
    Some(Isolation { set, policies, by_namespace })
}

fn set_rule(rule: &Rule, namespace: &str, direction: Direction, pod: &Pod, clauses: &mut Clauses) -> SetRule {
    let peers = match &rule.peers {
        Peers::All => SetPeers::All,
        Peers::Only(peers) => {
            SetPeers::Only(peers.iter().map(|peer| clauses.id(Clause::new(peer, namespace))).collect())
        }
    };
    let ports = match &rule.ports {
        Ports::All => SetPorts::All,
        Ports::Only(ports) => {
            SetPorts::Only(ports.iter().flat_map(|port| set_ports(port, direction, pod)).collect())
        }
    };
    SetRule { peers, ports }
}

fn set_ports(port: &PortMatch, direction: Direction, pod: &Pod) -> Vec<SetPort> {
    match port {
        PortMatch::Every(protocol) => vec![SetPort::Every(*protocol)],
        PortMatch::Range(protocol, first, last) => {
            vec![SetPort::Range(*protocol, first.get(), last.get())]
        }
        PortMatch::Named(protocol, name) => match direction {
            Direction::Egress => vec![SetPort::Named(*protocol, name.clone())],
            Direction::Ingress => pod
                .named_ports(*protocol, name)
                .map(|number| SetPort::Range(*protocol, number.get(), number.get()))
                .collect(),
        },
    }
}
