//! From a cluster to what one node must enforce. Pure: no kernel, no clock.
//!
//! Addresses that no peer of this node's policies can tell apart form a class ([`Signature`]); a policy set says which
//! classes may use which ports. Both are values that compare by content, so replicas under the same policies share one
//! set, and a change that does not concern this node changes nothing here. Numbers for the kernel are given later, by
//! [`crate::tables`].

mod class_map;
mod classes;
mod clause;
mod entries;
mod incremental;
mod kinds;
mod partition;
mod services;
mod set;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use netpol_policy::model::{Cluster, Direction, ObjectName, Pod, WorkloadName};

pub use class_map::{ClassId, ClassMap, Moment};
pub use classes::Signature;
pub(crate) use classes::{clauses_of, names_of};
pub use clause::{Clause, ClauseId, Clauses};
pub use entries::{Entry, Identity, Numbered, TrafficPrefix, entries};
pub use incremental::Compiler;
pub use services::ServiceAddress;
pub use set::{PolicySet, SetPeers, SetPort, SetPorts, SetRule};

/// What the agent knows of its node, beside what the cluster says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalNode {
    /// The node's name.
    pub name: Box<str>,
    /// Addresses found behind the node's veths. A pod that no manifest gives a node lives where its address is.
    pub pod_addresses: BTreeSet<IpAddr>,
    /// The addresses that the network plugin gave to pods of this node: known before the cluster says them, and the truth where
    /// the cluster still says something else.
    pub attached: BTreeMap<WorkloadName, BTreeSet<IpAddr>>,
}

/// What the node must enforce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// The node's pods that policies can concern.
    pub endpoints: BTreeMap<WorkloadName, Endpoint>,
    /// The class of each address or block of addresses; no entry at all: the class of nothing.
    pub classes: Arc<ClassMap>,
    /// Where a packet to a Service is addressed before translation.
    pub services: Arc<BTreeSet<ServiceAddress>>,
}

/// A pod of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Who may connect to it; `None` when nothing isolates it.
    pub ingress: Option<Isolation>,
    /// What it may connect to; `None` when nothing isolates it.
    pub egress: Option<Isolation>,
}

/// An isolated direction of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// What is allowed all the same.
    pub set: Arc<PolicySet>,
    /// The policies that isolate.
    pub policies: Vec<ObjectName>,
    /// The namespace's label isolates too.
    pub by_namespace: bool,
}

impl Endpoint {
    /// The isolation of a direction.
    #[must_use]
    pub fn isolation(&self, direction: Direction) -> Option<&Isolation> {
        match direction {
            Direction::Ingress => self.ingress.as_ref(),
            Direction::Egress => self.egress.as_ref(),
        }
    }
}

/// Compiles a cluster for one node, from scratch. This says what [`Compiler`] must come to, change by change.
///
/// `clauses` gives peer clauses their numbers; passing the same one again keeps them stable from one compile to the next.
#[must_use]
pub fn compile(cluster: &Cluster, node: &LocalNode, clauses: &mut Clauses) -> Desired {
    let owners = owners(cluster, node);
    let mut sets = BTreeSet::new();
    let endpoints: BTreeMap<WorkloadName, Endpoint> = local_pods(&owners, node)
        .into_iter()
        .map(|(pod, addresses)| {
            let namespace = cluster.namespace(&pod.name.namespace);
            let of_namespace = || {
                cluster
                    .policies
                    .iter()
                    .map(Arc::as_ref)
                    .filter(|policy| policy.name.namespace == pod.name.namespace)
            };
            let mut isolation =
                |direction| set::isolation(&namespace, of_namespace(), pod, direction, clauses, &mut sets);
            let (ingress, egress) = (isolation(Direction::Ingress), isolation(Direction::Egress));
            (pod.name.clone(), Endpoint { addresses, ingress, egress })
        })
        .collect();
    Desired {
        classes: Arc::new(classes::classes(cluster, &owners, &sets, clauses).into()),
        services: Arc::new(services::services(&cluster.services)),
        endpoints,
    }
}

/// Which pod each address belongs to: the one that was attached to this node's network with it; else, of those that have it,
/// the newest that runs and has its own network.
///
/// But for what is attached the same choice as [`Cluster::owner`], for all addresses at once.
fn owners<'c>(cluster: &'c Cluster, node: &LocalNode) -> BTreeMap<IpAddr, &'c Pod> {
    let mut owners: BTreeMap<IpAddr, (bool, &Pod)> = BTreeMap::new();
    for pod in cluster.pods.iter().filter(|pod| pod.is_subject()) {
        let attached = node.attached.get(&pod.name);
        let said = pod.addresses.iter().filter(|_| attached.is_none());
        for address in attached.into_iter().flatten().chain(said) {
            let claim = (attached.is_some(), pod);
            let owner = owners.entry(*address).or_insert(claim);
            let (before, now) = ((owner.0, &owner.1.created), (claim.0, &pod.created));
            if now.cmp(&before).then_with(|| owner.1.name.cmp(&pod.name)).is_gt() {
                *owner = claim;
            }
        }
    }
    owners.into_iter().map(|(address, (_, pod))| (address, pod)).collect()
}

/// The pods of this node, with the addresses that are theirs.
fn local_pods<'c>(owners: &BTreeMap<IpAddr, &'c Pod>, node: &LocalNode) -> Vec<(&'c Pod, BTreeSet<IpAddr>)> {
    let mut pods: BTreeMap<&WorkloadName, (&Pod, BTreeSet<IpAddr>)> = BTreeMap::new();
    for (address, pod) in owners {
        let here = match &pod.node {
            _ if node.attached.contains_key(&pod.name) => true,
            Some(name) => **name == *node.name,
            None => pod.addresses.iter().any(|address| node.pod_addresses.contains(address)),
        };
        if here {
            pods.entry(&pod.name).or_insert_with(|| (pod, BTreeSet::new())).1.insert(*address);
        }
    }
    pods.into_values().collect()
}
