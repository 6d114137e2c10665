//! A second evaluator, written from the Kubernetes documentation by another route.
//!
//! It reads the objects as plain JSON, expands every rule into the set of flows that it allows within a small universe
//! of ends and traffic, and looks a flow up in those sets. It shares no code with the crate that it checks, and
//! it is meant to be obvious rather than quick.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::address::{Address, Cidr};

type Labels = BTreeMap<String, String>;

/// What a flow asks for: `("TCP", 80)`, `("ICMP", 0)`, `("47", 0)`.
pub(crate) type Ask = (&'static str, u16);

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct End {
    /// A pod or a workload, by its index; host network pods too when they are asked for by name.
    pub(crate) workload: Option<usize>,
    /// The address in the packet.
    pub(crate) address: Option<Address>,
}

/// A pod, or the pods of a template.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) namespace: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) addresses: Vec<Address>,
    labels: Labels,
    /// Name, protocol, number.
    ports: Vec<(Option<String>, String, u16)>,
    pub(crate) host: bool,
    node: Option<String>,
    pub(crate) finished: bool,
    created: String,
}

pub(crate) struct Naive {
    pub(crate) workloads: Vec<Workload>,
    namespaces: BTreeMap<String, Labels>,
    nodes: BTreeMap<String, BTreeSet<Address>>,
    policies: Vec<Value>,
    services: Vec<Value>,
}

/// The flows that one end lets through in one direction.
pub(crate) struct Side {
    /// Names of the policies that isolate it, and `""` for the label of its namespace.
    pub(crate) isolation: BTreeSet<String>,
    /// For each allowed pair of far end and traffic the first rule that allows it: policy, rule, peer, port.
    pub(crate) allowed: BTreeMap<(End, Ask), Reason>,
    /// How many rules its policies have.
    pub(crate) rules: usize,
}

/// What is behind a Service: workload, address and port.
pub(crate) type Behind = (usize, Option<Address>, u16);

pub(crate) type Reason = Vec<(String, usize, Option<usize>, Option<usize>)>;

impl Naive {
    pub(crate) fn new(objects: &[Value]) -> Self {
        let of = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
        let workloads = of("Pod").chain(of("Deployment")).map(workload).collect();
        let namespaces = of("Namespace").map(|o| (name(o), labels(&o["metadata"]["labels"]))).collect();
        let nodes = of("Node").map(|o| {
            let real = list(&o["status"]["addresses"]).iter().filter(|a| a["type"] == "InternalIP");
            (name(o), real.map(|a| address(&a["address"])).collect())
        });
        let nodes = nodes.collect();
        let policies = of("NetworkPolicy").cloned().collect();
        Self { workloads, namespaces, nodes, policies, services: of("Service").cloned().collect() }
    }

    /// Who an address is: the newest pod that still runs and isn't on the host network.
    pub(crate) fn at(&self, address: Address) -> End {
        let mut owner: Option<usize> = None;
        for (index, workload) in self.workloads.iter().enumerate() {
            if workload.host || workload.finished || !workload.addresses.contains(&address) {
                continue;
            }
            if owner.is_none_or(|other| self.workloads[other].created < workload.created) {
                owner = Some(index);
            }
        }
        End { workload: owner, address: Some(address) }
    }

    /// Whether no policy of `near` can have a say about `far`.
    pub(crate) fn exempt(&self, near: End, far: End) -> bool {
        let Some(pod) = near.workload.map(|index| &self.workloads[index]) else { return true };
        if pod.host || pod.finished {
            return true;
        }
        // Itself: two pods of one template are not one pod.
        if pod.kind == "Pod" && near.workload == far.workload {
            return true;
        }
        // Its own node.
        let Some(node) = &pod.node else { return false };
        match far.workload.map(|index| &self.workloads[index]) {
            Some(other) if other.host => other.node.as_ref() == Some(node),
            Some(_) => false,
            None => self.nodes.get(node).zip(far.address).is_some_and(|(own, far)| own.contains(&far)),
        }
    }

    /// Everything that the policies of an end allow; `None` when nothing isolates it.
    pub(crate) fn side(&self, universe: &[End], asks: &[Ask], near: End, direction: &str) -> Option<Side> {
        let pod = &self.workloads[near.workload?];
        let mut side = Side { isolation: BTreeSet::new(), allowed: BTreeMap::new(), rules: 0 };
        if pod.host || pod.finished {
            return None;
        }
        let deny = self.namespaces.get(&pod.namespace).and_then(|l| l.get("netpol.dev/default-deny"));
        let deny = deny.map_or("none", String::as_str);
        if deny == "all" || deny == direction.to_lowercase() {
            side.isolation.insert(String::new());
        }
        for policy in &self.policies {
            if namespace(policy) != pod.namespace || !types(&policy["spec"]).contains(direction) {
                continue;
            }
            if !selects(&policy["spec"]["podSelector"], &pod.labels) {
                continue;
            }
            side.isolation.insert(name(policy));
            let (rules, peers) = if direction == "Ingress" { ("ingress", "from") } else { ("egress", "to") };
            for (index, rule) in list(&policy["spec"][rules]).iter().enumerate() {
                side.rules += 1;
                for far in universe {
                    let to = if direction == "Ingress" { near } else { *far };
                    for peer in self.peers(&namespace(policy), list(&rule[peers]), *far) {
                        for ask in asks {
                            for port in self.ports(list(&rule["ports"]), to, *ask) {
                                let reason = (name(policy), index, peer, port);
                                side.allowed.entry((*far, *ask)).or_default().push(reason);
                            }
                        }
                    }
                }
            }
        }
        (!side.isolation.is_empty()).then_some(side)
    }

    /// The peers that mean an end.
    fn peers(&self, own: &str, peers: &[Value], far: End) -> Vec<Option<usize>> {
        if peers.is_empty() {
            return vec![None];
        }
        let mut found = Vec::new();
        for (index, peer) in peers.iter().enumerate() {
            let hit = if peer["ipBlock"].is_null() {
                self.pods_meant(own, peer).iter().any(|pod| far.workload == Some(*pod))
            } else {
                let block = &peer["ipBlock"];
                let inside = |cidr: &Value| far.address.is_some_and(|a| Cidr::parse(text(cidr)).contains(a));
                inside(&block["cidr"]) && !list(&block["except"]).iter().any(inside)
            };
            if hit {
                found.push(Some(index));
            }
        }
        found
    }

    /// Every pod that a peer with selectors means.
    fn pods_meant(&self, own: &str, peer: &Value) -> BTreeSet<usize> {
        let (pods, namespaces) = (&peer["podSelector"], &peer["namespaceSelector"]);
        let mut meant = BTreeSet::new();
        for (index, workload) in self.workloads.iter().enumerate() {
            let mut of_namespace = self.namespaces.get(&workload.namespace).cloned().unwrap_or_default();
            of_namespace.insert("kubernetes.io/metadata.name".into(), workload.namespace.clone());
            let there = if namespaces.is_null() {
                workload.namespace == own
            } else {
                selects(namespaces, &of_namespace)
            };
            if there && !workload.host && !workload.finished && selects(pods, &workload.labels) {
                meant.insert(index);
            }
        }
        meant
    }

    /// The port items that match.
    fn ports(&self, ports: &[Value], to: End, (protocol, number): Ask) -> Vec<Option<usize>> {
        if ports.is_empty() {
            return vec![None];
        }
        let mut found = Vec::new();
        for (index, item) in ports.iter().enumerate() {
            if item["protocol"].as_str().unwrap_or("TCP") != protocol {
                continue;
            }
            let hit = match &item["port"] {
                Value::Null => true,
                Value::String(wanted) => to.workload.is_some_and(|pod| {
                    let pod = &self.workloads[pod];
                    let declared = (Some(wanted.clone()), protocol.to_owned(), number);
                    !pod.host && !pod.finished && pod.ports.contains(&declared)
                }),
                first => {
                    let first = first.as_u64().unwrap();
                    (first..=item["endPort"].as_u64().unwrap_or(first)).contains(&u64::from(number))
                }
            };
            if hit {
                found.push(Some(index));
            }
        }
        found
    }

    /// Where a Service leads: its name, its port, and for each the workload, address and port behind it.
    pub(crate) fn services(&self) -> Vec<(String, u64, BTreeSet<Behind>)> {
        let mut found = Vec::new();
        for service in &self.services {
            for port in list(&service["spec"]["ports"]) {
                let mut behind = BTreeSet::new();
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                for (index, pod) in self.workloads.iter().enumerate() {
                    let selector = &service["spec"]["selector"];
                    let wanted = labels(selector);
                    let selected =
                        !wanted.is_empty() && wanted.iter().all(|(k, v)| pod.labels.get(k) == Some(v));
                    if !selected || pod.namespace != namespace(service) || pod.finished {
                        continue;
                    }
                    let number = match &port["targetPort"] {
                        Value::Null => Some(port["port"].as_u64().unwrap() as u16),
                        Value::String(name) => pod
                            .ports
                            .iter()
                            .find(|(n, p, _)| n.as_ref() == Some(name) && p == protocol)
                            .map(|(_, _, number)| *number),
                        number => Some(number.as_u64().unwrap() as u16),
                    };
                    let Some(number) = number else { continue };
                    let addresses: Vec<_> = pod.addresses.iter().copied().map(Some).collect();
                    for address in if addresses.is_empty() { vec![None] } else { addresses } {
                        behind.insert((index, address, number));
                    }
                }
                found.push((
                    format!("{}/{}", namespace(service), name(service)),
                    port["port"].as_u64().unwrap(),
                    behind,
                ));
            }
        }
        found
    }
}

/// The effective `policyTypes`.
fn types(spec: &Value) -> BTreeSet<&str> {
    let written: BTreeSet<_> = list(&spec["policyTypes"]).iter().map(text).collect();
    if !written.is_empty() {
        return written;
    }
    let mut types = BTreeSet::from(["Ingress"]);
    if !list(&spec["egress"]).is_empty() {
        types.insert("Egress");
    }
    types
}

/// Whether a label selector selects; null and `{}` select everything.
fn selects(selector: &Value, labels: &Labels) -> bool {
    for (key, value) in self::labels(&selector["matchLabels"]) {
        if labels.get(&key) != Some(&value) {
            return false;
        }
    }
    for expression in list(&selector["matchExpressions"]) {
        let value = labels.get(text(&expression["key"]));
        let listed = value.is_some_and(|v| list(&expression["values"]).iter().any(|w| w == v.as_str()));
        let met = match text(&expression["operator"]) {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("{other}"),
        };
        if !met {
            return false;
        }
    }
    true
}

fn workload(object: &Value) -> Workload {
    let kind = text(&object["kind"]).to_owned();
    let pod = if kind == "Pod" { object } else { &object["spec"]["template"] };
    let spec = &pod["spec"];
    let sidecars = list(&spec["initContainers"]).iter().filter(|c| c["restartPolicy"] == "Always");
    let mut ports = Vec::new();
    for container in list(&spec["containers"]).iter().chain(sidecars) {
        for port in list(&container["ports"]) {
            let number = port["containerPort"].as_u64().unwrap() as u16;
            let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
            ports.push((port["name"].as_str().map(str::to_owned), protocol, number));
        }
    }
    Workload {
        namespace: namespace(object),
        name: name(object),
        kind,
        labels: labels(&pod["metadata"]["labels"]),
        addresses: list(&object["status"]["podIPs"]).iter().map(|ip| address(&ip["ip"])).collect(),
        ports,
        host: spec["hostNetwork"] == true,
        node: spec["nodeName"].as_str().map(str::to_owned),
        finished: matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")),
        created: object["metadata"]["creationTimestamp"].as_str().unwrap_or("").to_owned(),
    }
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), text(value).to_owned())).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn address(value: &Value) -> Address {
    Address::parse(text(value))
}

fn name(object: &Value) -> String {
    text(&object["metadata"]["name"]).to_owned()
}

fn namespace(object: &Value) -> String {
    object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned()
}
