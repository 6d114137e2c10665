//! The network between the nodes: one segment with every node and the outside host on it.

use anyhow::Result;

use super::address;
use super::netns::NetNs;
use super::{Between, Node, OUTSIDE_ADDRESSES, Shape};

/// What fits into a VXLAN packet over IPv6 on a link of 1500 bytes.
pub(super) const MTU_IN_VXLAN: u16 = 1430;

/// The network namespaces of the segment and of the outside host.
pub(super) fn build(shape: &Shape) -> Result<(NetNs, NetNs)> {
    let underlay = NetNs::new("underlay")?;
    let outside = NetNs::new("outside")?;
    underlay.ip(&[
        "link add br0 type bridge mcast_snooping 0".into(),
        "link set br0 up".into(),
        format!("link add outside type veth peer name eth0 netns {}", outside.path()),
        "link set outside master br0 up".into(),
    ])?;
    let router = address::router();
    let mut lines = vec!["link set lo up".into()];
    lines.extend(segment("eth0", router));
    for number in 0..OUTSIDE_ADDRESSES {
        let address = address::outside(10 + number);
        lines.push(format!("addr add {}/32 dev lo", address.v4));
        lines.push(format!("addr add {}/128 dev lo nodad", address.v6));
    }
    let own = address::outside(10);
    for node in 0..shape.nodes.len() as u8 {
        let (ranges, via) = (address::pod_ranges(node), address::node(node));
        lines.push(format!("route add {} via {} src {}", ranges[0], via.v4, own.v4));
        lines.push(format!("route add {} via {} src {}", ranges[1], via.v6, own.v6));
    }
    outside.ip(&lines)?;
    Ok((underlay, outside))
}

/// Plugs a node into the segment, and gives it the way to the other nodes' pods.
pub(super) fn connect(underlay: &NetNs, node: &Node, nodes: &[Node], between: Between) -> Result<()> {
    underlay.ip(&[
        format!("link add node{} type veth peer name eth0 netns {}", node.index, node.namespace.path()),
        format!("link set node{} master br0 up", node.index),
    ])?;
    let router = address::router();
    let mut lines = vec!["link set lo up".to_owned()];
    lines.extend(segment("eth0", node.address()));
    lines.push(format!("route add default via {}", router.v4));
    lines.push(format!("route add ::/0 via {}", router.v6));
    let others = nodes.iter().filter(|other| other.index != node.index);
    let mut forwarding = Vec::new();
    match between {
        Between::Routes => {
            for other in others {
                let (ranges, via) = (other.pod_ranges(), other.address());
                lines.push(format!("route add {} via {}", ranges[0], via.v4));
                lines.push(format!("route add {} via {}", ranges[1], via.v6));
            }
        }
        Between::Vxlan => forwarding = vxlan(node, others, &mut lines),
    }
    node.namespace.ip(&lines)?;
    if !forwarding.is_empty() {
        node.namespace.feed("bridge", &["-batch", "-"], &forwarding.join("\n"))?;
    }
    Ok(())
}

fn segment(interface: &str, address: address::Pair) -> [String; 3] {
    [
        format!("addr add {}/16 dev {interface}", address.v4),
        format!("addr add {}/64 dev {interface} nodad", address.v6),
        format!("link set {interface} up"),
    ]
}

/// One device per family, and for every other node its range by route, its link address and its node: nothing is learnt.
/// Adds lines for `ip`; what comes back is for `bridge`.
fn vxlan<'a>(node: &Node, others: impl Iterator<Item = &'a Node>, lines: &mut Vec<String>) -> Vec<String> {
    let (own, first) = (node.address(), address::pod(node.index, 0));
    lines.extend([
        format!(
            "link add flannel.1 address {} type vxlan id 1 dstport 8472 local {} dev eth0 nolearning",
            hardware_address(node, 4),
            own.v4
        ),
        format!(
            "link add flannel-v6.1 address {} type vxlan id 2 dstport 8472 local {} dev eth0 nolearning",
            hardware_address(node, 6),
            own.v6
        ),
        format!("addr add {}/32 dev flannel.1", first.v4),
        format!("addr add {}/128 dev flannel-v6.1 nodad", first.v6),
        "link set flannel.1 up".into(),
        "link set flannel-v6.1 up".into(),
    ]);
    let mut forwarding = Vec::new();
    for other in others {
        let (ranges, via, tunnel) = (other.pod_ranges(), other.address(), address::pod(other.index, 0));
        for (range, tunnel, via, device, version) in [
            (&ranges[0], tunnel.v4.to_string(), via.v4.to_string(), "flannel.1", 4),
            (&ranges[1], tunnel.v6.to_string(), via.v6.to_string(), "flannel-v6.1", 6),
        ] {
            let hardware = hardware_address(other, version);
            lines.push(format!("neigh add {tunnel} lladdr {hardware} dev {device} nud permanent"));
            lines.push(format!("route add {range} via {tunnel} dev {device} onlink"));
            forwarding.push(format!("fdb append {hardware} dev {device} dst {via}"));
        }
    }
    forwarding
}

fn hardware_address(node: &Node, version: u8) -> String {
    format!("02:00:0a:f4:{:02x}:{version:02x}", node.index)
}
