//! Pods on their node: what the bridge and the ptp plugin do.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::address::{self, Family, POD_RANGE, Pair};
use super::netns::NetNs;
use super::{Node, Wiring};

/// Prepares a node for pods: forwarding, the bridge if there is one, and source translation for what leaves the cluster.
pub(super) fn prepare(node: &Node, wiring: Wiring) -> Result<()> {
    let namespace = &node.namespace;
    namespace.sysctl("net/ipv4/ip_forward", "1")?;
    namespace.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    if let Wiring::Bridge { call_iptables } = wiring {
        let gateway = node.gateway();
        namespace.ip(&[
            "link add cni0 type bridge mcast_snooping 0".into(),
            format!("addr add {}/24 dev cni0", gateway.v4),
            format!("addr add {}/64 dev cni0 nodad", gateway.v6),
            "link set cni0 up".into(),
        ])?;
        for setting in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            namespace.sysctl(&format!("net/bridge/{setting}"), if call_iptables { "1" } else { "0" })?;
        }
    }
    namespace.feed("nft", &["-f", "-"], &source_translation())?;
    Ok(())
}

/// Connects a pod's namespace to its node, as address `number` of the node's pod range.
pub(super) fn connect(node: &Node, wiring: Wiring, pod: &NetNs, number: u8, mtu: u16) -> Result<()> {
    let veth = interface(number);
    let (pod_address, gateway) = (address::pod(node.index, number), node.gateway());
    let pair = format!("link add {veth} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}", pod.path());
    let (on_node, in_pod) = match wiring {
        Wiring::Bridge { .. } => (
            vec![
                pair,
                format!("link set {veth} master cni0 up"),
                format!("link set {veth} type bridge_slave hairpin on"),
            ],
            vec![
                format!("addr add {}/24 dev eth0", pod_address.v4),
                format!("addr add {}/64 dev eth0 nodad", pod_address.v6),
                "link set eth0 up".into(),
            ],
        ),
        Wiring::PointToPoint => (
            vec![
                pair,
                format!("addr add {}/32 dev {veth}", gateway.v4),
                format!("addr add {}/128 dev {veth} nodad", gateway.v6),
                format!("link set {veth} up"),
                format!("route add {}/32 dev {veth} scope host", pod_address.v4),
                format!("route add {}/128 dev {veth}", pod_address.v6),
            ],
            vec![
                format!("addr add {}/32 dev eth0", pod_address.v4),
                format!("addr add {}/128 dev eth0 nodad", pod_address.v6),
                "link set eth0 up".into(),
                format!("route add {}/32 dev eth0 scope link", gateway.v4),
                format!("route add {}/128 dev eth0", gateway.v6),
            ],
        ),
    };
    node.namespace.ip(&on_node)?;
    let mut in_pod = in_pod;
    in_pod.insert(0, "link set lo up".into());
    in_pod.push(format!("route add default via {}", gateway.v4));
    in_pod.push(format!("route add ::/0 via {}", gateway.v6));
    pod.ip(&in_pod)
}

/// Waits until the pod's own addresses and its way to the node are there: the kernel installs them a moment after the pair
/// is up. To be called inside the pod's namespace.
pub(super) fn wait_until_up(own: Pair, gateway: Pair) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    for family in Family::BOTH {
        for to in [own, gateway] {
            // Connecting a UDP socket looks up the route and sends nothing.
            let routed = || UdpSocket::bind((own.of(family), 0))?.connect((to.of(family), 9));
            while let Err(error) = routed() {
                ensure!(
                    Instant::now() < deadline,
                    "{} has no way to {}: {error}",
                    own.of(family),
                    to.of(family)
                );
                thread::park_timeout(Duration::from_millis(1));
            }
        }
    }
    Ok(())
}

/// The node's end of the pair that leads to pod `number`.
pub(super) fn interface(number: u8) -> String {
    format!("veth{number}")
}

/// Pods keep their address inside the cluster; outside, their node speaks for them.
fn source_translation() -> String {
    let (v4, v6) = POD_RANGE;
    format!(
        "table inet lab-masquerade {{
             chain postrouting {{
                 type nat hook postrouting priority srcnat;
                 ip saddr {v4} ip daddr != {v4} masquerade
                 ip6 saddr {v6} ip6 daddr != {v6} masquerade
             }}
         }}"
    )
}
