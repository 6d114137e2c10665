//! Service addresses: the translation rules that kube-proxy writes, in either of its two ways.

mod iptables;
mod nftables;

use anyhow::Result;

use super::address::Pair;
use super::{Node, ServiceProxy};
use crate::probe::server::Transport;

/// The bit kube-proxy sets on packets whose source it will translate.
const MASQUERADE_MARK: u32 = 0x4000;

/// One port of one Service, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// The cluster address.
    pub cluster: Pair,
    /// The protocol.
    pub transport: Transport,
    /// The port at the cluster address.
    pub port: u16,
    /// The port on every node, for a Service of type NodePort.
    pub node_port: Option<u16>,
    /// The pods behind it.
    pub endpoints: Vec<Endpoint>,
    /// Which of them a client gets.
    pub choice: Choice,
}

impl Translation {
    /// The numbers of the endpoints for traffic of the cluster's own (`false`) or from outside (`true`).
    fn eligible(&self, external: bool) -> Vec<usize> {
        let local = if external { self.choice.external_local } else { self.choice.internal_local };
        (0..self.endpoints.len()).filter(|number| !local || self.endpoints[*number].here).collect()
    }
}

/// A port of a pod behind a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The pod's addresses.
    pub address: Pair,
    /// The port there.
    pub port: u16,
    /// Whether the pod runs on the node that translates.
    pub here: bool,
}

/// Which of the pods behind a Service a client gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// `sessionAffinity: ClientIP`: the one it had, for so many seconds after its last connection.
    pub affinity: Option<u32>,
    /// `internalTrafficPolicy: Local`: one of the client's own node.
    pub internal_local: bool,
    /// `externalTrafficPolicy: Local`: one of the node whose port was asked.
    pub external_local: bool,
}

/// Replaces all Service rules of a node, at once.
///
/// # Errors
/// When the rules are refused.
pub fn install(node: &Node, proxy: ServiceProxy, services: &[Translation]) -> Result<()> {
    match proxy {
        ServiceProxy::Nftables => nftables::install(&node.namespace, services),
        ServiceProxy::Iptables => iptables::install(&node.namespace, services),
    }
}
