//! NetworkPolicy, normalised.

use std::fmt;

use super::block::IpBlock;
use super::name::ObjectName;
use super::port::Ports;
use super::selector::LabelSelector;

/// Which way a connection is opened, seen from the pod that a policy selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Somebody connects to the pod.
    Ingress,
    /// The pod connects to somebody.
    Egress,
}

/// A `networking.k8s.io/v1` NetworkPolicy with its defaults filled in.
///
/// A direction is `None` when the policy doesn't isolate it (it isn't in the effective `policyTypes`); its rules, if
/// any were written, are ignored. `Some` of no rules isolates and allows nothing. Rules, peers and ports keep the
/// order and the indexes of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkPolicy {
    /// Namespace and name.
    pub name: ObjectName,
    /// The pods of its namespace that it is about.
    pub pod_selector: LabelSelector,
    /// What may connect to those pods.
    pub ingress: Option<Vec<Rule>>,
    /// What those pods may connect to.
    pub egress: Option<Vec<Rule>>,
}

/// One item of `ingress` or `egress`: traffic that matches a peer and a port is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// `from` or `to`.
    pub peers: Peers,
    /// `ports`.
    pub ports: Ports,
}

/// The peers of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peers {
    /// `from`/`to` absent or empty: everyone, everywhere.
    All,
    /// Any of these; never empty.
    Only(Vec<Peer>),
}

/// One item of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// Pods by labels.
    Pods {
        /// In which namespaces.
        namespaces: PodNamespaces,
        /// Which pods there; an absent `podSelector` beside a `namespaceSelector` is all of them.
        pods: LabelSelector,
    },
    /// Addresses, pods' included.
    Block(IpBlock),
}

/// Where the pods of a peer live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PodNamespaces {
    /// `namespaceSelector` absent: the policy's own namespace.
    Own,
    /// Namespaces by labels; the empty selector is all of them.
    Selected(LabelSelector),
}

impl NetworkPolicy {
    /// The rules of a direction; `None` when the policy doesn't isolate it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }

    /// Whether one rule allows everything in a direction that the policy isolates.
    pub fn allows_all(&self, direction: Direction) -> bool {
        let mut rules = self.rules(direction).into_iter().flatten();
        rules.any(|rule| rule.peers == Peers::All && rule.ports == Ports::All)
    }
}

impl Peers {
    /// The items; none when everyone matches.
    pub fn items(&self) -> &[Peer] {
        match self {
            Self::All => &[],
            Self::Only(items) => items,
        }
    }
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];

    /// The rule list's field in the manifest: `ingress` or `egress`.
    pub fn field(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The peer list's field in a rule: `from` or `to`.
    pub fn peer_field(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }

    /// As in `policyTypes`.
    pub fn policy_type(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}

/// In words: `pods role=db of this namespace`, `all pods of namespaces team=a`, `10.0.0.0/8 except 10.1.0.0/16`.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespaces, pods) = match self {
            Self::Block(block) => return write!(f, "{block}"),
            Self::Pods { namespaces, pods } => (namespaces, pods),
        };
        if pods.is_everything() {
            f.write_str("all pods of ")?;
        } else {
            write!(f, "pods {pods} of ")?;
        }
        match namespaces {
            PodNamespaces::Own => f.write_str("this namespace"),
            PodNamespaces::Selected(selector) if selector.is_everything() => f.write_str("all namespaces"),
            PodNamespaces::Selected(selector) => write!(f, "namespaces {selector}"),
        }
    }
}
