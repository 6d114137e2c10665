//! Classes of addresses that this node's policies can't tell apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use netpol_policy::model::{Cluster, ContainerPort, Pod, PortName, Protocol};

use crate::prefix_map::PrefixMap;

use super::clause::{Clause, ClauseId, Clauses};
use super::set::{PolicySet, SetPeers, SetPort, SetPorts};

/// All that a policy set can ask of an address. Addresses with the same signature are one class.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature {
    /// The clauses that match.
    pub clauses: BTreeSet<ClauseId>,
    /// What the pod at this address calls its ports, of those names that egress rules use.
    pub named: BTreeMap<(Protocol, PortName), BTreeSet<u16>>,
}

/// The class of every address that has one of its own; longest match decides.
pub(super) fn classes(
    cluster: &Cluster,
    owners: &BTreeMap<IpAddr, &Pod>,
    sets: &BTreeSet<Arc<PolicySet>>,
    clauses: &Clauses,
) -> PrefixMap<Arc<Signature>> {
    let asked: Vec<(ClauseId, &Clause)> =
        clauses_of(sets).into_iter().map(|id| (id, clauses.clause(id))).collect();
    let names = names_of(sets);
    let mut classes = blocks(&asked);
    for (address, pod) in owners {
        let signature = signature(cluster, *address, pod, &asked, &names);
        let net = IpNet::from(*address);
        // Most pods differ in nothing that anyone asks: those need no entry.
        if classes.longest_match(net).map_or(&Signature::default(), |class| class) != &signature {
            classes.insert(net, Arc::new(signature));
        }
    }
    classes
}

/// The classes of addresses as such.
///
/// Every block and every exception becomes an entry. Nothing inside an entry that has no longer match is told apart,
/// so its first address stands for all of them.
pub(super) fn blocks(asked: &[(ClauseId, &Clause)]) -> PrefixMap<Arc<Signature>> {
    let mut nets = BTreeSet::new();
    for (_, clause) in asked {
        if let Clause::Block(block) = clause {
            nets.insert(block.cidr());
            nets.extend(block.except());
        }
    }
    nets.into_iter()
        .map(|net| {
            let inside = |(_, clause): &&(ClauseId, &Clause)| match clause {
                Clause::Block(block) => {
                    block.cidr().contains(&net) && !block.except().iter().any(|except| except.contains(&net))
                }
                _ => false,
            };
            let clauses = asked.iter().filter(inside).map(|(id, _)| *id).collect();
            (net, Arc::new(Signature { clauses, named: BTreeMap::new() }))
        })
        .collect()
}

fn signature(
    cluster: &Cluster,
    address: IpAddr,
    pod: &Pod,
    asked: &[(ClauseId, &Clause)],
    names: &BTreeSet<(Protocol, PortName)>,
) -> Signature {
    let namespace = cluster.namespace(&pod.name.namespace);
    let clauses = asked
        .iter()
        .filter(|(_, clause)| clause.matches_pod(pod, namespace.labels()) || clause.matches_address(address))
        .map(|(id, _)| *id)
        .collect();
    Signature { clauses, named: named(&pod.ports, names) }
}

/// What a pod with these ports calls them, of the names that are asked for.
pub(super) fn named(
    ports: &[ContainerPort],
    names: &BTreeSet<(Protocol, PortName)>,
) -> BTreeMap<(Protocol, PortName), BTreeSet<u16>> {
    names
        .iter()
        .map(|(protocol, name)| {
            let called =
                |port: &&ContainerPort| port.protocol == *protocol && port.name.as_ref() == Some(name);
            let numbers: BTreeSet<u16> = ports.iter().filter(called).map(|port| port.port.get()).collect();
            ((*protocol, name.clone()), numbers)
        })
        .filter(|(_, numbers)| !numbers.is_empty())
        .collect()
}

/// The clauses that some sets ask.
pub(crate) fn clauses_of<'s>(sets: impl IntoIterator<Item = &'s Arc<PolicySet>>) -> BTreeSet<ClauseId> {
    let rules = sets.into_iter().flat_map(|set| &set.rules);
    rules
        .filter_map(|rule| match &rule.peers {
            SetPeers::All => None,
            SetPeers::Only(clauses) => Some(clauses),
        })
        .flatten()
        .copied()
        .collect()
}

/// The names of ports that some sets ask.
pub(crate) fn names_of<'s>(
    sets: impl IntoIterator<Item = &'s Arc<PolicySet>>,
) -> BTreeSet<(Protocol, PortName)> {
    let rules = sets.into_iter().flat_map(|set| &set.rules);
    rules
        .filter_map(|rule| match &rule.ports {
            SetPorts::All => None,
            SetPorts::Only(ports) => Some(ports),
        })
        .flatten()
        .filter_map(|port| match port {
            SetPort::Named(protocol, name) => Some((*protocol, name.clone())),
            _ => None,
        })
        .collect()
}
