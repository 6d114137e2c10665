//! Where Ingresses, routes, webhooks and API services lead.

use netpol_policy::model::{BackendPort, Cluster, EntryPoint, Pod, Service, ServicePort};

use super::namespaces::Namespaces;
use crate::hash::HashMap;

/// The pods that an entry point sends its callers to by one of its backends.
pub struct Target<'c> {
    /// The entry point.
    pub entry: &'c EntryPoint,
    /// The index of the backend.
    pub backend: usize,
    /// The Service.
    pub service: &'c Service,
    /// Its port.
    pub port: &'c ServicePort,
    /// One pod for each combination of labels and ports.
    pub pods: Vec<&'c Pod>,
}

/// All targets by namespace. Backends of which the Service, its port or its pods were not given have none.
pub(super) fn targets<'c>(
    cluster: &'c Cluster,
    namespaces: &Namespaces<'c>,
) -> HashMap<&'c str, Vec<Target<'c>>> {
    let mut targets = HashMap::<_, Vec<_>>::default();
    if cluster.entry_points.is_empty() {
        return targets;
    }
    let services: HashMap<_, _> = cluster.services.iter().map(|service| (&service.name, service)).collect();
    for entry in &cluster.entry_points {
        for (index, backend) in entry.backends.iter().enumerate() {
            let Some(service) = services.get(&backend.service) else { continue };
            let meant = |port: &&ServicePort| match &backend.port {
                BackendPort::Number(number) => port.port == *number,
                BackendPort::Name(name) => port.name.as_ref() == Some(name),
            };
            let (Some(port), Some(selector)) = (service.ports.iter().find(meant), &service.selector) else {
                continue;
            };
            let namespace = namespaces.get(&service.name.namespace);
            let pods: Vec<_> =
                namespace.into_iter().flat_map(|namespace| namespace.kinds(selector)).collect();
            if !pods.is_empty() {
                let target = Target { entry, backend: index, service, port, pods };
                targets.entry(&*service.name.namespace).or_default().push(target);
            }
        }
    }
    targets
}
