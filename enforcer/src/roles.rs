//! Which links are pods', which lead away, and which are none of our business.
//!
//! Never decided by kind or name alone. Where nodes are containers themselves the node's uplink is a veth too, and a
//! machine may run containers that Kubernetes knows nothing of.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::netlink::{Link, LinkKind, is_link_local};

/// What a link is to the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A pod's veth: hooked in both directions.
    Pod {
        /// The addresses that the pod's end holds; empty while it has none yet.
        addresses: Vec<IpAddr>,
    },
    /// Leads away from the node, or to something whose traffic must not bypass a deferred decision: hooked on egress.
    Uplink,
    /// Left alone.
    Ignored(Reason),
}

/// Why a link is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The loopback device: nothing on it comes from or goes to a pod.
    Loopback,
    /// The bridge that pods hang on: their own veths are hooked, so nothing passes it undecided.
    PodBridge,
    /// A container's veth on a bridge that is not the pods': the bridge itself is hooked.
    ForeignContainer,
}

/// The addresses by which pods are told from other containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodAddresses {
    /// This node's pod ranges: `Node.spec.podCIDRs` and `--pod-cidr`.
    pub ranges: Vec<IpNet>,
    /// The addresses of pods that are known and not known to be on another node.
    pub known: BTreeSet<IpAddr>,
    /// Links that were pods' before. They stay so until they are gone: a pod whose object is deleted goes on sending for
    /// a moment, and nothing else takes over its link.
    pub links: BTreeSet<u32>,
}

impl PodAddresses {
    fn holds(&self, address: IpAddr) -> bool {
        self.known.contains(&address) || self.in_range(address)
    }

    fn in_range(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(&address))
    }
}

/// Gives every link its role, in the order of `links`.
#[must_use]
pub fn roles(links: &[Link], pods: &PodAddresses) -> Vec<Role> {
    let pod_bridges = pod_bridges(links, pods);
    links.iter().map(|link| role(link, pods, &pod_bridges)).collect()
}

fn role(link: &Link, pods: &PodAddresses, pod_bridges: &BTreeSet<u32>) -> Role {
    let on_pod_bridge = link.master.is_some_and(|master| pod_bridges.contains(&master));
    match link.kind {
        LinkKind::Loopback => Role::Ignored(Reason::Loopback),
        LinkKind::Bridge if pod_bridges.contains(&link.index) => Role::Ignored(Reason::PodBridge),
        LinkKind::Veth if link.peer.is_some() => match peer(link, pods) {
            End::Pod(addresses) => Role::Pod { addresses },
            End::Empty | End::Foreign if pods.links.contains(&link.index) => {
                let addresses = link.peer.as_ref().and_then(|peer| peer.addresses.clone());
                Role::Pod { addresses: addresses.unwrap_or_default() }
            }
            // A pod being set up has no address yet. Its bridge gives it away, or, with ptp wiring, that there is
            // nothing to say otherwise. Containers on other bridges may need the network to get their address (DHCP).
            End::Empty if on_pod_bridge || (link.master.is_none() && !is_node_uplink(link, pods)) => {
                Role::Pod { addresses: Vec::new() }
            }
            End::Empty | End::Foreign if link.master.is_some() && !on_pod_bridge => {
                Role::Ignored(Reason::ForeignContainer)
            }
            End::Empty | End::Foreign => Role::Uplink,
        },
        LinkKind::Bridge | LinkKind::Veth | LinkKind::Other => Role::Uplink,
    }
}

/// What the other end of a veth looks like.
enum End {
    Pod(Vec<IpAddr>),
    Empty,
    Foreign,
}

fn peer(link: &Link, pods: &PodAddresses) -> End {
    match link.peer.as_ref().and_then(|peer| peer.addresses.as_deref()) {
        // A namespace that can't be asked is not known to be a pod's, nor known not to be.
        None | Some([]) => End::Empty,
        Some(addresses) if addresses.iter().any(|address| pods.holds(*address)) => {
            End::Pod(addresses.to_vec())
        }
        Some(_) => End::Foreign,
    }
}

/// Whether a veth without master is how the node itself is reached: it then has an address outside the pods' range,
/// while a pod's host end has none, or the pods' gateway address.
fn is_node_uplink(link: &Link, pods: &PodAddresses) -> bool {
    link.addresses.iter().map(IpNet::addr).any(|address| !is_link_local(address) && !pods.in_range(address))
}

/// Bridges that have an address in the pods' range, or a pod as a port.
fn pod_bridges(links: &[Link], pods: &PodAddresses) -> BTreeSet<u32> {
    let by_address = links
        .iter()
        .filter(|link| link.addresses.iter().any(|net| pods.in_range(net.addr())))
        .map(|link| link.index);
    let is_pod = |link: &&Link| pods.links.contains(&link.index) || matches!(peer(link, pods), End::Pod(_));
    let by_port = links.iter().filter(is_pod).filter_map(|link| link.master);
    let candidates: BTreeSet<u32> = by_address.chain(by_port).collect();
    links
        .iter()
        .filter(|link| link.kind == LinkKind::Bridge && candidates.contains(&link.index))
        .map(|link| link.index)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Peer;

    fn link(index: u32, kind: LinkKind) -> Link {
        Link {
            index,
            name: format!("link{index}"),
            kind,
            ethernet: true,
            master: None,
            peer: None,
            overlay: None,
            addresses: vec![],
        }
    }

    fn veth(index: u32, peer: &[&str]) -> Link {
        let addresses = peer.iter().map(|address| address.parse().expect("an address")).collect();
        Link {
            peer: Some(Peer {
                netns: 0,
                index: 2,
                addresses: Some(addresses),
                link_local: vec![],
                mac: None,
            }),
            ..link(index, LinkKind::Veth)
        }
    }

    fn with_address(link: Link, address: &str) -> Link {
        Link { addresses: vec![address.parse().expect("a network")], ..link }
    }

    fn on(link: Link, master: u32) -> Link {
        Link { master: Some(master), ..link }
    }

    fn pods() -> PodAddresses {
        PodAddresses {
            ranges: vec!["10.244.1.0/24".parse().expect("a network")],
            known: BTreeSet::from(["192.168.9.9".parse().expect("an address")]),
            links: BTreeSet::from([40]),
        }
    }

    fn pod(addresses: &[&str]) -> Role {
        Role::Pod {
            addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
        }
    }

    #[test]
    fn bridge_wiring() {
        let links = [
            link(1, LinkKind::Loopback),
            link(2, LinkKind::Other),
            with_address(link(3, LinkKind::Bridge), "10.244.1.1/24"),
            on(veth(4, &["10.244.1.5"]), 3),
            on(veth(5, &[]), 3),
            with_address(link(6, LinkKind::Bridge), "172.17.0.1/16"),
            on(veth(7, &["172.17.0.2"]), 6),
            on(veth(8, &[]), 6),
        ];
        let expected = [
            Role::Ignored(Reason::Loopback),
            Role::Uplink,
            Role::Ignored(Reason::PodBridge),
            pod(&["10.244.1.5"]),
            pod(&[]),
            Role::Uplink,
            Role::Ignored(Reason::ForeignContainer),
            Role::Ignored(Reason::ForeignContainer),
        ];
        assert_eq!(roles(&links, &pods()), expected);
    }

    #[test]
    fn ptp_wiring_in_a_node_that_is_a_container() {
        let links = [
            // The node's uplink: a veth into the machine, which has addresses of its own or, as a bare switch, none.
            with_address(veth(2, &["172.18.0.1"]), "172.18.0.2/16"),
            with_address(veth(3, &[]), "172.19.0.2/16"),
            // Host ends of pods hold the gateway's address, or none.
            with_address(veth(4, &["10.244.1.7"]), "10.244.1.1/32"),
            with_address(veth(5, &[]), "10.244.1.1/32"),
            veth(6, &[]),
            // Something else, wired alike, with an address that is no pod's.
            veth(7, &["10.0.0.9"]),
        ];
        let expected = [Role::Uplink, Role::Uplink, pod(&["10.244.1.7"]), pod(&[]), pod(&[]), Role::Uplink];
        assert_eq!(roles(&links, &pods()), expected);
    }

    #[test]
    fn a_known_pod_outside_the_range_counts() {
        let links = [on(veth(4, &["192.168.9.9", "fd00::9"]), 9), link(9, LinkKind::Bridge)];
        let expected = [pod(&["192.168.9.9", "fd00::9"]), Role::Ignored(Reason::PodBridge)];
        assert_eq!(roles(&links, &pods()), expected);
    }

    #[test]
    fn a_pod_whose_object_is_gone_is_still_a_pod() {
        let links =
            [on(veth(40, &["172.30.0.2"]), 9), on(veth(41, &["172.30.0.3"]), 9), link(9, LinkKind::Bridge)];
        let expected = [pod(&["172.30.0.2"]), Role::Uplink, Role::Ignored(Reason::PodBridge)];
        assert_eq!(roles(&links, &pods()), expected);
    }

    #[test]
    fn a_container_on_the_pods_bridge_is_no_way_around() {
        let links = [
            with_address(link(3, LinkKind::Bridge), "10.244.1.1/24"),
            on(veth(4, &["172.30.0.2"]), 3),
            on(link(5, LinkKind::Other), 3),
        ];
        assert_eq!(roles(&links, &pods())[1..], [Role::Uplink, Role::Uplink]);
    }
}
