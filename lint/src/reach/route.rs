//! From what was asked to flows between endpoints.

use netpol_policy::evaluate::Endpoint;
use netpol_policy::model::{Cluster, Pod, PortName, Protocol, ServicePort, Traffic};
use thiserror::Error;

use super::name::Named;
use super::port::Ask;
use super::seen::Seen;
use super::service;

/// One way from the source to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way<'c> {
    pub(super) source: Endpoint<'c>,
    pub(super) destination: Endpoint<'c>,
    /// What arrives; everything when `None`.
    pub(super) traffic: Option<Traffic>,
    /// The port of the Service that leads there.
    pub(super) through: Option<&'c ServicePort>,
    /// Where the source's side looks instead of at the destination.
    pub(super) first_stop: Option<(Endpoint<'c>, Traffic)>,
    /// What the destination sees of the source.
    pub(super) seen: Seen,
}

/// Why nothing leads from one to the other.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RouteError {
    /// The Service has other ports.
    #[error("Service {service} has no port {port}; it has {has}")]
    NoSuchPort {
        /// The Service.
        service: String,
        /// What was asked for.
        port: String,
        /// Its ports.
        has: String,
    },
    /// Nothing is behind the Service.
    #[error("Service {service} leads nowhere: {why}")]
    NoEndpoints {
        /// The Service.
        service: String,
        /// Why.
        why: String,
    },
    /// A Service without ports.
    #[error("Service {0} has no ports: name one of the pods behind it")]
    NoPorts(String),
    /// A name of something elsewhere.
    #[error(
        "Service {0} is of the type ExternalName: only a name for a host elsewhere; ask for that host's address"
    )]
    ExternalName(String),
    /// A Service translates ports only.
    #[error("Service {0} passes on its ports and no ICMP: name one of the pods behind it")]
    NoIcmp(String),
    /// No container declares a port of that name.
    #[error("{pod} declares no port named {port}; write its number")]
    NotDeclared {
        /// The pod.
        pod: String,
        /// The name and protocol.
        port: String,
    },
    /// An address declares no ports.
    #[error("{0} is an address, which names no ports; write the number")]
    NoNames(String),
    /// One has IPv4 addresses only, the other IPv6.
    #[error("{from} and {to} have no addresses of one family")]
    Families {
        /// The source.
        from: String,
        /// The destination.
        to: String,
    },
}

/// Every way; never empty.
pub(super) fn ways<'c>(
    cluster: &'c Cluster,
    from: &Named<'c>,
    to: &Named<'c>,
    ask: Option<&Ask>,
) -> Result<Vec<Way<'c>>, RouteError> {
    let sources = match from {
        Named::Address(address) => vec![Endpoint::at(cluster, *address)],
        Named::Pod(pod) => ends(pod),
        Named::Service(..) => Vec::new(),
    };
    let ways = match to {
        Named::Address(address) => direct(&sources, address_targets(Endpoint::at(cluster, *address), ask)?),
        Named::Pod(pod) => direct(&sources, pod_targets(pod, ask)?),
        Named::Service(service, entry) => service::ways(cluster, service, *entry, &sources, ask)?,
    };
    if ways.is_empty() {
        return Err(RouteError::Families { from: from.to_string(), to: to.to_string() });
    }
    Ok(ways)
}

type Target<'c> = (Endpoint<'c>, Option<Traffic>);

/// From each source to each target of its family.
pub(super) fn direct<'c>(sources: &[Endpoint<'c>], targets: Vec<Target<'c>>) -> Vec<Way<'c>> {
    let mut ways = Vec::new();
    for (destination, traffic) in targets {
        for source in sources.iter().copied().filter(|source| is_one_family(*source, destination)) {
            let (through, first_stop, seen) = (None, None, Seen::Opener);
            ways.push(Way { source, destination, traffic, through, first_stop, seen });
        }
    }
    ways
}

/// Whether two ends are of one family, as far as their addresses are known.
pub(super) fn is_one_family(source: Endpoint<'_>, destination: Endpoint<'_>) -> bool {
    source.address().zip(destination.address()).is_none_or(|(a, b)| a.is_ipv4() == b.is_ipv4())
}

pub(super) fn address_targets<'c>(
    end: Endpoint<'c>,
    ask: Option<&Ask>,
) -> Result<Vec<Target<'c>>, RouteError> {
    match (end.as_pod(), ask) {
        (Some(pod), Some(Ask::Named(protocol, name))) => {
            Ok(declared(pod, *protocol, name)?.into_iter().map(|traffic| (end, Some(traffic))).collect())
        }
        (None, Some(Ask::Named(..))) => Err(RouteError::NoNames(end.to_string())),
        (_, Some(Ask::Traffic(traffic))) => Ok(vec![(end, Some(*traffic))]),
        (_, None) => Ok(vec![(end, None)]),
    }
}

fn pod_targets<'c>(pod: &'c Pod, ask: Option<&Ask>) -> Result<Vec<Target<'c>>, RouteError> {
    let mut targets = Vec::new();
    for end in ends(pod) {
        targets.extend(address_targets(end, ask)?);
    }
    Ok(targets)
}

/// A pod at each of its addresses; at none when none is known.
pub(super) fn ends(pod: &Pod) -> Vec<Endpoint<'_>> {
    if pod.addresses.is_empty() {
        return vec![Endpoint::pod(pod)];
    }
    pod.addresses.iter().map(|address| Endpoint::pod_at(pod, *address)).collect()
}

fn declared(pod: &Pod, protocol: Protocol, name: &PortName) -> Result<Vec<Traffic>, RouteError> {
    let found: Vec<_> = pod.named_ports(protocol, name).map(|port| Traffic::Port(protocol, port)).collect();
    if found.is_empty() {
        return Err(RouteError::NotDeclared {
            pod: pod.name.to_string(),
            port: format!("{name}/{protocol}"),
        });
    }
    Ok(found)
}
