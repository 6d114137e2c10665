//! Links that unpack packets: what arrives in their encapsulation comes out on the node with any addresses.

use netlink_packet_route::link::{InfoData, InfoGeneve, InfoKind, InfoVxlan, LinkInfo};

/// An encapsulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overlay {
    /// VXLAN or Geneve on a UDP port.
    Udp(u16),
    /// IP in IP, IPv6 in IP or GRE.
    Ip,
}

/// The encapsulation that a link unpacks, by what the kernel says of it. WireGuard and IPsec are none: they know who sent a packet.
pub(super) fn of(infos: &[LinkInfo]) -> Option<Overlay> {
    let port = |data: &InfoData| match data {
        InfoData::Vxlan(attributes) => attributes.iter().find_map(|attribute| match attribute {
            InfoVxlan::Port(port) => Some(*port),
            _ => None,
        }),
        InfoData::Geneve(attributes) => attributes.iter().find_map(|attribute| match attribute {
            InfoGeneve::Port(port) => Some(*port),
            _ => None,
        }),
        _ => None,
    };
    infos.iter().find_map(|info| match info {
        LinkInfo::Kind(
            InfoKind::IpIp
            | InfoKind::SitTun
            | InfoKind::Ip6Tnl
            | InfoKind::GreTun
            | InfoKind::GreTun6
            | InfoKind::GreTap
            | InfoKind::GreTap6,
        ) => Some(Overlay::Ip),
        LinkInfo::Data(data) => port(data).map(Overlay::Udp),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_kind_and_port() {
        let vxlan = [
            LinkInfo::Kind(InfoKind::Vxlan),
            LinkInfo::Data(InfoData::Vxlan(vec![InfoVxlan::Id(1), InfoVxlan::Port(8472)])),
        ];
        assert_eq!(of(&vxlan), Some(Overlay::Udp(8472)));
        assert_eq!(of(&[LinkInfo::Kind(InfoKind::IpIp)]), Some(Overlay::Ip));
        assert_eq!(of(&[LinkInfo::Kind(InfoKind::Wireguard)]), None);
        assert_eq!(of(&[]), None);
    }
}
