//! Who enforces policies on each node.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::agent::{Agent, AgentKind, Role};
use super::version::Version;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: Box<str>,
    /// Who enforces policies on it.
    pub enforcement: Enforcement,
}

/// Who enforces policies on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enforcement {
    /// At least this agent.
    By(Agent),
    /// Nobody: this agent is there and says that it doesn't.
    SaysNo(Agent),
    /// Nobody; the network that connects its pods, when that is known.
    Nobody(Option<&'static str>),
    /// Can't be told: it isn't ready, or runs something that isn't known, or the look was refused.
    Unknown,
}

/// A node, as far as it matters until its pods are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NodeEvidence {
    name: Box<str>,
    labels: BTreeMap<String, String>,
    /// Nobody but a kubelet with a network plugin works here: neither Windows nor a node that isn't one.
    ordinary: bool,
    ready: bool,
    k3s: Option<Option<Version>>,
    /// A k3s server without the network policy controller: all agents go without it.
    pub(super) k3s_without_policies: bool,
}

impl NodeEvidence {
    pub(super) fn of(node: &Value) -> Option<Self> {
        let metadata = &node["metadata"];
        let name = metadata["name"].as_str()?.into();
        let labels: BTreeMap<String, String> =
            serde_json::from_value(metadata["labels"].clone()).unwrap_or_default();
        let label = |key: &str| labels.get(key).map(String::as_str);
        let managed = matches!(label("eks.amazonaws.com/compute-type"), Some("fargate" | "auto" | "hybrid"));
        let ordinary = label("kubernetes.io/os") != Some("windows")
            && label("type") != Some("virtual-kubelet")
            && !managed;
        let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ready =
            conditions.iter().all(|condition| condition["type"] != "Ready" || condition["status"] == "True");
        let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
        let k3s = version.contains("+k3s").then(|| Version::parse(version));
        let arguments = metadata["annotations"]["k3s.io/node-args"].as_str().unwrap_or_default();
        let k3s_without_policies = arguments.contains("\"--disable-network-policy\"");
        Some(Self { name, labels, ordinary, ready, k3s, k3s_without_policies })
    }

    /// Whether a DaemonSet with this node selector runs here.
    fn is_selected_by(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// A DaemonSet of the network.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DaemonSetEvidence {
    pub(super) role: Role,
    pub(super) node_selector: BTreeMap<String, String>,
    /// It has affinities: nobody but the scheduler knows where it runs.
    pub(super) intricate: bool,
}

/// What was seen of agents.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sightings {
    pub(super) daemon_sets: Vec<DaemonSetEvidence>,
    /// Of pods that run.
    pub(super) by_node: BTreeMap<Box<str>, Vec<Role>>,
    /// Pods could be looked at.
    pub(super) pods: bool,
    /// DaemonSets could be looked at.
    pub(super) sets: bool,
}

impl Sightings {
    pub(super) fn is_empty(&self) -> bool {
        self.daemon_sets.is_empty() && self.by_node.is_empty()
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.daemon_sets.extend_from_slice(&other.daemon_sets);
        for (node, roles) in &other.by_node {
            self.by_node.entry(node.clone()).or_default().extend_from_slice(roles);
        }
    }

    /// Who enforces policies on each node.
    pub(super) fn judge(&self, nodes: &[NodeEvidence]) -> Vec<NodeFacts> {
        let k3s_without_policies = nodes.iter().any(|node| node.k3s_without_policies);
        let mut facts: Vec<_> = nodes
            .iter()
            .map(|node| NodeFacts {
                name: node.name.clone(),
                enforcement: self.enforcement(node, k3s_without_policies),
            })
            .collect();
        facts.sort_by(|a, b| a.name.cmp(&b.name));
        facts
    }

    fn enforcement(&self, node: &NodeEvidence, k3s_without_policies: bool) -> Enforcement {
        let sets = || {
            let here = |set: &&DaemonSetEvidence| node.is_selected_by(&set.node_selector);
            self.daemon_sets.iter().filter(here)
        };
        let roles: Vec<&Role> = if self.pods {
            self.by_node.get(&node.name).into_iter().flatten().collect()
        } else {
            sets().map(|set| &set.role).collect()
        };
        let agent = roles.iter().find_map(|role| match role {
            Role::Enforces(agent) => Some(agent.clone()),
            _ => None,
        });
        if let Some(agent) = agent {
            return Enforcement::By(agent);
        }
        if let Some(version) = node.k3s
            && !k3s_without_policies
        {
            return Enforcement::By(Agent { kind: AgentKind::K3s, version });
        }
        let idle = roles.iter().find_map(|role| match role {
            Role::SaysNo(agent) => Some(agent.clone()),
            _ => None,
        });
        if let Some(agent) = idle {
            return Enforcement::SaysNo(agent);
        }
        let unknown = roles.iter().any(|role| matches!(role, Role::UnknownNetwork))
            // Without pods, where an agent with affinities runs is a guess.
            || !self.pods && (!self.sets || sets().any(|set| set.intricate));
        if unknown || !node.ordinary || !node.ready {
            return Enforcement::Unknown;
        }
        Enforcement::Nobody(roles.iter().find_map(|role| match role {
            Role::ConnectsOnly(network) => Some(*network),
            _ => None,
        }))
    }
}

/// The agents of some nodes, each version once.
pub(super) fn agents(nodes: &[NodeFacts]) -> Vec<Agent> {
    let agents: BTreeSet<_> = nodes
        .iter()
        .filter_map(|node| match &node.enforcement {
            Enforcement::By(agent) => Some(agent.clone()),
            _ => None,
        })
        .collect();
    agents.into_iter().collect()
}
