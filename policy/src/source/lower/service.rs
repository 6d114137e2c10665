//! Services and EndpointSlices.

use std::net::IpAddr;
use std::num::NonZeroU16;

use crate::model::{
    EndpointSlice, Families, LabelSelector, ObjectName, PortName, Requirement, Service, ServicePort,
    ServiceType, TargetPort, port_number,
};
use crate::source::problem::ProblemKind;
use crate::syntax::{Node, Value};

use super::address::parse_address;
use super::context::Context;
use super::metadata::{Metadata, labels_of, present};
use super::path::Path;
use super::pod::protocol;

/// The label that ties an EndpointSlice to its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Annotations that ask a load balancer to send to the pods themselves.
const TO_PODS: [(&str, &str); 2] = [
    ("service.beta.kubernetes.io/aws-load-balancer-nlb-target-type", "ip"),
    ("service.beta.kubernetes.io/aws-load-balancer-type", "nlb-ip"),
];

/// A Service. One of the type ExternalName is only a name and has no endpoints.
pub(in crate::source) fn service(context: &mut Context, node: Node<'_>, metadata: &Metadata) -> Service {
    let name = ObjectName::new(metadata.namespace.clone(), metadata.name.clone());
    let mut service = Service {
        name,
        service_type: ServiceType::default(),
        selector: None,
        cluster_addresses: Vec::new(),
        external_addresses: Vec::new(),
        proxied_addresses: Vec::new(),
        families: Families::BOTH,
        ports: Vec::new(),
        headless: false,
        external_traffic_local: false,
        balances_to_pods: metadata
            .source
            .annotations
            .iter()
            .any(|(key, value)| TO_PODS.contains(&(&*key.value, &*value.value))),
    };
    let Some(spec) = node.get("spec") else { return service };
    let text = |key: &str| spec.get(key).and_then(Node::as_str);
    let path = Path::ROOT.field("spec");
    service.service_type = match text("type") {
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => ServiceType::ExternalName,
        _ => ServiceType::ClusterIp,
    };
    if service.service_type != ServiceType::ExternalName {
        let labels = labels_of(context, spec.entry("selector"), &path.field("selector"));
        if !labels.is_empty() {
            let requirements = labels.into_iter().map(|(key, value)| Requirement::equals(key, value));
            service.selector = Some(LabelSelector::new(requirements));
        }
    }
    service.headless = text("clusterIP") == Some("None");
    service.external_traffic_local = text("externalTrafficPolicy") == Some("Local");
    let one = text("clusterIP").and_then(parse_address);
    service.cluster_addresses = addresses(one, texts(spec.get("clusterIPs")));
    service.families = families(spec, &service.cluster_addresses);
    let balancer = node.get("status").and_then(|status| status.get("loadBalancer")?.get("ingress"));
    let balancer: Vec<_> = balancer.into_iter().flat_map(Node::items).map(|item| item.value).collect();
    let address = |ingress: Node<'_>| ingress.get("ip").and_then(Node::as_str).and_then(parse_address);
    let is_proxy = |ingress: &Node<'_>| ingress.get("ipMode").and_then(Node::as_str) == Some("Proxy");
    service.proxied_addresses = balancer.iter().copied().filter(is_proxy).filter_map(address).collect();
    let listed = texts(spec.get("externalIPs")).filter_map(parse_address);
    service.external_addresses = each_once(listed.chain(balancer.iter().copied().filter_map(address)));
    let ports_path = path.field("ports");
    for (index, item) in spec.get("ports").into_iter().flat_map(Node::items).enumerate() {
        let path = ports_path.index(index);
        service.ports.extend(service_port(context, item.value, &path));
    }
    service
}

/// The families of a Service. One that asks for both gets those that the cluster has, and so may one that says nothing:
/// then pods of either family are behind it.
fn families(spec: Node<'_>, cluster_addresses: &[IpAddr]) -> Families {
    let policy = spec.get("ipFamilyPolicy").and_then(Node::as_str);
    if matches!(policy, Some("PreferDualStack" | "RequireDualStack")) {
        return Families::BOTH;
    }
    let named = |family| texts(spec.get("ipFamilies")).any(|named| named == family);
    let listed = Families { ipv4: named("IPv4"), ipv6: named("IPv6") };
    let none = Families { ipv4: false, ipv6: false };
    [listed, Families::of(cluster_addresses.iter().copied())]
        .into_iter()
        .find(|families| *families != none)
        .unwrap_or(Families::BOTH)
}

fn service_port(context: &mut Context, node: Node<'_>, path: &Path<'_>) -> Option<ServicePort> {
    let protocol = protocol(node)?;
    let Some(number) = node.get("port") else {
        context.problem(
            ProblemKind::InvalidPort,
            node.span(),
            &path.field("port"),
            "a Service's port needs `port`",
        );
        return None;
    };
    let Some(port) = port_of(number) else {
        let message = "`port` must be a number from 1 to 65535";
        context.problem(ProblemKind::InvalidPort, number.span(), &path.field("port"), message);
        return None;
    };
    let target = match present(node.entry("targetPort")) {
        None => TargetPort::Number(port),
        Some(target) => match (port_of(target), target.as_str().map(PortName::new)) {
            (Some(number), _) => TargetPort::Number(number),
            (None, Some(Ok(name))) => TargetPort::Name(name),
            // The API server takes a missing and an empty one as the same.
            (None, None) if target.value() == Some(Value::Int(0)) => TargetPort::Number(port),
            _ => {
                let message =
                    "`targetPort` must be a number from 1 to 65535 or the name of a container's port";
                context.problem(ProblemKind::InvalidPort, target.span(), &path.field("targetPort"), message);
                return None;
            }
        },
    };
    let name = present(node.entry("name")).and_then(Node::as_str).filter(|name| !name.is_empty());
    let node_port = node.get("nodePort").and_then(port_of);
    Some(ServicePort { name: name.map(Into::into), protocol, port, target, node_port })
}

/// An EndpointSlice. `None` for one that belongs to no Service or holds names instead of addresses.
pub(in crate::source) fn endpoint_slice(node: Node<'_>, metadata: &Metadata) -> Option<EndpointSlice> {
    let service = metadata.labels.get(SERVICE_NAME)?.as_str();
    if node.get("addressType").and_then(Node::as_str) == Some("FQDN") {
        return None;
    }
    let is_ready = |endpoint: &Node<'_>| {
        let ready = endpoint.get("conditions").and_then(|conditions| conditions.get("ready")?.value());
        ready != Some(Value::Bool(false))
    };
    let endpoints = node.get("endpoints").into_iter().flat_map(Node::items).map(|item| item.value);
    let (ready, unready): (Vec<_>, Vec<_>) = endpoints.partition(is_ready);
    let listed = ready.into_iter().flat_map(|endpoint| texts(endpoint.get("addresses")));
    let ports = node.get("ports").into_iter().flat_map(Node::items).filter_map(|item| {
        let name = item.value.get("name").and_then(Node::as_str).filter(|name| !name.is_empty());
        Some((name.map(Into::into), protocol(item.value)?, port_of(item.value.get("port")?)?))
    });
    Some(EndpointSlice {
        service: ObjectName::new(metadata.namespace.clone(), service),
        addresses: addresses(None, listed),
        has_unready: !unready.is_empty(),
        ports: ports.collect(),
    })
}

fn port_of(node: Node<'_>) -> Option<NonZeroU16> {
    match node.value()? {
        Value::Int(number) => port_number(number).ok(),
        _ => None,
    }
}

fn texts<'a>(list: Option<Node<'a>>) -> impl Iterator<Item = &'a str> {
    list.into_iter().flat_map(Node::items).filter_map(|item| item.value.as_str())
}

/// Each address once.
fn addresses<'a>(first: Option<IpAddr>, texts: impl Iterator<Item = &'a str>) -> Vec<IpAddr> {
    each_once(first.into_iter().chain(texts.filter_map(parse_address)))
}

fn each_once(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut seen = std::collections::HashSet::new();
    addresses.filter(|address| seen.insert(*address)).collect()
}
