//! Verdicts and their reasons.

use std::fmt;

use ipnet::IpNet;

use crate::model::{Direction, IpBlock, NetworkPolicy, PortMatch, PortName, Protocol, Requirement};

/// What both ends say about a flow. It passes only if both let it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'c> {
    /// The source's side.
    pub egress: Decision<'c>,
    /// The destination's side.
    pub ingress: Decision<'c>,
}

/// What one end says about a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'c> {
    /// No policy can apply here.
    Exempt(Exemption),
    /// A pod that no policy isolates in this direction.
    NotIsolated,
    /// Isolated, but a rule allows it.
    Allowed {
        /// What isolates the pod.
        isolation: Vec<Isolation<'c>>,
        /// The first rule that allows it.
        by: RuleRef<'c>,
    },
    /// Isolated, and no rule allows it.
    Denied {
        /// What isolates the pod; never empty.
        isolation: Vec<Isolation<'c>>,
        /// The rule that came closest; `None` when there is no rule at all.
        closest: Option<NearMiss<'c>>,
    },
}

/// Why no policy can apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exemption {
    /// A pod always reaches itself.
    SamePod,
    /// A pod and its own node always reach each other.
    OwnNode,
    /// The pod is on the host network.
    HostNetwork,
    /// This end is no pod.
    NotAPod,
}

/// What isolates a pod in a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation<'c> {
    /// A policy that selects it.
    Policy(&'c NetworkPolicy),
    /// The default-deny label of its namespace.
    NamespaceLabel,
}

/// A rule, and the peer and port in it that matched; `None` where the rule lists none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleRef<'c> {
    /// The policy.
    pub policy: &'c NetworkPolicy,
    /// The list.
    pub direction: Direction,
    /// Index in the list.
    pub rule: usize,
    /// Index in `from` or `to`.
    pub peer: Option<usize>,
    /// Index in `ports`.
    pub port: Option<usize>,
}

/// A rule that didn't allow a flow, and what it lacked to do so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss<'c> {
    /// The rule; `peer` and `port` are the ones that came closest.
    pub at: RuleRef<'c>,
    /// What is missing; never empty.
    pub lacks: Vec<Lack<'c>>,
}

/// One thing that keeps a rule from allowing a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack<'c> {
    /// The peer's namespace has other labels.
    NamespaceLabels {
        /// The namespace.
        namespace: Box<str>,
        /// What its labels don't meet.
        unmet: Vec<&'c Requirement>,
    },
    /// The peer is meant in the policy's own namespace.
    OtherNamespace {
        /// Where the peer is.
        actual: Box<str>,
        /// The policy's namespace.
        wanted: Box<str>,
    },
    /// The peer's pod has other labels.
    PodLabels {
        /// What its labels don't meet.
        unmet: Vec<&'c Requirement>,
    },
    /// The rule's peer is pods, but the flow's end is none.
    NoPod,
    /// The address is outside the block.
    OutsideBlock(&'c IpBlock),
    /// The address is in an exception of the block.
    Excepted(&'c IpBlock, IpNet),
    /// The address isn't known, so no block can match it.
    AddressUnknown(&'c IpBlock),
    /// The port isn't among those listed.
    Port(&'c PortMatch),
    /// The protocol is another than the one listed.
    Protocol(Protocol),
    /// The traffic has no ports, and the rule lists some.
    NoPorts,
    /// The destination doesn't declare the named port.
    PortNotDeclared(&'c PortName),
}

impl Verdict<'_> {
    /// Whether the flow passes.
    pub fn allowed(&self) -> bool {
        self.egress.allows() && self.ingress.allows()
    }
}

impl<'c> Decision<'c> {
    /// Whether this end lets the flow pass.
    pub fn allows(&self) -> bool {
        !matches!(self, Self::Denied { .. })
    }

    /// What isolates the pod; empty when nothing does.
    pub fn isolation(&self) -> &[Isolation<'c>] {
        match self {
            Self::Allowed { isolation, .. } | Self::Denied { isolation, .. } => isolation,
            Self::Exempt(_) | Self::NotIsolated => &[],
        }
    }
}

/// The JSON path of the rule in its policy, down to the peer: `spec.ingress[0].from[1]`.
impl fmt::Display for RuleRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spec.{}[{}]", self.direction.field(), self.rule)?;
        if let Some(peer) = self.peer {
            write!(f, ".{}[{peer}]", self.direction.peer_field())?;
        }
        Ok(())
    }
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SamePod => "a pod always reaches itself",
            Self::OwnNode => "a pod and its own node always reach each other",
            Self::HostNetwork => "the pod is on the host network, which no NetworkPolicy isolates",
            Self::NotAPod => "not a pod, so no NetworkPolicy isolates it",
        })
    }
}

/// `policy ns/name`, or the namespace's label.
impl fmt::Display for Isolation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(policy) => write!(f, "policy {}", policy.name),
            Self::NamespaceLabel => write!(f, "the namespace's label {}", crate::model::DEFAULT_DENY_LABEL),
        }
    }
}

/// A clause that completes "it would need …".
impl fmt::Display for Lack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join =
            |unmet: &[&Requirement]| unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match self {
            Self::NamespaceLabels { namespace, unmet } => {
                write!(f, "the label {} on namespace {namespace}", join(unmet))
            }
            Self::OtherNamespace { actual, wanted } => {
                write!(f, "the peer to be in namespace {wanted}, not {actual}")
            }
            Self::PodLabels { unmet } => write!(f, "the label {} on the pod", join(unmet)),
            Self::NoPod => f.write_str("the peer to be a pod"),
            Self::OutsideBlock(block) => write!(f, "an address in {}", block.cidr()),
            Self::Excepted(block, except) => {
                write!(f, "an address in {} outside its exception {except}", block.cidr())
            }
            Self::AddressUnknown(block) => write!(f, "an address, to compare with {block}"),
            Self::Port(port) => write!(f, "the port to be {port}"),
            Self::Protocol(protocol) => write!(f, "the protocol to be {protocol}"),
            Self::NoPorts => f.write_str("a rule without ports: only TCP, UDP and SCTP have them"),
            Self::PortNotDeclared(name) => write!(f, "a container that declares the port named {name}"),
        }
    }
}
