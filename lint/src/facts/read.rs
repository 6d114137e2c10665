//! From objects of the API to facts.

use serde_json::Value;

use super::ClusterFacts;
use super::admin::{self, AdminPolicy};
use super::agent::{Role, role};
use super::nodes::{self, DaemonSetEvidence, NodeEvidence, Sightings};
use super::ranges::Ranges;

/// Gathers what objects say about the cluster.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    nodes: Vec<NodeEvidence>,
    sightings: Sightings,
    ranges: Ranges,
    admin_policies: Vec<AdminPolicy>,
}

/// Kinds of which every object could be read.
#[derive(Debug, Clone, Copy, Default)]
#[allow(missing_docs, reason = "the kinds' own names")]
pub struct Readable {
    pub namespaces: bool,
    pub pods: bool,
    pub daemon_sets: bool,
}

impl Readable {
    /// Every object of a kind could be read.
    pub fn mark(&mut self, kind: &str) {
        match kind {
            "Namespace" => self.namespaces = true,
            "Pod" => self.pods = true,
            "DaemonSet" => self.daemon_sets = true,
            _ => {}
        }
    }
}

impl Evidence {
    /// Looks at an object, as the API gives it. Kinds that say nothing about the cluster don't matter.
    pub fn add(&mut self, kind: &str, object: &Value) {
        match kind {
            "Node" => {
                self.ranges.add_node(object);
                self.nodes.extend(NodeEvidence::of(object));
            }
            "Pod" => self.pod(object),
            "DaemonSet" => self.daemon_set(object),
            "Service" => self.ranges.add_service(object),
            "ServiceCIDR" => self.ranges.add_service_cidr(object),
            "AdminNetworkPolicy" | "ClusterNetworkPolicy" => {
                self.admin_policies.extend(admin::policy(kind, object));
            }
            _ => {}
        }
    }

    /// Nothing was gathered.
    pub fn is_empty(&self) -> bool {
        let Self { nodes, sightings, ranges, admin_policies } = self;
        nodes.is_empty() && sightings.is_empty() && ranges.is_empty() && admin_policies.is_empty()
    }

    /// Adds what was gathered elsewhere.
    pub fn join(&mut self, other: &Self) {
        self.nodes.extend_from_slice(&other.nodes);
        self.sightings.join(&other.sightings);
        self.ranges.join(&other.ranges);
        self.admin_policies.extend_from_slice(&other.admin_policies);
    }

    /// What it comes to.
    pub fn conclude(mut self, readable: Readable) -> ClusterFacts {
        self.sightings.pods = readable.pods;
        self.sightings.sets = readable.daemon_sets;
        let nodes = self.sightings.judge(&self.nodes);
        self.admin_policies.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        ClusterFacts {
            agents: nodes::agents(&nodes),
            nodes,
            ranges: self.ranges,
            admin_policies: self.admin_policies,
            all_namespaces: readable.namespaces,
            told_at: None,
        }
    }

    fn pod(&mut self, pod: &Value) {
        self.ranges.add_pod(pod);
        let Some(node) = pod["spec"]["nodeName"].as_str() else { return };
        let owner = &pod["metadata"]["ownerReferences"][0];
        let name = owner["name"].as_str().or(pod["metadata"]["name"].as_str()).unwrap_or_default();
        if pod["status"]["phase"] == "Running"
            && let Some(role) = role(name, &pod["spec"])
        {
            let role = match role {
                Role::Enforces(agent) if says_no(pod) => Role::SaysNo(agent),
                role => role,
            };
            self.sightings.by_node.entry(node.into()).or_default().push(role);
        }
    }

    fn daemon_set(&mut self, set: &Value) {
        let name = set["metadata"]["name"].as_str().unwrap_or_default();
        let template = &set["spec"]["template"]["spec"];
        if let Some(role) = role(name, template) {
            self.sightings.daemon_sets.push(DaemonSetEvidence {
                role,
                node_selector: serde_json::from_value(template["nodeSelector"].clone()).unwrap_or_default(),
                intricate: template["affinity"].is_object(),
            });
        }
    }
}

/// Whether an agent's pod says of itself that it doesn't enforce. netpol-enforcer does, before it has read any objects.
fn says_no(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition["type"] == "netpol.dev/Enforcing" && condition["status"] == "False")
}
