//! From names to addresses and ports.

use std::net::IpAddr;

use netpol_policy::model::{
    Cluster, Pod, PortName, Protocol, Service, ServicePort, TargetPort, Traffic, WorkloadKind,
};

use super::Question;

/// A packet as it is sent, and as it arrives after translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) source: IpAddr,
    /// The source that the destination sees: another one where the node speaks for it.
    pub(super) arrives_from: IpAddr,
    pub(super) sent_to: IpAddr,
    pub(super) sent: Traffic,
    pub(super) destination: IpAddr,
    pub(super) arrives: Traffic,
}

/// What a node knows of its own addresses.
pub(super) trait Here {
    /// The node's name.
    fn name(&self) -> &str;
    /// Whether an address is one of its own.
    fn owns(&self, address: IpAddr) -> bool;
    /// From which of them it speaks to somebody; `None` if it has no way there.
    fn speaks_from(&self, destination: IpAddr) -> Option<IpAddr>;
}

/// So many are asked about; a Service may have thousands of endpoints.
const MOST: usize = 64;

/// All ways from source to destination: one for each address family, and for each endpoint of a Service; and what should be said about
/// them.
pub(super) fn routes(
    cluster: &Cluster,
    question: &Question,
    here: &impl Here,
) -> Result<(Vec<Route>, Vec<String>), String> {
    let (protocol, port) = split(&question.port)?;
    let sources = match end(cluster, &question.from)? {
        To::Pod(pod) => pod.addresses.clone(),
        To::Address(address) => vec![address],
        To::Service(service) => {
            return Err(format!("{} is a Service: nothing is sent from one", service.name));
        }
    };
    let mut routes = Vec::new();
    let mut notes = Vec::new();
    match end(cluster, &question.to)? {
        To::Pod(pod) => {
            let traffic = traffic_to(pod, protocol, port)?;
            for destination in &pod.addresses {
                direct(&sources, *destination, traffic, &mut routes);
            }
        }
        To::Address(address) => {
            let traffic = match (cluster.owner(address), port) {
                (Some(pod), Port::Named(_)) => traffic_to(pod, protocol, port)?,
                _ => number_of(protocol, port)?,
            };
            match (translated(cluster, address, traffic), at_node_port(cluster, traffic)) {
                (Some((service, port)), _) => {
                    through(cluster, service, port, &[address], &sources, &mut routes)?;
                }
                (None, Some((service, port))) if here.owns(address) => {
                    let sent = (address, traffic);
                    through_node_port(cluster, service, port, sent, &sources, here, &mut routes, &mut notes)?;
                }
                (None, node_port) => {
                    direct(&sources, address, traffic, &mut routes);
                    let node = cluster.nodes.iter().find(|node| node.addresses.contains(&address));
                    if let (Some((service, _)), Some(node)) = (node_port, node) {
                        notes.push(format!(
                            "{address} is the node {}, and this its port of {}: what follows there can be asked of its agent, from the \
                             address that arrives",
                            node.name, service.name
                        ));
                    }
                }
            }
        }
        To::Service(service) => {
            let port = service_port(service, protocol, port)?;
            if service.cluster_addresses.is_empty() && !service.headless {
                return Err(format!("{} has no cluster IP", service.name));
            }
            through(cluster, service, port, &service.cluster_addresses, &sources, &mut routes)?;
        }
    }
    if routes.is_empty() {
        return Err(format!("{} and {} have no address family in common", question.from, question.to));
    }
    if routes.len() > MOST {
        notes.push(format!("{MOST} of {} ways are shown", routes.len()));
        routes.truncate(MOST);
    }
    Ok((routes, notes))
}

enum To<'c> {
    Pod(&'c Pod),
    Service(&'c Service),
    Address(IpAddr),
}

#[derive(Clone, Copy)]
enum Port<'q> {
    Number(i64),
    Named(&'q str),
    /// ICMP has none.
    None,
}

fn end<'c>(cluster: &'c Cluster, text: &str) -> Result<To<'c>, String> {
    if let Ok(address) = text.parse() {
        return Ok(To::Address(address));
    }
    let Some((namespace, name)) = text.split_once('/') else {
        return Err(format!("`{text}` is neither NAMESPACE/NAME nor an address"));
    };
    let pod = cluster.pods.iter().find(|pod| {
        pod.name.kind == WorkloadKind::Pod && *pod.name.namespace == *namespace && *pod.name.name == *name
    });
    if let Some(pod) = pod {
        return match (pod.finished, pod.addresses.is_empty()) {
            (true, _) => Err(format!("the pod {text} has ended")),
            (false, true) => Err(format!("the pod {text} has no address yet")),
            (false, false) => Ok(To::Pod(pod)),
        };
    }
    let service = cluster.services.iter().find(|s| *s.name.namespace == *namespace && *s.name.name == *name);
    service.map(To::Service).ok_or_else(|| format!("there is neither a pod nor a Service {text}"))
}

fn split(text: &str) -> Result<(Protocol, Port<'_>), String> {
    if text.eq_ignore_ascii_case("icmp") || text.eq_ignore_ascii_case("ping") {
        return Ok((Protocol::Tcp, Port::None));
    }
    let (port, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((port, name)) => {
            let known = Protocol::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name));
            (port, known.ok_or_else(|| format!("`{name}` is not TCP, UDP or SCTP"))?)
        }
    };
    if port.is_empty() {
        return Err(format!("`{text}` names no port"));
    }
    Ok((protocol, port.parse().map_or(Port::Named(port), Port::Number)))
}

fn number_of(protocol: Protocol, port: Port<'_>) -> Result<Traffic, String> {
    match port {
        Port::None => Ok(Traffic::Icmp),
        Port::Number(number) => Traffic::port(protocol, number).map_err(|error| error.to_string()),
        Port::Named(name) => Err(format!("what port `{name}` is can only be said for a pod or a Service")),
    }
}

fn traffic_to(pod: &Pod, protocol: Protocol, port: Port<'_>) -> Result<Traffic, String> {
    let Port::Named(name) = port else { return number_of(protocol, port) };
    let known = PortName::new(name).ok().and_then(|name| pod.named_ports(protocol, &name).next());
    let number =
        known.ok_or_else(|| format!("{} declares no {} port named `{name}`", pod.name, protocol.as_str()))?;
    Ok(Traffic::Port(protocol, number))
}

fn service_port<'c>(
    service: &'c Service,
    protocol: Protocol,
    port: Port<'_>,
) -> Result<&'c ServicePort, String> {
    let is = |candidate: &&ServicePort| {
        candidate.protocol == protocol
            && match port {
                Port::Number(number) => i64::from(candidate.port.get()) == number,
                Port::Named(name) => candidate.name.as_deref() == Some(name),
                Port::None => false,
            }
    };
    service.ports.iter().find(is).ok_or_else(|| {
        let ports: Vec<String> =
            service.ports.iter().map(|port| format!("{}/{}", port.port, port.protocol.as_str())).collect();
        format!("the Service {} has other ports: {}", service.name, ports.join(", "))
    })
}

/// The Service behind an address and port.
fn translated(cluster: &Cluster, address: IpAddr, traffic: Traffic) -> Option<(&Service, &ServicePort)> {
    let Traffic::Port(protocol, number) = traffic else { return None };
    let services = cluster.services.iter().filter(|service| {
        service.cluster_addresses.contains(&address) || service.external_addresses.contains(&address)
    });
    services
        .flat_map(|service| service.ports.iter().map(move |port| (service, port)))
        .find(|(_, port)| port.protocol == protocol && port.port == number)
}

/// The Service that has a port on every node.
fn at_node_port(cluster: &Cluster, traffic: Traffic) -> Option<(&Service, &ServicePort)> {
    let Traffic::Port(protocol, number) = traffic else { return None };
    let ports =
        cluster.services.iter().flat_map(|service| service.ports.iter().map(move |port| (service, port)));
    ports.into_iter().find(|(_, port)| port.protocol == protocol && port.node_port == Some(number))
}

/// Through a port of this node. What goes on from there has the node's address, unless the Service keeps the client's; then pods get any
/// endpoint, and others those of this node.
#[allow(clippy::too_many_arguments)]
fn through_node_port(
    cluster: &Cluster,
    service: &Service,
    port: &ServicePort,
    (sent_to, sent): (IpAddr, Traffic),
    sources: &[IpAddr],
    here: &impl Here,
    routes: &mut Vec<Route>,
    notes: &mut Vec<String>,
) -> Result<(), String> {
    let name = &service.name;
    let endpoints = cluster.service_endpoints(service, port);
    if endpoints.iter().all(|endpoint| endpoint.address.is_none()) {
        return Err(format!("nothing is behind the Service {name}"));
    }
    let of_family = |address: IpAddr| address.is_ipv4() == sent_to.is_ipv4();
    let mut nowhere = false;
    for source in sources.iter().copied().filter(|source| of_family(*source)) {
        let inside = cluster.owner(source).is_some() || here.owns(source);
        let kept = service.external_traffic_local || here.owns(source);
        let mut some = false;
        for endpoint in &endpoints {
            let Some(destination) = endpoint.address.filter(|address| of_family(*address)) else { continue };
            let local = endpoint.pod.is_some_and(|pod| pod.node.as_deref() == Some(here.name()));
            if service.external_traffic_local && !inside && !local {
                continue;
            }
            let speaker = if kept { Some(source) } else { here.speaks_from(destination) };
            let Some(arrives_from) = speaker else {
                notes.push(format!("this node has no way to {destination}"));
                continue;
            };
            let arrives = Traffic::Port(port.protocol, endpoint.port);
            routes.push(Route { source, arrives_from, sent_to, sent, destination, arrives });
            some = true;
        }
        nowhere |= !some;
    }
    if routes.is_empty() && nowhere && service.external_traffic_local {
        return Err(format!(
            "no pod behind {name} is on this node, and its externalTrafficPolicy is Local: nothing that is sent here arrives"
        ));
    }
    Ok(())
}

fn direct(sources: &[IpAddr], destination: IpAddr, traffic: Traffic, routes: &mut Vec<Route>) {
    let of_family = sources.iter().filter(|source| source.is_ipv4() == destination.is_ipv4());
    routes.extend(of_family.map(|source| Route {
        source: *source,
        arrives_from: *source,
        sent_to: destination,
        sent: traffic,
        destination,
        arrives: traffic,
    }));
}

fn through(
    cluster: &Cluster,
    service: &Service,
    port: &ServicePort,
    addresses: &[IpAddr],
    sources: &[IpAddr],
    routes: &mut Vec<Route>,
) -> Result<(), String> {
    // A port that names none of a pod's leads nowhere, like a Service without pods.
    if let TargetPort::Name(name) = &port.target
        && cluster.service_endpoints(service, port).is_empty()
    {
        return Err(format!("no pod behind {} declares the port `{}`", service.name, name.as_str()));
    }
    let endpoints = cluster.service_endpoints(service, port);
    if endpoints.iter().all(|endpoint| endpoint.address.is_none()) {
        return Err(format!("nothing is behind the Service {}", service.name));
    }
    for endpoint in endpoints {
        let Some(destination) = endpoint.address else { continue };
        let arrives = Traffic::Port(port.protocol, endpoint.port);
        if service.headless {
            direct(sources, destination, arrives, routes);
            continue;
        }
        for sent_to in addresses.iter().filter(|address| address.is_ipv4() == destination.is_ipv4()) {
            for source in sources.iter().filter(|source| source.is_ipv4() == destination.is_ipv4()) {
                let sent = Traffic::Port(port.protocol, port.port);
                routes.push(Route {
                    source: *source,
                    arrives_from: *source,
                    sent_to: *sent_to,
                    sent,
                    destination,
                    arrives,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop}, spec: {nodeName: one}, status: {podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::2'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}},
 spec: {nodeName: one, containers: [{name: db, ports: [{name: sql, containerPort: 3306}]}]}, status: {podIPs: [{ip: 10.0.0.3}, {ip: 'fd00::3'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: young, namespace: shop}}
---
{apiVersion: v1, kind: Service, metadata: {name: data, namespace: shop},
 spec: {selector: {app: db}, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1], ports: [{name: main, port: 33, targetPort: sql}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: hidden, namespace: shop},
 spec: {type: NodePort, selector: {app: db}, clusterIP: 10.96.0.2, ports: [{port: 34, targetPort: sql, nodePort: 30001}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: kept, namespace: shop},
 spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: db}, clusterIP: 10.96.0.3, ports: [{port: 35, targetPort: sql, nodePort: 30002}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: elsewhere, namespace: shop},
 spec: {type: NodePort, externalTrafficPolicy: Local, selector: {app: far}, clusterIP: 10.96.0.4, ports: [{port: 36, nodePort: 30003}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: far, namespace: shop, labels: {app: far}}, spec: {nodeName: two}, status: {podIPs: [{ip: 10.0.1.2}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: two}, status: {addresses: [{type: InternalIP, address: 172.18.0.3}]}}
";

    /// The node `one`, which speaks from the first address of the pods' range.
    struct One;

    impl Here for One {
        fn name(&self) -> &str {
            "one"
        }

        fn owns(&self, address: IpAddr) -> bool {
            ["172.18.0.2", "10.0.0.1"].contains(&address.to_string().as_str())
        }

        fn speaks_from(&self, _: IpAddr) -> Option<IpAddr> {
            "10.0.0.1".parse().ok()
        }
    }

    #[test]
    fn node_ports_lead_where_services_do() {
        let by_port = |from: &str, port: &str| ask(from, "172.18.0.2", port);
        let routes = |source: &str, arrives_from: &str, port: u16, to: &str| {
            vec![format!("{source}={arrives_from} 172.18.0.2 {port}/TCP {to}/TCP")]
        };
        // The node speaks for whoever asks.
        assert_eq!(
            by_port("192.0.2.1", "30001"),
            Ok(routes("192.0.2.1", "10.0.0.1", 30_001, "10.0.0.3 3306"))
        );
        assert_eq!(by_port("shop/web", "30001"), Ok(routes("10.0.0.2", "10.0.0.1", 30_001, "10.0.0.3 3306")));
        // The client's address is kept, also that of the node itself.
        assert_eq!(
            by_port("192.0.2.1", "30002"),
            Ok(routes("192.0.2.1", "192.0.2.1", 30_002, "10.0.0.3 3306"))
        );
        assert_eq!(
            by_port("172.18.0.2", "30001"),
            Ok(routes("172.18.0.2", "172.18.0.2", 30_001, "10.0.0.3 3306"))
        );
        // Pods may be sent to another node, others not.
        assert_eq!(by_port("shop/web", "30003"), Ok(routes("10.0.0.2", "10.0.0.2", 30_003, "10.0.1.2 36")));
        let error = by_port("192.0.2.1", "30003").expect_err("nothing is there");
        assert!(error.contains("no pod behind shop/elsewhere is on this node"), "{error}");
        // Another node, another protocol, or a port of nobody.
        for (to, port) in [("172.18.0.3", "30001"), ("172.18.0.2", "30001/UDP"), ("172.18.0.2", "30009")] {
            let straight = format!(
                "192.0.2.1 {to} {0} {to} {0}",
                if port.contains('/') { port.into() } else { format!("{port}/TCP") }
            );
            assert_eq!(ask("192.0.2.1", to, port), Ok(vec![straight]));
        }
    }

    fn ask(from: &str, to: &str, port: &str) -> Result<Vec<String>, String> {
        let manifest = netpol_policy::source::Manifest::read(OBJECTS, "default");
        assert_eq!(manifest.errors, []);
        let cluster = netpol_policy::source::cluster([&manifest]);
        let question = Question { from: from.into(), to: to.into(), port: port.into() };
        let routes = routes(&cluster, &question, &One)?.0;
        Ok(routes
            .iter()
            .map(|route| {
                let port = |traffic: Traffic| match traffic {
                    Traffic::Port(protocol, port) => format!("{port}/{}", protocol.as_str()),
                    _ => "icmp".into(),
                };
                let (sent, arrives) = (port(route.sent), port(route.arrives));
                let mut source = route.source.to_string();
                if [30_001, 30_002, 30_003].iter().any(|port| sent == format!("{port}/TCP"))
                    && route.sent_to != route.destination
                {
                    source = format!("{source}={}", route.arrives_from);
                }
                format!("{source} {} {sent} {} {arrives}", route.sent_to, route.destination)
            })
            .collect())
    }

    #[test]
    fn names_become_addresses() {
        let both = |port: &str| {
            vec![
                format!("10.0.0.2 10.0.0.3 {port} 10.0.0.3 {port}"),
                format!("fd00::2 fd00::3 {port} fd00::3 {port}"),
            ]
        };
        assert_eq!(ask("shop/web", "shop/db", "22"), Ok(both("22/TCP")));
        assert_eq!(ask("shop/web", "shop/db", "sql"), Ok(both("3306/TCP")));
        assert_eq!(ask("shop/web", "shop/db", "53/udp"), Ok(both("53/UDP")));
        assert_eq!(ask("shop/web", "shop/db", "icmp"), Ok(both("icmp")));
        let service = vec!["10.0.0.2 10.96.0.1 33/TCP 10.0.0.3 3306/TCP".to_owned()];
        assert_eq!(ask("shop/web", "shop/data", "33"), Ok(service.clone()));
        assert_eq!(ask("shop/web", "shop/data", "main"), Ok(service.clone()));
        assert_eq!(ask("shop/web", "10.96.0.1", "33"), Ok(service));
        let outside = vec!["192.0.2.1 10.0.0.3 3306/TCP 10.0.0.3 3306/TCP".to_owned()];
        assert_eq!(ask("192.0.2.1", "10.0.0.3", "sql"), Ok(outside));
    }

    #[test]
    fn what_can_t_be_asked_says_why() {
        for (from, to, port, words) in [
            ("shop/none", "shop/db", "1", "neither a pod nor a Service shop/none"),
            ("web", "shop/db", "1", "neither NAMESPACE/NAME nor an address"),
            ("shop/data", "shop/db", "1", "nothing is sent from one"),
            ("shop/web", "shop/young", "1", "no address yet"),
            ("shop/web", "shop/data", "34", "other ports: 33/TCP"),
            ("shop/web", "shop/db", "0", "0"),
            ("shop/web", "shop/db", "1/ICMP", "`ICMP` is not TCP, UDP or SCTP"),
            ("shop/web", "shop/db", "admin", "declares no TCP port named `admin`"),
            ("shop/web", "192.0.2.1", "http", "can only be said for a pod or a Service"),
            ("192.0.2.1", "fd00::3", "1", "no address family in common"),
        ] {
            let error = ask(from, to, port).expect_err("an error");
            assert!(error.contains(words), "{error}");
        }
    }
}
