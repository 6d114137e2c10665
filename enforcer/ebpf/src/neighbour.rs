//! ARP and neighbour discovery: free of policy, but not of anti-spoofing.

use netpol_enforcer_common::{Address, endpoint::Endpoint};

use crate::{
    packet::{ETHERNET_HEADER, Packet},
    skb::Skb,
};

/// Whether a pod may send this ARP packet: for Ethernet and IPv4, with its own address as the sender's, or none (a probe).
#[inline(always)]
pub fn arp_is_own(skb: Skb, endpoint: &Endpoint) -> bool {
    let Some(halves) = skb.load_halves::<14>(ETHERNET_HEADER) else { return false };
    if u16::from_be(halves[0]) != 1 || u16::from_be(halves[1]) != 0x0800 || u16::from_be(halves[2]) != 0x0604
    {
        return false;
    }
    if !mac_is_own([halves[4], halves[5], halves[6]], endpoint.mac) {
        return false;
    }
    halves[7] == 0 && halves[8] == 0 || endpoint.owns_v4(word(halves[7], halves[8]))
}

/// Whether a MAC address, as loaded from a packet, is the pod's, or not known to be another.
#[inline(always)]
pub fn mac_is_own(mac: [u16; 3], [a, b, c, d, e, f]: [u8; 6]) -> bool {
    let own = [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]), u16::from_ne_bytes([e, f])];
    own[0] | own[1] | own[2] == 0 || (own[0] ^ mac[0]) | (own[1] ^ mac[1]) | (own[2] ^ mac[2]) == 0
}

/// Whether a pod may send this message of neighbour or multicast listener discovery. A pod is no router: it neither advertises
/// itself as one nor redirects.
#[inline(always)]
pub fn discovery_is_own(skb: Skb, packet: &Packet, endpoint: &Endpoint) -> bool {
    let own = |address: &Address| address.is_v6_link_local() || endpoint.owns_v6(address);
    match packet.icmp_type {
        134 | 137 => false,
        136 => {
            own(&packet.source)
                && packet.end >= packet.transport + 24
                && skb.load::<4>(packet.transport + 8).is_some_and(|target| own(&Address(target)))
        }
        _ => packet.source.is_none() || own(&packet.source),
    }
}

/// The same for a pod whose addresses aren't known yet.
#[inline(always)]
pub fn discovery_is_harmless(packet: &Packet) -> bool {
    !matches!(packet.icmp_type, 134 | 137)
}

#[inline(always)]
fn word(first: u16, second: u16) -> u32 {
    let [a, b] = first.to_ne_bytes();
    let [c, d] = second.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}
