//! A cluster's network on one machine: nodes, pods and an outside host, each in a network namespace.
//!
//! Nothing outside the lab's own namespaces is touched, and nothing stays behind: see [`netns`].

pub mod address;
pub mod netns;
pub mod requirements;
pub mod services;
pub mod state_dir;
mod underlay;
mod wiring;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};

use self::address::Pair;
use self::netns::NetNs;
use crate::probe::server::{Port, Server};

/// How pods are connected to their node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// One bridge with all pods of the node (flannel's shape, the bridge plugin).
    Bridge {
        /// Whether bridged packets go through iptables (`net.bridge.bridge-nf-call-iptables`). Without, a Service
        /// can't lead to a pod of the same node: its answer would take the short way, untranslated.
        call_iptables: bool,
    },
    /// One routed pair per pod, no bridge (kindnet's shape, the ptp plugin).
    PointToPoint,
}

/// How a packet gets from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// By a route to each other node's pod range (flannel's host-gw, kindnet).
    Routes,
    /// In VXLAN (flannel's default).
    Vxlan,
}

/// Who translates Service addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceProxy {
    /// The rules kube-proxy writes in its nftables mode.
    Nftables,
    /// The rules kube-proxy writes in its iptables mode.
    Iptables,
}

/// What a lab looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The nodes' names, in the order of their addresses.
    pub nodes: Vec<String>,
    /// How pods are connected to their node.
    pub wiring: Wiring,
    /// How the nodes reach each other's pods.
    pub between: Between,
    /// Who translates Service addresses.
    pub services: ServiceProxy,
}

impl Shape {
    /// One node, named `node-1`.
    #[must_use]
    pub fn one_node(wiring: Wiring, services: ServiceProxy) -> Self {
        Self { nodes: vec!["node-1".into()], wiring, between: Between::Routes, services }
    }

    /// Two nodes, named `node-1` and `node-2`.
    #[must_use]
    pub fn two_nodes(wiring: Wiring, between: Between, services: ServiceProxy) -> Self {
        Self { nodes: vec!["node-1".into(), "node-2".into()], wiring, between, services }
    }

    /// Whether a Service can lead a pod to a pod of the same node.
    #[must_use]
    pub fn translates_on_one_node(&self) -> bool {
        self.wiring != Wiring::Bridge { call_iptables: false }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wiring = match self.wiring {
            Wiring::Bridge { call_iptables: true } => "bridge (bridge-nf-call-iptables 1)",
            Wiring::Bridge { call_iptables: false } => "bridge (bridge-nf-call-iptables 0)",
            Wiring::PointToPoint => "ptp",
        };
        let services = match self.services {
            ServiceProxy::Nftables => "nftables",
            ServiceProxy::Iptables => "iptables",
        };
        write!(f, "{wiring}, {services}")?;
        match (self.nodes.len(), self.between) {
            (0 | 1, _) => Ok(()),
            (count, Between::Routes) => write!(f, ", {count} nodes by routes"),
            (count, Between::Vxlan) => write!(f, ", {count} nodes by VXLAN"),
        }
    }
}

/// A node: its namespace, and how many addresses of its pod range are taken.
#[derive(Debug)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// Its namespace, with a mount namespace beside it.
    pub namespace: NetNs,
    index: u8,
    next_pod: u8,
}

impl Node {
    /// The node's address on the network between the nodes (`status.addresses`, InternalIP).
    #[must_use]
    pub fn address(&self) -> Pair {
        address::node(self.index)
    }

    /// The node's pod ranges (`spec.podCIDRs`).
    #[must_use]
    pub fn pod_ranges(&self) -> [String; 2] {
        address::pod_ranges(self.index)
    }

    /// The node's address inside its pod range: the pods' gateway.
    #[must_use]
    pub fn gateway(&self) -> Pair {
        address::pod(self.index, 1)
    }
}

/// A pod's network: its namespace, its addresses, and the server that answers on its ports.
#[derive(Debug)]
pub struct Pod {
    /// The pod's namespace.
    pub namespace: NetNs,
    /// The pod's addresses.
    pub address: Pair,
    /// Which node it runs on: an index into [`Lab::nodes`].
    pub node: usize,
    /// What answers in it.
    pub server: Server,
}

/// The network of a whole cluster.
#[derive(Debug)]
pub struct Lab {
    /// What it was built from.
    pub shape: Shape,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The pods, by a name of the caller's choice.
    pub pods: BTreeMap<String, Pod>,
    /// A host outside the cluster. It has several addresses: [`address::outside`].
    pub outside: NetNs,
    /// What answers on the outside host.
    pub outside_server: Server,
    /// Held so that the network between the nodes lives.
    _underlay: NetNs,
}

/// The port on which the outside host answers.
pub const OUTSIDE_PORT: u16 = 80;
/// How many addresses the outside host has, from [`address::outside`]`(10)` on.
pub const OUTSIDE_ADDRESSES: u8 = 3;

impl Lab {
    /// Builds the nodes, the network between them and the outside host. Pods come later: [`Lab::add_pod`].
    ///
    /// # Errors
    /// When this process isn't root, a tool is missing, or the kernel lacks something; the message says which.
    pub fn new(shape: Shape) -> Result<Self> {
        requirements::namespaces()?;
        let (underlay, outside) = underlay::build(&shape)?;
        let mut nodes = Vec::new();
        for (index, name) in shape.nodes.iter().enumerate() {
            let namespace = NetNs::with_mounts(name)?;
            let index = u8::try_from(index).context("a lab has at most 200 nodes")?;
            nodes.push(Node { name: name.clone(), namespace, index, next_pod: 2 });
        }
        for node in &nodes {
            underlay::connect(&underlay, node, &nodes, shape.between)?;
            wiring::prepare(node, shape.wiring)?;
        }
        let addresses =
            (0..OUTSIDE_ADDRESSES).flat_map(|n| address::outside(10 + n).both()).collect::<Vec<_>>();
        let outside_server = Server::start(
            &outside,
            "outside",
            &addresses,
            &[Port::tcp(OUTSIDE_PORT), Port::udp(OUTSIDE_PORT)],
        )?;
        Ok(Self { shape, nodes, pods: BTreeMap::new(), outside, outside_server, _underlay: underlay })
    }

    /// Adds a pod to a node and starts servers on its ports. A TCP server greets with the pod's name.
    ///
    /// # Errors
    /// When the kernel refuses a namespace, an interface or a port.
    pub fn add_pod(&mut self, name: &str, node: usize, ports: &[Port]) -> Result<&Pod> {
        let namespace = NetNs::new(name)?;
        let home = &mut self.nodes[node];
        let number = home.next_pod;
        home.next_pod = number.checked_add(1).context("the node's pod range is full")?;
        let address = address::pod(home.index, number);
        let mtu = if self.shape.between == Between::Vxlan { underlay::MTU_IN_VXLAN } else { 1500 };
        wiring::connect(&self.nodes[node], self.shape.wiring, &namespace, number, mtu)?;
        namespace.run(|| wiring::wait_until_up(address, self.nodes[node].gateway()))?;
        let server = Server::start(&namespace, name, &address.both(), ports)?;
        self.pods.insert(name.to_owned(), Pod { namespace, address, node, server });
        Ok(&self.pods[name])
    }

    /// Removes a pod: its namespace and its interface disappear, its addresses are not used again.
    pub fn remove_pod(&mut self, name: &str) {
        self.pods.remove(name);
    }

    /// The name of the interface that leads to a pod, in its node's namespace.
    #[must_use]
    pub fn interface_of(&self, pod: &Pod) -> String {
        let [.., number] = pod.address.v4.octets();
        wiring::interface(number)
    }
}
