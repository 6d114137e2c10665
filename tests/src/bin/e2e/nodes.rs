//! The nodes on which pods are put.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::kubectl::Kubectl;

/// Nodes that take pods, sorted by name.
#[derive(Debug)]
pub(crate) struct Nodes(Vec<Node>);

/// A node.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its internal address.
    pub(crate) address: IpAddr,
}

impl Nodes {
    /// Those that are ready and take any pod.
    pub(crate) fn schedulable(kubectl: &Kubectl) -> Result<Self> {
        let list = kubectl.get(&["nodes"])?;
        let nodes = list["items"].as_array().into_iter().flatten().filter(|node| takes_pods(node));
        let nodes = nodes.map(Node::read).collect::<Result<Vec<_>>>()?;
        ensure!(!nodes.is_empty(), "no node of the cluster is ready and takes pods");
        Ok(Self(nodes))
    }

    /// The node that a manifest calls `node-1`, `node-2` and so on; any other name, or none: they take turns.
    pub(crate) fn place(&self, named: Option<&str>, turn: usize) -> &Node {
        let number = named.and_then(|name| name.strip_prefix("node-")?.parse::<usize>().ok());
        let index = number.map_or(turn, |number| number.saturating_sub(1));
        &self.0[index % self.0.len()]
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Node> {
        self.0.iter()
    }

    /// One by its name.
    pub(crate) fn named(&self, name: &str) -> Result<&Node> {
        self.0.iter().find(|node| node.name == name).with_context(|| format!("there is no node {name}"))
    }
}

impl Node {
    fn read(node: &Value) -> Result<Self> {
        let name = node["metadata"]["name"].as_str().context("a node without a name")?.to_owned();
        let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
        let mut internal = addresses.filter(|address| address["type"] == "InternalIP");
        let address = internal.find_map(|address| address["address"].as_str()?.parse().ok());
        Ok(Self { address: address.with_context(|| format!("node {name} has no InternalIP"))?, name })
    }
}

fn takes_pods(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array().into_iter().flatten();
    let free = taints.filter(|taint| taint["effect"] != "PreferNoSchedule").count() == 0;
    let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    free && conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
