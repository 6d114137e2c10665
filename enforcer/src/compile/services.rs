//! Addresses of Services, where a packet's destination is not yet known.

use std::collections::BTreeSet;
use std::net::IpAddr;

use netpol_policy::model::{Protocol, Service};

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

/// The addresses of all Services, whether or not they lead somewhere now: what nobody translates is decided as what it
/// is addressed to, only later. Node ports need no entry: what a pod sends to its own node is always decided where it
/// leaves.
pub(super) fn services<'s>(services: impl IntoIterator<Item = &'s Service>) -> BTreeSet<ServiceAddress> {
    let of_service = |service: &Service| -> Vec<ServiceAddress> {
        let addresses = service.cluster_addresses.iter().chain(&service.external_addresses);
        let at = |address: &IpAddr| {
            let address = *address;
            service.ports.iter().map(move |port| ServiceAddress {
                address,
                protocol: port.protocol,
                port: port.port.get(),
            })
        };
        addresses.flat_map(at).collect()
    };
    services.into_iter().flat_map(of_service).collect()
}
