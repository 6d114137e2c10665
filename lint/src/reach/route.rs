//! From what was asked to flows between endpoints.

use netpol_policy::evaluate::Endpoint;
use netpol_policy::model::{Cluster, Pod, PortName, Protocol, Service, ServicePort, TargetPort, Traffic};
use thiserror::Error;

use super::name::Named;
use super::port::Ask;

/// One way from the source to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way<'c> {
    pub(super) source: Endpoint<'c>,
    pub(super) destination: Endpoint<'c>,
    /// What arrives; everything when `None`.
    pub(super) traffic: Option<Traffic>,
    /// The port of the Service that leads there.
    pub(super) through: Option<&'c ServicePort>,
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
    let targets = match to {
        Named::Address(address) => address_targets(Endpoint::at(cluster, *address), ask)?,
        Named::Pod(pod) => pod_targets(pod, ask)?,
        Named::Service(service) => service_targets(cluster, service, ask)?,
    };
    let sources = match from {
        Named::Address(address) => vec![Endpoint::at(cluster, *address)],
        Named::Pod(pod) => ends(pod),
        Named::Service(_) => Vec::new(),
    };
    let mut ways = Vec::new();
    for (destination, traffic, through) in targets {
        for source in &sources {
            let families = source.address().zip(destination.address());
            if families.is_none_or(|(a, b)| a.is_ipv4() == b.is_ipv4()) {
                ways.push(Way { source: *source, destination, traffic, through });
            }
        }
    }
    if ways.is_empty() {
        return Err(RouteError::Families { from: from.to_string(), to: to.to_string() });
    }
    Ok(ways)
}

type Target<'c> = (Endpoint<'c>, Option<Traffic>, Option<&'c ServicePort>);

fn address_targets<'c>(end: Endpoint<'c>, ask: Option<&Ask>) -> Result<Vec<Target<'c>>, RouteError> {
    match (end.as_pod(), ask) {
        (Some(pod), Some(Ask::Named(protocol, name))) => Ok(declared(pod, *protocol, name)?
            .into_iter()
            .map(|traffic| (end, Some(traffic), None))
            .collect()),
        (None, Some(Ask::Named(..))) => Err(RouteError::NoNames(end.to_string())),
        (_, Some(Ask::Traffic(traffic))) => Ok(vec![(end, Some(*traffic), None)]),
        (_, None) => Ok(vec![(end, None, None)]),
    }
}

fn pod_targets<'c>(pod: &'c Pod, ask: Option<&Ask>) -> Result<Vec<Target<'c>>, RouteError> {
    let mut targets = Vec::new();
    for end in ends(pod) {
        targets.extend(address_targets(end, ask)?);
    }
    Ok(targets)
}

fn service_targets<'c>(
    cluster: &'c Cluster,
    service: &'c Service,
    ask: Option<&Ask>,
) -> Result<Vec<Target<'c>>, RouteError> {
    let asked = |port: &&ServicePort| match ask {
        None => true,
        Some(Ask::Traffic(traffic)) => *traffic == Traffic::Port(port.protocol, port.port),
        Some(Ask::Named(protocol, name)) => {
            port.protocol == *protocol && port.name.as_deref() == Some(name.as_str())
        }
    };
    let ports: Vec<_> = service.ports.iter().filter(asked).collect();
    // A headless Service is only a name for its pods: nothing is translated, any port can be asked for.
    if service.headless
        && let Some(Ask::Traffic(traffic)) = ask
    {
        let mut targets: Vec<Target<'c>> = Vec::new();
        for (end, _) in service.ports.iter().flat_map(|port| endpoints(cluster, service, port)) {
            if !targets.iter().any(|(known, ..)| *known == end) {
                targets.push((end, Some(*traffic), None));
            }
        }
        return if targets.is_empty() { Err(no_endpoints(cluster, service)) } else { Ok(targets) };
    }
    if ports.is_empty() {
        if matches!(ask, Some(Ask::Traffic(Traffic::Icmp | Traffic::Other(_)))) {
            return Err(RouteError::NoIcmp(service.name.to_string()));
        }
        let has: Vec<_> = service.ports.iter().map(shown).collect();
        return Err(RouteError::NoSuchPort {
            service: service.name.to_string(),
            port: ask.map_or_else(|| "at all".to_owned(), ToString::to_string),
            has: if has.is_empty() { "none".to_owned() } else { crate::words::list(&has) },
        });
    }
    let behind = |port: &'c ServicePort| {
        let ends = endpoints(cluster, service, port).into_iter();
        ends.map(move |(end, number)| (end, Some(Traffic::Port(port.protocol, number)), Some(port)))
    };
    let targets: Vec<_> = ports.into_iter().flat_map(behind).collect();
    if targets.is_empty() { Err(no_endpoints(cluster, service)) } else { Ok(targets) }
}

fn endpoints<'c>(
    cluster: &'c Cluster,
    service: &'c Service,
    port: &'c ServicePort,
) -> Vec<(Endpoint<'c>, std::num::NonZeroU16)> {
    let found = cluster.service_endpoints(service, port).into_iter().filter_map(|behind| {
        let end = match (behind.pod, behind.address) {
            (Some(pod), Some(address)) => Endpoint::pod_at(pod, address),
            (Some(pod), None) => Endpoint::pod(pod),
            (None, Some(address)) => Endpoint::outside(address),
            (None, None) => return None,
        };
        Some((end, behind.port))
    });
    found.collect()
}

fn no_endpoints(cluster: &Cluster, service: &Service) -> RouteError {
    let why = match &service.selector {
        None => "it has no selector and no EndpointSlice is given".to_owned(),
        Some(selector) => {
            let selected = cluster.pods.iter().any(|pod| {
                pod.name.namespace == service.name.namespace && !pod.finished && selector.matches(&pod.labels)
            });
            if selected {
                "its pods declare no port of the name that targetPort asks for".to_owned()
            } else {
                format!("no pod given has the labels {selector}")
            }
        }
    };
    RouteError::NoEndpoints { service: service.name.to_string(), why }
}

/// A pod at each of its addresses; at none when none is known.
fn ends(pod: &Pod) -> Vec<Endpoint<'_>> {
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

/// `http (80/TCP)`, `80/TCP`.
fn shown(port: &ServicePort) -> String {
    let number = format!("{}/{}", port.port, port.protocol);
    port.name.as_ref().map_or(number.clone(), |name| format!("{name} ({number})"))
}

/// `80/TCP to http` for a port of a Service and where it leads.
pub(super) fn translation(port: &ServicePort) -> String {
    let target = match &port.target {
        TargetPort::Number(number) => number.to_string(),
        TargetPort::Name(name) => name.to_string(),
    };
    format!("{}/{} to {target}", port.port, port.protocol)
}
