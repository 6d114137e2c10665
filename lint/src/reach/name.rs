//! Names on the command line.

use std::fmt;
use std::net::IpAddr;

use netpol_policy::model::{Cluster, Node, Pod, Service, WorkloadKind};
use netpol_policy::source::nearest;
use thiserror::Error;

use super::port::Ask;
use super::seen::{Entry, has_node_ports};
use super::service::is_asked;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named<'c> {
    Address(IpAddr),
    Pod(&'c Pod),
    Service(&'c Service, Entry<'c>),
}

/// A name that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing has that name.
    #[error("there is no {what} `{name}`{}", hint(.near))]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// The name.
        name: String,
        /// Names like it.
        near: Vec<String>,
    },
    /// Several workloads have that name.
    #[error("`{name}` can mean several things: write {}", .candidates.join(" or "))]
    Ambiguous {
        /// The name.
        name: String,
        /// Full names of what it can mean.
        candidates: Vec<String>,
    },
    /// A kind that runs no pods.
    #[error(
        "`{0}` is no kind that runs pods: use Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job or CronJob"
    )]
    Kind(String),
    /// Too many slashes.
    #[error("`{0}` is no name: write namespace/name, namespace/Kind/name or an address")]
    Form(String),
    /// Digits that make no address.
    #[error("`{0}` is no address: IPv4 has four numbers from 0 to 255, such as 10.0.0.1")]
    Address(String),
    /// A block of addresses.
    #[error("`{0}` is a block, but a connection has one address at each end: write an address of it")]
    Block(String),
    /// The pod has ended.
    #[error("pod `{0}` has ended: nobody opens a connection from it or to it")]
    Finished(String),
    /// A Service opens no connections.
    #[error("`{0}` is a Service, which opens no connections: name one of the pods behind it")]
    ServiceAsSource(String),
}

/// Who opens the connection.
pub(super) fn source<'c>(cluster: &'c Cluster, text: &str, namespace: &str) -> Result<Named<'c>, NameError> {
    match find(cluster, text, namespace, "pod or workload") {
        Ok(Named::Service(service, _)) => Err(NameError::ServiceAsSource(service.name.to_string())),
        other => other,
    }
}

/// To whom it is opened. An address that is a Service's means the Service, and so does a node's with one of its ports there.
pub(super) fn target<'c>(
    cluster: &'c Cluster,
    text: &str,
    namespace: &str,
    ask: Option<&Ask>,
) -> Result<Named<'c>, NameError> {
    let named = find(cluster, text, namespace, "pod, workload or Service")?;
    let Named::Address(address) = named else { return Ok(named) };
    let entry = |service: &Service| {
        if service.cluster_addresses.contains(&address) {
            return Some(Entry::Inside(Some(address)));
        }
        service.external_addresses.contains(&address).then_some(Entry::Outside(address))
    };
    let at = || cluster.services.iter().filter_map(|service| Some((service, entry(service)?)));
    // Services may share an address, each with its own ports.
    let has_port = |(service, entry): &(&Service, Entry<'_>)| {
        service.ports.iter().any(|port| is_asked(port, *entry, ask))
    };
    let at_node = || at_node_port(cluster, cluster.node_at(address)?, address, ask?);
    let found = at().find(has_port).or_else(at_node).or_else(|| {
        // What else there is at a node is an ordinary address.
        at().next().filter(|_| cluster.node_at(address).is_none())
    });
    Ok(found.map_or(named, |(service, entry)| Named::Service(service, entry)))
}

/// The Service that has a port on every node.
fn at_node_port<'c>(
    cluster: &'c Cluster,
    node: &'c Node,
    address: IpAddr,
    ask: &Ask,
) -> Option<(&'c Service, Entry<'c>)> {
    // Names of ports are those of the Service, and nobody knows of which.
    let Ask::Traffic(_) = ask else { return None };
    let entry = Entry::Node(node, address);
    let mut services = cluster.services.iter().filter(|service| has_node_ports(service));
    let service =
        services.find(|service| service.ports.iter().any(|port| is_asked(port, entry, Some(ask))))?;
    Some((service, entry))
}

fn find<'c>(
    cluster: &'c Cluster,
    text: &str,
    default_namespace: &str,
    what: &'static str,
) -> Result<Named<'c>, NameError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        // As it is on the wire.
        return Ok(Named::Address(address.to_canonical()));
    }
    if text.split_once('/').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok()) {
        return Err(NameError::Block(text.to_owned()));
    }
    if looks_like_an_address(text) {
        return Err(NameError::Address(text.to_owned()));
    }
    let parts: Vec<_> = text.split('/').collect();
    let (namespace, kind, name) = match parts[..] {
        [name] => (default_namespace, None, name),
        // Namespaces are in lower case, kinds begin with a capital letter.
        [kind, name] if kind.starts_with(|c: char| c.is_ascii_uppercase()) => {
            (default_namespace, Some(kind), name)
        }
        [namespace, name] => (namespace, None, name),
        [namespace, kind, name] => (namespace, Some(kind), name),
        _ => return Err(NameError::Form(text.to_owned())),
    };
    if name.is_empty() || namespace.is_empty() {
        return Err(NameError::Form(text.to_owned()));
    }
    let service = || {
        let mut services = cluster.services.iter();
        services.find(|service| *service.name.namespace == *namespace && *service.name.name == *name)
    };
    let is_service = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("service"));
    let kind = match kind {
        Some(kind) if !is_service => Some(workload_kind(kind)?),
        _ => None,
    };
    let named = |pod: &&Pod| {
        *pod.name.namespace == *namespace
            && *pod.name.name == *name
            && kind.is_none_or(|kind| pod.name.kind == kind)
    };
    let pods: Vec<_> = if is_service { Vec::new() } else { cluster.pods.iter().filter(named).collect() };
    let pod = match pods[..] {
        [] => None,
        [pod] => Some(pod),
        // A pod of its own is meant before a template.
        [..] => pods.iter().copied().find(|pod| pod.name.kind == WorkloadKind::Pod),
    };
    match pod {
        Some(pod) if pod.finished => Err(NameError::Finished(pod.name.to_string())),
        Some(pod) => Ok(Named::Pod(pod)),
        None if !pods.is_empty() => Err(NameError::Ambiguous {
            name: text.to_owned(),
            candidates: pods.iter().map(|pod| pod.name.to_string()).collect(),
        }),
        None => match service().filter(|_| kind.is_none()) {
            Some(service) => Ok(Named::Service(service, Entry::Inside(None))),
            None => Err(NameError::Unknown {
                what: if is_service { "Service" } else { what },
                name: match kind {
                    Some(kind) => format!("{namespace}/{}/{name}", kind.as_str()),
                    None if is_service => format!("{namespace}/Service/{name}"),
                    None => format!("{namespace}/{name}"),
                },
                near: near(cluster, namespace, name, kind, is_service, what),
            }),
        },
    }
}

fn workload_kind(kind: &str) -> Result<WorkloadKind, NameError> {
    let mut kinds = WorkloadKind::ALL.into_iter();
    let known = kinds.find(|known| known.as_str().eq_ignore_ascii_case(kind));
    known.ok_or_else(|| NameError::Kind(kind.to_owned()))
}

/// Numbers and dots alone, at least three dots of them; or a colon, which no name has.
fn looks_like_an_address(text: &str) -> bool {
    let numbers = text.split('.').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    (numbers && text.matches('.').count() >= 3) || (text.contains(':') && !text.contains('/'))
}

/// The same name elsewhere, the nearest name, or else names of the namespace; with their kinds when one was asked for.
fn near(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    kind: Option<WorkloadKind>,
    is_service: bool,
    what: &str,
) -> Vec<String> {
    let with_kind = kind.is_some() || is_service;
    let pods = cluster.pods.iter().filter(|_| !is_service);
    let pods = pods.map(|pod| (&*pod.name.namespace, &*pod.name.name, pod.name.kind.as_str()));
    let services = cluster.services.iter().filter(|_| is_service || (what.contains("Service")));
    let services = services.map(|service| (&*service.name.namespace, &*service.name.name, "Service"));
    let mut all: Vec<_> = pods.chain(services).collect();
    all.sort_unstable();
    if !with_kind {
        all.dedup_by_key(|(namespace, name, _)| (*namespace, *name));
    }
    let full = |(namespace, name, kind): &(&str, &str, &str)| match with_kind {
        true => format!("{namespace}/{kind}/{name}"),
        false => format!("{namespace}/{name}"),
    };
    let elsewhere: Vec<_> = all.iter().filter(|(_, other, _)| *other == name).map(full).collect();
    if !elsewhere.is_empty() {
        return elsewhere.into_iter().take(3).collect();
    }
    let names: Vec<_> = all.iter().map(full).collect();
    let wanted = full(&(namespace, name, kind.map_or("Service", WorkloadKind::as_str)));
    if let Some(near) = nearest(&wanted, names.iter().map(String::as_str)) {
        return vec![near.to_owned()];
    }
    // A pod's generated name, or the beginning of one.
    let alike = |(ns, other, _): &&(&str, &str, &str)| {
        *ns == namespace && (other.starts_with(name) || name.starts_with(other))
    };
    let alike: Vec<_> = all.iter().filter(alike).map(full).collect();
    let there = || all.iter().filter(|(ns, ..)| *ns == namespace).map(full).collect();
    let mut near: Vec<String> = if alike.is_empty() { there() } else { alike };
    near.truncate(5);
    near
}

fn hint(near: &[String]) -> String {
    match near {
        [] => String::new(),
        [one] => format!(", did you mean `{one}`?"),
        several => format!("; there are {}", several.join(", ")),
    }
}

/// `ns/Kind/name`, or the address; a node's also where it means a Service.
impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Pod(pod) => write!(f, "{}", pod.name),
            Self::Service(_, Entry::Node(_, address)) => write!(f, "{address}"),
            Self::Service(service, _) => {
                write!(f, "{}/Service/{}", service.name.namespace, service.name.name)
            }
        }
    }
}
