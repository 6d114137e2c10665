//! Pods, namespaces and nodes: what policies select and who is never subject to them.

use std::net::IpAddr;
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::label::{LabelKey, LabelValue, Labels};
use super::name::{WorkloadKind, WorkloadName};
use super::policy::Direction;
use super::port::{PortName, Protocol};

/// A label on a namespace that isolates all its pods, with the values `none`, `ingress`, `egress` and `all`.
pub const DEFAULT_DENY_LABEL: &str = "netpol.dev/default-deny";

/// An annotation on a namespace: with the value `true` its pods are only audited. What policies would deny passes, and is told.
pub const AUDIT_ANNOTATION: &str = "netpol.dev/audit";

/// A namespace. Its labels always hold [`METADATA_NAME`](super::METADATA_NAME).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    name: Box<str>,
    labels: Labels,
    audited: bool,
}

/// What [`DEFAULT_DENY_LABEL`] asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultDeny {
    /// Pods of the namespace are isolated for ingress.
    pub ingress: bool,
    /// Pods of the namespace are isolated for egress.
    pub egress: bool,
}

/// A pod, or the pods that a workload's template stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Namespace, kind and name; the kind is `Pod` for a pod of its own.
    pub name: WorkloadName,
    /// Labels of the pod, or of the template.
    pub labels: Labels,
    /// Labels of the workload itself that its template lacks or has with another value: no selector sees them.
    pub unseen_labels: Labels,
    /// `status.podIPs`: none in most manifests, else one or one of each family.
    pub addresses: Vec<IpAddr>,
    /// Declared ports of its containers and sidecars.
    pub ports: Vec<ContainerPort>,
    /// Shares its node's network: never isolated, never matched by a selector.
    pub host_network: bool,
    /// `spec.nodeName`.
    pub node: Option<Box<str>>,
    /// Phase Succeeded or Failed: owns no address any more.
    pub finished: bool,
    /// `metadata.creationTimestamp` in RFC 3339 UTC, which sorts by time.
    pub created: Option<Box<str>>,
}

/// A port that a container declares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPort {
    /// Its name, for named ports of policies.
    pub name: Option<PortName>,
    /// The protocol, TCP by default.
    pub protocol: Protocol,
    /// The number.
    pub port: NonZeroU16,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Box<str>,
    /// `status.addresses` of the types InternalIP and ExternalIP.
    pub addresses: Vec<IpAddr>,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<IpNet>,
}

impl Namespace {
    /// A namespace with its manifest's labels; [`METADATA_NAME`](super::METADATA_NAME) is added, as the API server does.
    pub fn new(name: impl Into<Box<str>>, mut labels: Labels) -> Self {
        let name = name.into();
        // Valid by construction: a namespace's name is a DNS label.
        if let Ok(value) = LabelValue::new(&name) {
            labels.insert(LabelKey::metadata_name(), value);
        }
        Self { name, labels, audited: false }
    }

    /// The same with what its annotation [`AUDIT_ANNOTATION`] says. Anything but `true` is no: enforced rather than not.
    #[must_use]
    pub fn with_audit_annotation(mut self, value: Option<&str>) -> Self {
        self.audited = value == Some("true");
        self
    }

    /// Whether policies are not to be enforced for its pods, only to be tried out.
    pub fn audited(&self) -> bool {
        self.audited
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its labels.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The baseline that its label asks for. An unknown or empty value isolates both directions: closed rather than open.
    pub fn default_deny(&self) -> DefaultDeny {
        match self.labels.get(DEFAULT_DENY_LABEL).map(LabelValue::as_str) {
            None | Some("none") => DefaultDeny::default(),
            Some("ingress") => DefaultDeny { ingress: true, egress: false },
            Some("egress") => DefaultDeny { ingress: false, egress: true },
            Some(_) => DefaultDeny { ingress: true, egress: true },
        }
    }
}

impl DefaultDeny {
    /// Whether a direction is isolated.
    pub fn isolates(self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

impl Pod {
    /// A running pod without addresses, ports or node.
    pub fn new(name: WorkloadName, labels: Labels) -> Self {
        Self {
            name,
            labels,
            unseen_labels: Labels::new(),
            addresses: Vec::new(),
            ports: Vec::new(),
            host_network: false,
            node: None,
            finished: false,
            created: None,
        }
    }

    /// True for the template of a workload.
    pub fn is_template(&self) -> bool {
        self.name.kind != WorkloadKind::Pod
    }

    /// Whether policies can isolate it and selectors can match it.
    pub fn is_subject(&self) -> bool {
        !self.host_network && !self.finished
    }

    /// The numbers behind a port's name, for one protocol. Containers may declare several.
    pub fn named_ports(&self, protocol: Protocol, name: &PortName) -> impl Iterator<Item = NonZeroU16> {
        self.ports
            .iter()
            .filter(move |port| port.protocol == protocol && port.name.as_ref() == Some(name))
            .map(|port| port.port)
    }
}
