//! All objects together.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::entry::EntryPoint;
use super::name::WorkloadName;
use super::object::{Namespace, Node, Pod};
use super::policy::NetworkPolicy;
use super::port::Protocol;
use super::service::{EndpointSlice, Service, ServiceEndpoint, ServicePort, TargetPort};

/// What is known of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cluster {
    /// Namespaces by name. One that is only mentioned by other objects need not be here.
    pub namespaces: BTreeMap<Box<str>, Namespace>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Pods, and the templates of workloads.
    pub pods: Vec<Pod>,
    /// Services.
    pub services: Vec<Service>,
    /// EndpointSlices.
    pub endpoint_slices: Vec<EndpointSlice>,
    /// What leads callers from elsewhere to Services.
    pub entry_points: Vec<EntryPoint>,
    /// Policies.
    pub policies: Vec<Arc<NetworkPolicy>>,
}

impl Cluster {
    /// The namespace of that name; one without a manifest has no labels but its name.
    pub fn namespace(&self, name: &str) -> Cow<'_, Namespace> {
        self.namespaces
            .get(name)
            .map_or_else(|| Cow::Owned(Namespace::new(name, Default::default())), Cow::Borrowed)
    }

    /// Adds a namespace.
    pub fn add_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name().into(), namespace);
    }

    /// The pod or template of that name.
    pub fn pod(&self, name: &WorkloadName) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.name == *name)
    }

    /// The pod that owns an address: of those that have it, the newest that runs and isn't on the host network.
    /// Linear in the number of pods.
    pub fn owner(&self, address: IpAddr) -> Option<&Pod> {
        self.pods
            .iter()
            .filter(|pod| pod.is_subject() && pod.addresses.contains(&address))
            .max_by(|a, b| a.created.cmp(&b.created).then_with(|| b.name.cmp(&a.name)))
    }

    /// The node that has an address.
    pub fn node_at(&self, address: IpAddr) -> Option<&Node> {
        self.nodes.iter().find(|node| node.addresses.contains(&address))
    }

    /// Where a Service port leads: its EndpointSlices when there are any, else the pods that its selector matches. Only
    /// to addresses of the Service's families.
    pub fn service_endpoints<'c>(
        &'c self,
        service: &Service,
        port: &ServicePort,
    ) -> Vec<ServiceEndpoint<'c>> {
        let mut endpoints = self.endpoints_of_any_family(service, port);
        endpoints.retain(|endpoint| endpoint.address.is_none_or(|address| service.families.has(address)));
        endpoints
    }

    fn endpoints_of_any_family<'c>(
        &'c self,
        service: &Service,
        port: &ServicePort,
    ) -> Vec<ServiceEndpoint<'c>> {
        let mut slices = self.endpoint_slices.iter().filter(|slice| slice.service == service.name).peekable();
        if slices.peek().is_some() {
            return slices.flat_map(|slice| self.slice_endpoints(slice, port)).collect();
        }
        let Some(selector) = &service.selector else { return Vec::new() };
        let pods = self.pods.iter().filter(|pod| {
            pod.name.namespace == service.name.namespace && !pod.finished && selector.matches(&pod.labels)
        });
        pods.flat_map(|pod| {
            let ports = match &port.target {
                TargetPort::Number(number) => vec![*number],
                TargetPort::Name(name) => pod.named_ports(port.protocol, name).take(1).collect(),
            };
            let addresses = if pod.addresses.is_empty() {
                vec![None]
            } else {
                pod.addresses.iter().copied().map(Some).collect()
            };
            ports.into_iter().flat_map(move |port| {
                addresses.clone().into_iter().map(move |address| ServiceEndpoint {
                    pod: Some(pod),
                    address,
                    port,
                })
            })
        })
        .collect()
    }

    fn slice_endpoints<'c>(
        &'c self,
        slice: &'c EndpointSlice,
        port: &ServicePort,
    ) -> impl Iterator<Item = ServiceEndpoint<'c>> + use<'c> {
        let same = |name: &Option<Box<str>>, protocol: &Protocol| {
            name.as_deref().unwrap_or("") == port.name.as_deref().unwrap_or("") && *protocol == port.protocol
        };
        let ports: Vec<_> =
            slice.ports.iter().filter(|(n, p, _)| same(n, p)).map(|(_, _, port)| *port).collect();
        slice.addresses.iter().flat_map(move |address| {
            let pod = self.owner(*address);
            ports.clone().into_iter().map(move |port| ServiceEndpoint { pod, address: Some(*address), port })
        })
    }
}
