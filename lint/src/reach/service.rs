//! Ways through a Service.

use netpol_policy::evaluate::Endpoint;
use netpol_policy::model::{Cluster, Pod, Service, ServicePort, ServiceType, TargetPort, Traffic};

use super::port::Ask;
use super::route::{self, RouteError, Way};
use super::seen::Entry;

/// Every way from some sources through a Service.
pub(super) fn ways<'c>(
    cluster: &'c Cluster,
    service: &'c Service,
    entry: Entry<'c>,
    sources: &[Endpoint<'c>],
    ask: Option<&Ask>,
) -> Result<Vec<Way<'c>>, RouteError> {
    if service.service_type == ServiceType::ExternalName {
        return Err(RouteError::ExternalName(service.name.to_string()));
    }
    // A headless Service is only a name for its pods: nothing is translated, any port can be asked for.
    if service.headless && (service.ports.is_empty() || matches!(ask, Some(Ask::Traffic(_)))) {
        return headless(cluster, service, sources, ask);
    }
    let ports: Vec<_> = service.ports.iter().filter(|port| is_asked(port, entry, ask)).collect();
    if ports.is_empty() {
        return Err(no_such_port(service, ask));
    }
    let mut some = false;
    let mut ways = Vec::new();
    for port in ports {
        for (destination, number) in endpoints(cluster, service, port) {
            some = true;
            for source in sources.iter().copied() {
                if !entry.leads_to(service, source, destination) || !route::is_one_family(source, destination)
                {
                    continue;
                }
                let traffic = Some(Traffic::Port(port.protocol, number));
                let first_stop = entry.first_stop(cluster, service, port, source);
                ways.extend(entry.seen(cluster, service, source, destination).into_iter().map(|seen| Way {
                    source,
                    destination,
                    traffic,
                    through: Some(port),
                    first_stop,
                    seen,
                }));
            }
        }
    }
    match entry {
        _ if !some => Err(no_endpoints(cluster, service)),
        Entry::Node(node, _) if ways.is_empty() && service.external_traffic_local => {
            let why = format!(
                "none of its pods is on node {}, and with externalTrafficPolicy: Local a node leads to its own only",
                node.name
            );
            Err(RouteError::NoEndpoints { service: service.name.to_string(), why })
        }
        _ => Ok(ways),
    }
}

/// Whether a port of a Service is asked for: on a node by the port that it has there.
pub(super) fn is_asked(port: &ServicePort, entry: Entry<'_>, ask: Option<&Ask>) -> bool {
    let number = match entry {
        Entry::Node(..) => port.node_port,
        _ => Some(port.port),
    };
    match ask {
        None => true,
        Some(Ask::Traffic(traffic)) => {
            number.is_some_and(|number| *traffic == Traffic::Port(port.protocol, number))
        }
        Some(Ask::Named(protocol, name)) => {
            port.protocol == *protocol && port.name.as_deref() == Some(name.as_str())
        }
    }
}

fn headless<'c>(
    cluster: &'c Cluster,
    service: &'c Service,
    sources: &[Endpoint<'c>],
    ask: Option<&Ask>,
) -> Result<Vec<Way<'c>>, RouteError> {
    let mut slices = cluster.endpoint_slices.iter().filter(|slice| slice.service == service.name).peekable();
    let mut ends: Vec<Endpoint<'c>> = Vec::new();
    if slices.peek().is_some() {
        let listed = slices.flat_map(|slice| &slice.addresses);
        ends.extend(listed.map(|address| Endpoint::at(cluster, *address)));
    } else {
        ends.extend(selected(cluster, service).filter(|pod| !pod.finished).flat_map(route::ends));
    }
    ends.retain(|end| end.address().is_none_or(|address| service.families.has(address)));
    let mut targets = Vec::new();
    for end in ends {
        targets.extend(route::address_targets(end, ask)?);
    }
    if targets.is_empty() {
        return Err(no_endpoints(cluster, service));
    }
    Ok(route::direct(sources, targets))
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

/// The pods that a Service selects, also those that have ended.
fn selected<'c>(cluster: &'c Cluster, service: &'c Service) -> impl Iterator<Item = &'c Pod> {
    let selects = |pod: &Pod| service.selector.as_ref().is_some_and(|selector| selector.matches(&pod.labels));
    cluster.pods.iter().filter(move |pod| pod.name.namespace == service.name.namespace && selects(pod))
}

fn no_such_port(service: &Service, ask: Option<&Ask>) -> RouteError {
    let name = service.name.to_string();
    if matches!(ask, Some(Ask::Traffic(Traffic::Icmp | Traffic::Other(_)))) {
        return RouteError::NoIcmp(name);
    }
    let has: Vec<_> = service.ports.iter().map(shown).collect();
    match ask {
        Some(ask) if !has.is_empty() => {
            RouteError::NoSuchPort { service: name, port: ask.to_string(), has: crate::words::list(&has) }
        }
        _ => RouteError::NoPorts(name),
    }
}

fn no_endpoints(cluster: &Cluster, service: &Service) -> RouteError {
    let slices: Vec<_> =
        cluster.endpoint_slices.iter().filter(|slice| slice.service == service.name).collect();
    let listed = || slices.iter().flat_map(|slice| &slice.addresses);
    let mut pods = selected(cluster, service).peekable();
    let why = match &service.selector {
        _ if !slices.is_empty() => if listed().next().is_some() {
            if listed().any(|address| service.families.has(*address)) {
                "its EndpointSlices list no port of that name and protocol"
            } else {
                "its EndpointSlices list no address of its ipFamilies"
            }
        } else if slices.iter().any(|slice| slice.has_unready) {
            "its EndpointSlices list only endpoints that are not ready"
        } else {
            "its EndpointSlices list no endpoint"
        }
        .to_owned(),
        None => "it has no selector and no EndpointSlice is given; Endpoints objects are not read".to_owned(),
        Some(selector) if pods.peek().is_none() => format!("no pod given has the labels {selector}"),
        Some(_) => {
            let mut running = pods.filter(|pod| !pod.finished).peekable();
            if running.peek().is_none() {
                "all pods with its labels have ended".to_owned()
            } else if running.all(|pod| {
                !pod.addresses.is_empty() && !pod.addresses.iter().any(|ip| service.families.has(*ip))
            }) {
                "its pods have no address of its ipFamilies".to_owned()
            } else {
                "its pods declare no port of the name that targetPort asks for".to_owned()
            }
        }
    };
    RouteError::NoEndpoints { service: service.name.to_string(), why }
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
