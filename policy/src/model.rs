//! The objects that decide who may connect to whom, normalised as the API server stores them.
//!
//! Values are checked when they are built: a label, a selector, a port or a block that the API server would refuse
//! can't exist here.

mod block;
mod cluster;
mod entry;
mod label;
mod name;
mod object;
mod policy;
mod port;
mod selector;
mod service;

pub use block::{BlockError, IpBlock};
pub use cluster::Cluster;
pub use entry::{Backend, BackendPort, Callers, EntryKind, EntryPoint};
pub(crate) use label::is_dns_subdomain;
pub use label::{LabelError, LabelKey, LabelValue, Labels, METADATA_NAME};
pub use name::{ObjectName, WorkloadKind, WorkloadName};
pub use object::{AUDIT_ANNOTATION, ContainerPort, DEFAULT_DENY_LABEL, DefaultDeny, Namespace, Node, Pod};
pub use policy::{Direction, NetworkPolicy, Peer, Peers, PodNamespaces, Rule};
pub(crate) use port::port_number;
pub use port::{PortError, PortMatch, PortName, Ports, Protocol, Traffic};
pub use selector::{LabelSelector, Labelled, Requirement, SelectorError};

pub use service::{EndpointSlice, Families, Service, ServiceEndpoint, ServicePort, ServiceType, TargetPort};
