//! Addresses that belong to the cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

/// The cluster's own addresses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranges {
    /// From which pods get their addresses, with the node whose range it is.
    pub pods: Vec<Range>,
    /// From which Services get their addresses, with the ServiceCIDR object.
    pub services: Vec<Range>,
    /// Who has an address now: pods off the host network, and Services.
    pub owners: BTreeMap<IpAddr, AddressOwner>,
}

/// A range and the object that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The addresses.
    pub block: IpNet,
    /// The name of the node or of the ServiceCIDR.
    pub of: Box<str>,
}

/// Who has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressOwner {
    /// A pod: namespace and name.
    Pod(Box<str>),
    /// A Service: namespace and name.
    Service(Box<str>),
}

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.services.is_empty() && self.owners.is_empty()
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.pods.extend_from_slice(&other.pods);
        self.services.extend_from_slice(&other.services);
        self.owners.extend(other.owners.iter().map(|(address, owner)| (*address, owner.clone())));
    }

    pub(super) fn add_node(&mut self, node: &Value) {
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let blocks = node["spec"]["podCIDRs"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.pods.extend(ranges(blocks, name));
    }

    pub(super) fn add_service_cidr(&mut self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let blocks = object["spec"]["cidrs"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.services.extend(ranges(blocks, name));
    }

    pub(super) fn add_pod(&mut self, pod: &Value) {
        let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if pod["spec"]["hostNetwork"] == true || finished {
            return;
        }
        let addresses = pod["status"]["podIPs"].as_array().map(Vec::as_slice).unwrap_or_default();
        for address in addresses.iter().filter_map(|address| address["ip"].as_str()?.parse().ok()) {
            self.owners.insert(address, AddressOwner::Pod(full_name(pod)));
        }
    }

    pub(super) fn add_service(&mut self, service: &Value) {
        let addresses = service["spec"]["clusterIPs"].as_array().map(Vec::as_slice).unwrap_or_default();
        // `None` is no address.
        for address in addresses.iter().filter_map(|address| address.as_str()?.parse().ok()) {
            self.owners.insert(address, AddressOwner::Service(full_name(service)));
        }
    }

    /// Whether pods have addresses of a family; `None` when no address is known.
    pub fn pods_have(&self, ipv4: bool) -> Option<bool> {
        let of_pods = self.owners.iter().filter(|(_, owner)| matches!(owner, AddressOwner::Pod(_)));
        let mut families = of_pods.map(|(address, _)| address.is_ipv4()).peekable();
        families.peek()?;
        Some(families.any(|family| family == ipv4))
    }
}

fn ranges(blocks: &[Value], of: &str) -> impl Iterator<Item = Range> {
    let blocks = blocks.iter().filter_map(|block| block.as_str()?.parse::<IpNet>().ok());
    blocks.map(move |block| Range { block: block.trunc(), of: of.into() })
}

fn full_name(object: &Value) -> Box<str> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name")).into()
}
