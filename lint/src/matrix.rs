//! Who reaches whom: every pair of workloads, and the world outside.
//!
//! The ends of a [`Matrix`] are the workloads, in order of namespace, kind and name, and blocks of addresses outside:
//! all of IPv4 (and of IPv6, where the manifests use it) and each block that a policy names. A block stands for its
//! addresses that are in no narrower block of the matrix, as in a routing table, and that belong to no pod.

pub mod html;
pub mod json;
pub mod text;
mod why;
pub(crate) mod world;

use ipnet::IpNet;
use netpol_policy::evaluate::{Connections, Endpoint, Evaluator};
use netpol_policy::model::{Direction, Pod};

/// Every pair of ends with what passes between them.
#[derive(Debug)]
pub struct Matrix<'e, 'c> {
    evaluator: &'e Evaluator<'c>,
    ends: Vec<End<'c>>,
    /// Row by row, sources in rows.
    cells: Vec<Connections>,
}

/// A row and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End<'c> {
    /// Who it is.
    pub who: Who<'c>,
    /// Something isolates it for ingress.
    pub ingress_isolated: bool,
    /// Something isolates it for egress.
    pub egress_isolated: bool,
    endpoint: Endpoint<'c>,
}

/// Who a row and column is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who<'c> {
    /// A pod or the pods of a workload.
    Pod(&'c Pod),
    /// Addresses outside, less those of narrower blocks.
    Block {
        /// The block.
        cidr: IpNet,
        /// The narrowest block around it, by its index among the ends.
        within: Option<usize>,
    },
}

impl<'e, 'c> Matrix<'e, 'c> {
    /// Everyone that the evaluator's cluster knows. Pods that have ended are left out.
    pub fn new(evaluator: &'e Evaluator<'c>) -> Self {
        let cluster = evaluator.cluster();
        let pods = cluster.pods.iter().filter(|pod| !pod.finished);
        let mut who: Vec<_> = pods.map(|pod| (Who::Pod(pod), Endpoint::pod(pod))).collect();
        let first_block = who.len();
        who.extend(world::blocks(cluster).into_iter().map(|block| {
            let within = block.within.map(|index| first_block + index);
            (Who::Block { cidr: block.cidr, within }, Endpoint::outside(block.sample))
        }));
        let reachability = evaluator.reachability(who.iter().map(|(_, endpoint)| *endpoint).collect());
        let count = who.len();
        let mut cells = Vec::with_capacity(count * count);
        for source in 0..count {
            for destination in 0..count {
                let asked = source < first_block || destination < first_block;
                let possible = asked && have_common_family(who[source].1, who[destination].1);
                cells.push(if possible {
                    reachability.connections(source, destination)
                } else {
                    Connections::none()
                });
            }
        }
        let end = |(index, (who, endpoint)): (usize, (Who<'c>, Endpoint<'c>))| End {
            who,
            endpoint,
            ingress_isolated: reachability.is_isolated(index, Direction::Ingress),
            egress_isolated: reachability.is_isolated(index, Direction::Egress),
        };
        let ends = who.into_iter().enumerate().map(end).collect();
        Self { evaluator, ends, cells }
    }

    /// Rows and columns.
    pub fn ends(&self) -> &[End<'c>] {
        &self.ends
    }

    /// What may be opened from one end to another, by their indexes; `None` where that is no question: from a pod to
    /// itself, which always reaches itself, and between blocks outside. A workload to itself is one replica to another.
    ///
    /// # Panics
    ///
    /// When there is no end of one of the indexes.
    pub fn connections(&self, source: usize, destination: usize) -> Option<&Connections> {
        let asked = match (self.ends[source].who, self.ends[destination].who) {
            (Who::Block { .. }, Who::Block { .. }) => false,
            (Who::Pod(pod), _) => source != destination || pod.is_template(),
            (Who::Block { .. }, Who::Pod(_)) => true,
        };
        asked.then(|| &self.cells[source * self.ends.len() + destination])
    }
}

/// Whether some address of one end can talk to some of the other; an end without a known address may have any.
pub(crate) fn have_common_family(a: Endpoint<'_>, b: Endpoint<'_>) -> bool {
    let families = |end: Endpoint<'_>| {
        let of_pod = end.as_pod().into_iter().flat_map(|pod| &pod.addresses).copied();
        end.address()
            .into_iter()
            .chain(of_pod)
            .fold([false; 2], |[four, six], address| [four | address.is_ipv4(), six | address.is_ipv6()])
    };
    let (a, b) = (families(a), families(b));
    a == [false; 2] || b == [false; 2] || a.iter().zip(b).any(|(a, b)| *a && b)
}

impl End<'_> {
    /// `ns/Kind/name`, or the block.
    pub fn name(&self) -> String {
        match self.who {
            Who::Pod(pod) => pod.name.to_string(),
            Who::Block { cidr, .. } => cidr.to_string(),
        }
    }

    /// The pod's namespace.
    pub fn namespace(&self) -> Option<&str> {
        match self.who {
            Who::Pod(pod) => Some(&pod.name.namespace),
            Who::Block { .. } => None,
        }
    }

    /// On the network of its node, where no policy counts.
    pub fn is_host_network(&self) -> bool {
        matches!(self.who, Who::Pod(pod) if pod.host_network)
    }
}
