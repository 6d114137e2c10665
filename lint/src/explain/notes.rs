//! What readers often get wrong.

use netpol_policy::model::{Direction, NetworkPolicy, Peer, PortMatch, Ports};
use serde::Serialize;

/// A common misreading, put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// Replies need no rule.
    Replies,
    /// Ingress and egress are independent.
    Directions,
    /// Both ends of a connection count.
    BothEnds,
    /// Nothing denies.
    PoliciesAdd,
    /// Pods on the host network are no subjects.
    HostNetwork,
    /// Probes of the own node pass.
    Probes,
    /// Ports are the pods' own.
    PodPorts,
    /// Names of ports belong to the destination.
    PortNames,
    /// Ping needs a rule without ports.
    Ping,
    /// Blocks mean pods too.
    Blocks,
    /// An exception is no denial.
    Except,
}

impl Note {
    /// The note in whole sentences.
    pub fn text(self) -> &'static str {
        match self {
            Self::Replies => {
                "Replies belong to the connection that they answer and always pass. No rule is needed for them in the \
                 other direction."
            }
            Self::Directions => {
                "Ingress rules say who may open a connection to a pod, egress rules to whom a pod may open one. Rules of \
                 one direction never touch the other."
            }
            Self::BothEnds => {
                "A connection between two pods has to be allowed twice: by egress where it starts and by ingress where \
                 it ends, each if that pod is isolated in that direction."
            }
            Self::PoliciesAdd => {
                "Policies only add. No rule denies and no policy comes first: a pod that several policies select may do \
                 whatever any of them allows."
            }
            Self::HostNetwork => {
                "Pods on the network of their node (hostNetwork: true) are never isolated, and no selector means them: \
                 their address is the node's."
            }
            Self::Probes => {
                "A pod's own node always reaches it, so the kubelet's probes pass. A pod always reaches itself."
            }
            Self::PodPorts => {
                "Ports are those that the destination pod listens on, not the port of a Service in front of it."
            }
            Self::PortNames => {
                "A port's name is looked up in the containers of the destination pod, for that protocol."
            }
            Self::Ping => {
                "A rule that lists ports allows no ping: only a rule without ports allows ICMP. Errors that belong to an \
                 allowed connection pass."
            }
            Self::Blocks => {
                "An address block means whoever has the address, pods included. Where a Service, a node port or a load \
                 balancer translates addresses, the one that arrives at the pod counts."
            }
            Self::Except => {
                "`except` takes addresses out of its own block and denies nothing: another peer, rule or policy may \
                 allow them."
            }
        }
    }
}

/// The notes that a policy calls for.
pub(super) fn notes(policy: &NetworkPolicy) -> Vec<Note> {
    let rules = || Direction::ALL.into_iter().filter_map(|direction| policy.rules(direction)).flatten();
    let ports = || {
        rules().flat_map(|rule| match &rule.ports {
            Ports::Only(items) => items.as_slice(),
            Ports::All => &[],
        })
    };
    let blocks = || {
        rules().flat_map(|rule| rule.peers.items()).filter_map(|peer| match peer {
            Peer::Block(block) => Some(block),
            Peer::Pods { .. } => None,
        })
    };
    let isolates = |direction| policy.rules(direction).is_some();
    let (ingress, egress) = (isolates(Direction::Ingress), isolates(Direction::Egress));
    let calls = [
        (Note::Replies, ingress || egress),
        (Note::Directions, ingress != egress),
        (Note::BothEnds, ingress && egress),
        (Note::PoliciesAdd, true),
        (Note::HostNetwork, true),
        (Note::Probes, ingress),
        (Note::PodPorts, ports().next().is_some()),
        (Note::PortNames, ports().any(|port| matches!(port, PortMatch::Named(..)))),
        (Note::Ping, ports().next().is_some()),
        (Note::Blocks, blocks().next().is_some()),
        (Note::Except, blocks().any(|block| !block.except().is_empty())),
    ];
    calls.into_iter().filter_map(|(note, called)| called.then_some(note)).collect()
}
