//! Services and their endpoints.

use std::net::IpAddr;
use std::num::NonZeroU16;

use super::name::ObjectName;
use super::port::{PortName, Protocol};
use super::selector::LabelSelector;

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Namespace and name.
    pub name: ObjectName,
    /// From where it can be reached.
    pub service_type: ServiceType,
    /// Pods behind it; `None` when endpoints are managed by hand.
    pub selector: Option<LabelSelector>,
    /// `clusterIPs`; none when headless or when the manifest doesn't say.
    pub cluster_addresses: Vec<IpAddr>,
    /// `externalIPs` and the addresses of the load balancer.
    pub external_addresses: Vec<IpAddr>,
    /// Those of them where a load balancer takes connections in itself and opens others (`ipMode: Proxy`).
    pub proxied_addresses: Vec<IpAddr>,
    /// The address families that it has.
    pub families: Families,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// `clusterIP: None`.
    pub headless: bool,
    /// `externalTrafficPolicy: Local`: node ports and load balancers keep the client's address.
    pub external_traffic_local: bool,
    /// Its load balancer is asked to send to the pods themselves, past the nodes.
    pub balances_to_pods: bool,
}

/// Address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the families")]
pub struct Families {
    pub ipv4: bool,
    pub ipv6: bool,
}

/// `type` of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ServiceType {
    /// From within the cluster.
    #[default]
    ClusterIp,
    /// At a port of every node as well.
    NodePort,
    /// Through a load balancer as well.
    LoadBalancer,
    /// Only a name of something elsewhere.
    ExternalName,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, needed when there are several.
    pub name: Option<Box<str>>,
    /// The protocol, TCP by default.
    pub protocol: Protocol,
    /// The port of the Service.
    pub port: NonZeroU16,
    /// The port of the pods.
    pub target: TargetPort,
    /// The port on every node, for NodePort and LoadBalancer.
    pub node_port: Option<NonZeroU16>,
}

/// Where a Service port leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// A number.
    Number(NonZeroU16),
    /// The name of a container port.
    Name(PortName),
}

/// One pod and port that a Service port leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEndpoint<'c> {
    /// The pod; `None` for an address that is no pod's.
    pub pod: Option<&'c super::Pod>,
    /// The address, where one is known.
    pub address: Option<IpAddr>,
    /// The port there.
    pub port: NonZeroU16,
}

/// An EndpointSlice: the addresses behind a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The Service, by the label `kubernetes.io/service-name`.
    pub service: ObjectName,
    /// Addresses of endpoints that are not known to be unready.
    pub addresses: Vec<IpAddr>,
    /// Whether endpoints are listed that are not ready.
    pub has_unready: bool,
    /// Name, protocol and number of its ports.
    pub ports: Vec<(Option<Box<str>>, Protocol, NonZeroU16)>,
}

impl Families {
    /// Both.
    pub const BOTH: Self = Self { ipv4: true, ipv6: true };

    /// The families of some addresses.
    pub fn of(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        addresses.into_iter().fold(Self { ipv4: false, ipv6: false }, |known, address| Self {
            ipv4: known.ipv4 || address.is_ipv4(),
            ipv6: known.ipv6 || address.is_ipv6(),
        })
    }

    /// Whether an address is of one of them.
    pub fn has(self, address: IpAddr) -> bool {
        if address.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}
