//! Who reaches whom: every pair of workloads, and the world outside.
//!
//! The ends of a [`Matrix`] are the workloads, in order of namespace, kind and name, and blocks of addresses outside:
//! all of IPv4 (and of IPv6, where the manifests use it) and each block that a policy names. A block stands for its
//! addresses that are in no narrower block of the matrix, as in a routing table, and that belong to no pod.

mod alike;
pub mod html;
pub mod json;
pub mod text;
mod why;
pub(crate) mod world;

use std::ops::Range;

use ipnet::IpNet;
use netpol_policy::evaluate::{Connections, Endpoint, Evaluator};
use netpol_policy::model::{Direction, Pod};
use thiserror::Error;

use crate::hash::HashMap;
use crate::output::plural;

/// The most pairs of ends of a matrix.
pub const PAIRS: usize = 50_000_000;

/// Every pair of ends with what passes between them.
#[derive(Debug)]
pub struct Matrix<'e, 'c> {
    evaluator: &'e Evaluator<'c>,
    ends: Vec<End<'c>>,
    /// How many of the ends are pods; they come first.
    pods: usize,
    /// The group of each block, of those that no policy tells apart.
    groups: Vec<usize>,
    /// How many groups there are.
    group_count: usize,
    /// By their indexes among `passing`: for each pod all pods, then all groups, as destinations; then for each group all
    /// pods.
    cells: Vec<u32>,
    /// Each once.
    passing: Vec<Connections>,
}

/// More pairs than a matrix can show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{} and {} of addresses make more than {} million pairs, too many for a matrix; give fewer files, such as those of one \
     namespace, or ask about one pair with `netpol-lint reach`", plural(*.workloads, "workload"), plural(*.blocks, "block"), PAIRS / 1_000_000
)]
pub struct TooMany {
    /// Pods and workloads.
    pub workloads: usize,
    /// Blocks of addresses outside.
    pub blocks: usize,
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
    ///
    /// # Errors
    ///
    /// When there are more than [`PAIRS`] pairs.
    pub fn new(evaluator: &'e Evaluator<'c>) -> Result<Self, TooMany> {
        let cluster = evaluator.cluster();
        let pods = cluster.pods.iter().filter(|pod| !pod.finished);
        let mut who: Vec<_> = pods.map(|pod| (Who::Pod(pod), Endpoint::pod(pod))).collect();
        let pods = who.len();
        let blocks = world::blocks(cluster);
        let pairs = (2 * blocks.len()).saturating_add(pods).saturating_mul(pods);
        if pairs > PAIRS {
            return Err(TooMany { workloads: pods, blocks: blocks.len() });
        }
        let groups = alike::alike(&blocks, cluster);
        // One block of each group is asked about.
        let mut asked = who.clone();
        for (block, group) in blocks.iter().zip(&groups) {
            let end = (
                Who::Block { cidr: block.cidr, within: block.within.map(|index| pods + index) },
                Endpoint::outside(block.sample),
            );
            if pods + group == asked.len() {
                asked.push(end);
            }
            who.push(end);
        }
        let group_count = asked.len() - pods;
        let reachability = evaluator.reachability(asked.iter().map(|(_, endpoint)| *endpoint).collect());
        let mut known = HashMap::default();
        let mut cell = |source: usize, destination: usize| {
            let possible = have_common_family(asked[source].1, asked[destination].1);
            let passing =
                if possible { reachability.connections(source, destination) } else { Connections::none() };
            let next = u32::try_from(known.len()).expect("no more than pairs");
            *known.entry(passing).or_insert(next)
        };
        let mut cells = Vec::with_capacity((2 * group_count + pods) * pods);
        for source in 0..pods {
            cells.extend((0..asked.len()).map(|destination| cell(source, destination)));
        }
        for group in pods..asked.len() {
            cells.extend((0..pods).map(|destination| cell(group, destination)));
        }
        let mut passing = vec![Connections::none(); known.len()];
        known.into_iter().for_each(|(connections, index)| passing[index as usize] = connections);
        let end = |(index, (who, endpoint)): (usize, (Who<'c>, Endpoint<'c>))| End {
            who,
            endpoint,
            ingress_isolated: index < pods && reachability.is_isolated(index, Direction::Ingress),
            egress_isolated: index < pods && reachability.is_isolated(index, Direction::Egress),
        };
        let ends = who.into_iter().enumerate().map(end).collect();
        Ok(Self { evaluator, ends, pods, groups, group_count, cells, passing })
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
        asked.then(|| &self.passing[self.cells[self.cell(source, destination)] as usize])
    }

    /// The ends that a source may be asked with: a block isn't asked about with blocks.
    fn destinations(&self, source: usize) -> Range<usize> {
        0..if source < self.pods { self.ends.len() } else { self.pods }
    }

    /// Where the cell of a pair is.
    fn cell(&self, source: usize, destination: usize) -> usize {
        let width = self.pods + self.group_count;
        match (source.checked_sub(self.pods), destination.checked_sub(self.pods)) {
            (None, None) => source * width + destination,
            (None, Some(block)) => source * width + self.pods + self.groups[block],
            (Some(block), _) => self.pods * width + self.groups[block] * self.pods + destination,
        }
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
