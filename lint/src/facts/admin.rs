//! Policies of the cluster's administrators: AdminNetworkPolicy (`policy.networking.k8s.io/v1alpha1`) and
//! ClusterNetworkPolicy (`v1alpha2`), as far as they matter here.

use std::num::NonZeroU16;

use ipnet::IpNet;
use netpol_policy::model::{
    Direction, LabelKey, LabelSelector, LabelValue, PortMatch, PortName, Protocol, Requirement,
};
use serde_json::Value;

/// A policy of the admin tier.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminPolicy {
    /// AdminNetworkPolicy or ClusterNetworkPolicy.
    pub kind: &'static str,
    /// Its name.
    pub name: Box<str>,
    /// The lowest decides first.
    pub priority: i64,
    /// The pods that it is about.
    pub subject: Subject,
    /// Its rules, of both directions, each direction in order.
    pub rules: Vec<AdminRule>,
}

/// Pods of some namespaces.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Which namespaces.
    pub namespaces: LabelSelector,
    /// Which pods there.
    pub pods: LabelSelector,
}

/// A rule of an admin policy; the first that matches decides.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminRule {
    /// Seen from the subject.
    pub direction: Direction,
    /// What to do.
    pub action: AdminAction,
    /// Any of these.
    pub peers: Vec<AdminPeer>,
    /// On these ports.
    pub ports: AdminPorts,
}

/// What an admin rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminAction {
    /// Allows, whatever NetworkPolicies say.
    Accept,
    /// Denies, whatever NetworkPolicies say.
    Deny,
    /// Leaves it to them.
    Pass,
}

/// A peer of an admin rule.
#[derive(Debug, Clone, PartialEq)]
pub enum AdminPeer {
    /// Pods.
    Pods(Subject),
    /// Addresses.
    Network(IpNet),
    /// Nodes, domain names, or what this program doesn't know.
    Other,
}

/// The ports of an admin rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminPorts {
    /// Everything.
    All,
    /// Only these.
    Only(Vec<PortMatch>),
}

impl AdminPorts {
    /// Whether a port of a NetworkPolicy is among them as a whole. Names are only equal to themselves.
    pub fn cover(&self, port: &PortMatch) -> bool {
        let Self::Only(ports) = self else { return true };
        ports.iter().any(|own| match (own, port) {
            (PortMatch::Every(a), b) => *a == b.protocol(),
            (PortMatch::Range(a, first, last), PortMatch::Range(b, from, to)) => {
                a == b && first <= from && to <= last
            }
            (a, b) => a == b,
        })
    }
}

/// A policy of the admin tier; `None` for the baseline tier and for what can't be understood.
pub(super) fn policy(kind: &str, object: &Value) -> Option<AdminPolicy> {
    let spec = &object["spec"];
    let kind = if kind == "AdminNetworkPolicy" { "AdminNetworkPolicy" } else { "ClusterNetworkPolicy" };
    if kind == "ClusterNetworkPolicy" && spec["tier"] != "Admin" {
        return None;
    }
    let mut rules = Vec::new();
    for direction in Direction::ALL {
        for rule in items(&spec[direction.field()]) {
            rules.push(admin_rule(direction, rule)?);
        }
    }
    Some(AdminPolicy {
        kind,
        name: object["metadata"]["name"].as_str()?.into(),
        priority: spec["priority"].as_i64()?,
        subject: subject(&spec["subject"])?,
        rules,
    })
}

fn admin_rule(direction: Direction, rule: &Value) -> Option<AdminRule> {
    let action = match rule["action"].as_str()? {
        // The one is v1alpha1's word, the other v1alpha2's.
        "Allow" | "Accept" => AdminAction::Accept,
        "Deny" => AdminAction::Deny,
        "Pass" => AdminAction::Pass,
        _ => return None,
    };
    let peers = items(&rule[direction.peer_field()]).iter().flat_map(peers).collect();
    Some(AdminRule { direction, action, peers, ports: ports(rule)? })
}

/// `namespaces` or `pods`; nothing else counts as a subject.
fn subject(value: &Value) -> Option<Subject> {
    if let Some(namespaces) = value.get("namespaces") {
        return Some(Subject { namespaces: selector(namespaces)?, pods: LabelSelector::everything() });
    }
    let pods = value.get("pods")?;
    Some(Subject { namespaces: selector(&pods["namespaceSelector"])?, pods: selector(&pods["podSelector"])? })
}

fn peers(value: &Value) -> Vec<AdminPeer> {
    if let Some(subject) = subject(value) {
        return vec![AdminPeer::Pods(subject)];
    }
    let networks = items(&value["networks"]).iter();
    let networks: Option<Vec<_>> =
        networks.map(|network| Some(AdminPeer::Network(network.as_str()?.parse().ok()?))).collect();
    match networks {
        Some(networks) if !networks.is_empty() => networks,
        _ => vec![AdminPeer::Other],
    }
}

/// `None` when something in it isn't understood.
fn ports(rule: &Value) -> Option<AdminPorts> {
    let v1alpha1 = items(&rule["ports"]).iter().map(|port| {
        if let Some(number) = port.get("portNumber") {
            return range(protocol(&number["protocol"])?, &number["port"], &number["port"]);
        }
        let range_of = port.get("portRange")?;
        range(protocol(&range_of["protocol"])?, &range_of["start"], &range_of["end"])
    });
    let v1alpha2 = items(&rule["protocols"]).iter().map(|item| {
        if let Some(name) = item.get("destinationNamedPort") {
            return Some(PortMatch::Named(Protocol::Tcp, PortName::new(name.as_str()?).ok()?));
        }
        let (name, transport) = item.as_object()?.iter().next()?;
        let protocol = protocol(&Value::from(name.to_uppercase()))?;
        match transport.get("destinationPort") {
            None => Some(PortMatch::Every(protocol)),
            Some(port) => match port.get("range") {
                Some(limits) => range(protocol, &limits["start"], &limits["end"]),
                None => range(protocol, &port["number"], &port["number"]),
            },
        }
    });
    let ports: Vec<_> = v1alpha1.chain(v1alpha2).collect::<Option<_>>()?;
    Some(if ports.is_empty() { AdminPorts::All } else { AdminPorts::Only(ports) })
}

fn range(protocol: Protocol, first: &Value, last: &Value) -> Option<PortMatch> {
    let port = |value: &Value| NonZeroU16::new(u16::try_from(value.as_u64()?).ok()?);
    PortMatch::range(protocol, port(first)?, port(last)?).ok()
}

fn protocol(value: &Value) -> Option<Protocol> {
    Protocol::ALL.into_iter().find(|protocol| value.as_str() == Some(protocol.as_str()))
}

fn selector(value: &Value) -> Option<LabelSelector> {
    let mut requirements = Vec::new();
    if let Some(labels) = value["matchLabels"].as_object() {
        for (key, value) in labels {
            let value = LabelValue::new(value.as_str()?).ok()?;
            requirements.push(Requirement::equals(LabelKey::new(key).ok()?, value));
        }
    }
    for expression in items(&value["matchExpressions"]) {
        let values = items(&expression["values"]).iter();
        let values: Option<Vec<_>> = values.map(|value| LabelValue::new(value.as_str()?).ok()).collect();
        let key = LabelKey::new(expression["key"].as_str()?).ok()?;
        requirements.push(Requirement::new(key, expression["operator"].as_str()?, values?).ok()?);
    }
    Some(LabelSelector::new(requirements))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
