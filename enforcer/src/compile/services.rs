//! Addresses of Services, where a packet's destination is not yet known.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netpol_policy::model::{Cluster, Protocol};

/// Where a packet to a Service is addressed before translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAddress {
    /// The cluster IP, external IP or load-balancer IP.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The Service's port.
    pub port: u16,
}

/// The addresses of all Services that lead somewhere. One without endpoints is translated by nobody, so its address is
/// an ordinary one. Node ports need no entry: what a pod sends to its own node is always decided where it leaves.
pub(super) fn services(cluster: &Cluster) -> BTreeSet<ServiceAddress> {
    let mut services = BTreeSet::new();
    for service in &cluster.services {
        for port in &service.ports {
            let endpoints = cluster.service_endpoints(service, port);
            if endpoints.iter().any(|endpoint| endpoint.address.is_some()) {
                let addresses = service.cluster_addresses.iter().chain(&service.external_addresses);
                services.extend(addresses.map(|address| ServiceAddress {
                    address: *address,
                    protocol: port.protocol,
                    port: port.port.get(),
                }));
            }
        }
    }
    services
}
