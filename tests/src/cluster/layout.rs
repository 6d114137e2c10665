//! Where everything is: which pod on which node, at which addresses. A lab has one; it can also be made on paper.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use super::{Cluster, PodObject};
use crate::lab::Between;
use crate::lab::address::{self, Pair};

/// The places of a cluster's nodes, pods and Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The nodes' names; their index says their addresses.
    pub nodes: Vec<String>,
    /// How the nodes reach each other's pods.
    pub between: Between,
    /// The pods, by `namespace/name`.
    pub pods: BTreeMap<String, PodPlace>,
    /// The cluster addresses of Services, by `namespace/name`.
    pub services: BTreeMap<String, Pair>,
}

/// Where a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodPlace {
    /// Its addresses.
    pub address: Pair,
    /// The index of its node.
    pub node: usize,
}

impl Layout {
    /// Nodes without pods.
    #[must_use]
    pub fn new(nodes: Vec<String>, between: Between) -> Self {
        Self { nodes, between, pods: BTreeMap::new(), services: BTreeMap::new() }
    }

    /// Gives every pod and Service of a cluster a place, without any network.
    ///
    /// # Errors
    /// When there are too many of them.
    pub fn on_paper(nodes: &[&str], cluster: &Cluster) -> Result<Self> {
        let mut layout = Self::new(nodes.iter().map(|name| (*name).to_owned()).collect(), Between::Routes);
        let mut taken = vec![0; nodes.len()];
        for (index, (name, pod)) in cluster.pods.iter().enumerate() {
            let node = layout.node_of(pod, index);
            taken[node] += 1;
            let number = u8::try_from(taken[node] + 1).context("a node has at most 250 pods")?;
            let address = address::pod(u8::try_from(node)?, number);
            layout.pods.insert(name.clone(), PodPlace { address, node });
        }
        for name in cluster.services.keys() {
            layout.add_service(name)?;
        }
        Ok(layout)
    }

    /// The node that a pod asks for; otherwise they take turns.
    #[must_use]
    pub fn node_of(&self, pod: &PodObject, turn: usize) -> usize {
        let named = pod.node.as_ref().and_then(|node| self.nodes.iter().position(|name| name == node));
        named.unwrap_or(turn % self.nodes.len())
    }

    /// Gives a Service an address, unless it has one.
    ///
    /// # Errors
    /// When there are too many of them.
    pub fn add_service(&mut self, name: &str) -> Result<()> {
        let next = u8::try_from(self.services.len() + 10).context("there are at most 240 Services")?;
        self.services.entry(name.to_owned()).or_insert_with(|| address::service(next));
        Ok(())
    }

    /// The address of a node on the network between the nodes (`status.addresses`, InternalIP).
    ///
    /// # Panics
    /// When there are more than 200 nodes.
    #[must_use]
    pub fn node_address(&self, node: usize) -> Pair {
        address::node(u8::try_from(node).expect("few nodes"))
    }

    /// A node's address in its own pod range.
    ///
    /// # Panics
    /// As [`Layout::node_address`].
    #[must_use]
    pub fn gateway(&self, node: usize) -> Pair {
        address::pod(u8::try_from(node).expect("few nodes"), 1)
    }

    /// The address from which a node speaks to a pod that is on a certain node.
    ///
    /// # Panics
    /// As [`Layout::node_address`].
    #[must_use]
    pub fn speaks_from(&self, node: usize, to: usize) -> Pair {
        match self.between {
            _ if node == to => self.gateway(node),
            Between::Routes => self.node_address(node),
            Between::Vxlan => address::pod(u8::try_from(node).expect("few nodes"), 0),
        }
    }

    /// A node's pod ranges (`spec.podCIDRs`).
    ///
    /// # Panics
    /// As [`Layout::node_address`].
    #[must_use]
    pub fn pod_ranges(&self, node: usize) -> [String; 2] {
        address::pod_ranges(u8::try_from(node).expect("few nodes"))
    }
}
