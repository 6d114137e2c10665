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
    /// The pods' addresses and ports.
    pub endpoints: Vec<(Pair, u16)>,
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
