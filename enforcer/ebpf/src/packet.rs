//! Parsing. Headers are copied out of the packet with `bpf_skb_load_bytes`, which also reads packets whose headers are not linear.

use netpol_enforcer_common::{Address, reason::Reason};

use crate::{skb::Skb, words::Words};

/// The length of an Ethernet header.
pub const ETHERNET_HEADER: u32 = 14;

/// `EtherType`s in host byte order.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
pub const ETHERTYPE_ARP: u16 = 0x0806;
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
pub const ETHERTYPE_VLAN: u16 = 0x8100;
pub const ETHERTYPE_SERVICE_VLAN: u16 = 0x88a8;

/// IP protocol numbers.
pub const ICMP: u8 = 1;
pub const IPIP: u8 = 4;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const IPV6_IN_IP: u8 = 41;
pub const GRE: u8 = 47;
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132;

/// What a packet can be to a flow.
pub mod kind {
    /// May open a flow or belong to one: UDP, everything without a notion of a connection.
    pub const EITHER: u8 = 0;
    /// Opens a flow and is never a reply: TCP with SYN only, SCTP's INIT, an echo request.
    pub const OPENING: u8 = 1;
    /// TCP within a connection that is open.
    pub const MIDDLE: u8 = 2;
    /// Never opens a flow: TCP with SYN and ACK, SCTP's INIT ACK, an echo reply.
    pub const REPLY: u8 = 3;
    /// An ICMP error; the flow it belongs to is in its payload.
    pub const ERROR: u8 = 4;
    /// Stands for itself: other ICMP.
    pub const SINGLE: u8 = 5;
    /// Neighbour or multicast listener discovery with the hop limit it must have.
    pub const NEIGHBOUR: u8 = 6;
    /// The transport header can't be parsed; [`super::Packet::broken`] says why.
    pub const BROKEN: u8 = 7;
}

/// What a packet is of a fragmented one.
pub mod part {
    /// Not fragmented.
    pub const WHOLE: u8 = 0;
    /// The first fragment.
    pub const FIRST: u8 = 1;
    /// Another.
    pub const LATER: u8 = 2;
}

// SAFETY: fifteen words, in which zeros stand for a whole packet of which nothing is known.
unsafe impl Words for Packet {}

/// A parsed packet. Ports are in host byte order; for echo messages they are the identifier and 0.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Packet {
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
    pub ether_type: u16,
    /// For a later fragment: what the fragment header says comes first.
    pub protocol: u8,
    pub kind: u8,
    pub icmp_type: u8,
    pub icmp_code: u8,
    /// See [`part`].
    pub part: u8,
    /// FIN and RST of TCP's flags.
    pub closing: u8,
    /// A [`Reason`] number if the kind is [`kind::BROKEN`].
    pub broken: u8,
    pub hop_limit: u8,
    /// What the fragmentable part begins with; equal in all fragments.
    pub fragment_protocol: u8,
    pub reserved: u8,
    pub fragment_id: u32,
    /// Where the transport header begins.
    pub transport: u32,
    /// Where the packet ends, without padding.
    pub end: u32,
}

impl Packet {
    /// Whether the protocol has ports that a policy can name.
    #[inline(always)]
    pub const fn has_ports(protocol: u8) -> bool {
        matches!(protocol, TCP | UDP | SCTP)
    }

    #[inline(always)]
    fn break_off(&mut self, reason: Reason) {
        self.kind = kind::BROKEN;
        self.broken = reason as u8;
    }
}

/// The byte at an index of a word that was loaded from the packet.
#[inline(always)]
pub const fn byte(word: u32, index: u32) -> u8 {
    (u32::from_be(word) >> (24 - index * 8)) as u8
}

/// The upper half of a word as a number.
#[inline(always)]
pub const fn high(word: u32) -> u16 {
    (u32::from_be(word) >> 16) as u16
}

/// The lower half of a word as a number.
#[inline(always)]
pub const fn low(word: u32) -> u16 {
    u32::from_be(word) as u16
}

/// Parses a packet whose network header is at `offset` and whose `ether_type` is set to one of IP. False: the network header is no good.
///
/// A bad transport header is not an error here, but makes the packet [`kind::BROKEN`].
#[inline(always)]
pub fn parse(skb: Skb, offset: u32, packet: &mut Packet) -> bool {
    let end = skb.length();
    if !network(skb, offset, end, packet) {
        return false;
    }
    if packet.kind != kind::BROKEN && packet.part != part::LATER {
        transport(skb, packet);
    }
    true
}

/// Parses the packet within an ICMP error. False: it can't be told to which flow it belongs.
#[inline(always)]
pub fn parse_inner(skb: Skb, outer: &Packet, inner: &mut Packet) -> bool {
    inner.ether_type = outer.ether_type;
    if !network(skb, outer.transport + 8, u32::MAX, inner) {
        return false;
    }
    if inner.kind == kind::BROKEN || inner.part == part::LATER {
        return false;
    }
    // Only eight bytes of the transport header need be there.
    let Some(words) = skb.load::<2>(inner.transport) else { return false };
    if Packet::has_ports(inner.protocol) {
        inner.source_port = high(words[0]);
        inner.destination_port = low(words[0]);
    } else if inner.protocol == ICMP || inner.protocol == ICMPV6 {
        icmp(words, inner);
        return inner.kind == kind::OPENING || inner.kind == kind::REPLY;
    }
    true
}

/// The network header, from addresses to where the transport header begins.
#[inline(never)]
fn network(skb: Skb, offset: u32, limit: u32, packet: &mut Packet) -> bool {
    if packet.ether_type == ETHERTYPE_IPV4 {
        ipv4(skb, offset, limit, packet)
    } else {
        ipv6(skb, offset, limit, packet)
    }
}

#[inline(always)]
fn ipv4(skb: Skb, offset: u32, limit: u32, packet: &mut Packet) -> bool {
    let Some(words) = skb.load::<5>(offset) else { return false };
    let header = u32::from(byte(words[0], 0) & 0xf) * 4;
    if byte(words[0], 0) >> 4 != 4 || header < 20 {
        return false;
    }
    packet.source = Address::from_v4_word(words[3]);
    packet.destination = Address::from_v4_word(words[4]);
    packet.hop_limit = byte(words[2], 0);
    packet.protocol = byte(words[2], 1);
    packet.fragment_protocol = packet.protocol;
    packet.transport = offset + header;
    packet.end = limit;
    let total = u32::from(low(words[0]));
    // Only a segmentation super-packet that is too long for the field says 0.
    if limit != u32::MAX && (total != 0 || limit - offset <= 0xffff) {
        if total < header || total > limit - offset {
            return false;
        }
        packet.end = offset + total;
    }
    let fragment = low(words[1]);
    if fragment & 0x3fff != 0 {
        packet.fragment_id = u32::from(high(words[1]));
        packet.part = if fragment & 0x1fff == 0 { part::FIRST } else { part::LATER };
    }
    true
}

/// How many IPv6 extension headers are followed.
const MAX_EXTENSIONS: u32 = 8;

#[inline(always)]
fn ipv6(skb: Skb, offset: u32, limit: u32, packet: &mut Packet) -> bool {
    let Some(words) = skb.load::<10>(offset) else { return false };
    if byte(words[0], 0) >> 4 != 6 {
        return false;
    }
    packet.source = Address([words[2], words[3], words[4], words[5]]);
    packet.destination = Address([words[6], words[7], words[8], words[9]]);
    // A mapped address has no business in a packet, and would pass for an IPv4 address here.
    if packet.source.is_v4() || packet.destination.is_v4() {
        return false;
    }
    packet.hop_limit = byte(words[1], 3);
    packet.end = limit;
    let payload = u32::from(high(words[1]));
    // A jumbogram, which a segmentation super-packet may be, says 0.
    if limit != u32::MAX && payload != 0 {
        if payload > limit - offset - 40 {
            return false;
        }
        packet.end = offset + 40 + payload;
    }
    extensions(skb, offset + 40, byte(words[1], 2), packet);
    true
}

/// Follows the extension headers.
#[inline(always)]
fn extensions(skb: Skb, start: u32, first: u8, packet: &mut Packet) {
    let mut next = first;
    let mut at = start;
    let mut rest = MAX_EXTENSIONS;
    while rest > 0 {
        rest -= 1;
        // Hop-by-hop, routing, fragment, authentication, destination, mobility, HIP, shim6.
        if !matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
            packet.protocol = next;
            packet.transport = at;
            if packet.part == part::WHOLE {
                packet.fragment_protocol = next;
            }
            return;
        }
        let Some([word, second]) = skb.load::<2>(at) else {
            packet.break_off(Reason::Malformed);
            return;
        };
        let length = u32::from(byte(word, 1));
        match next {
            44 => {
                let fragment = low(word);
                if fragment & 0xfff9 != 0 {
                    packet.fragment_id = second;
                    packet.fragment_protocol = byte(word, 0);
                    packet.part = if fragment & 0xfff8 == 0 { part::FIRST } else { part::LATER };
                }
                at += 8;
                if packet.part == part::LATER {
                    packet.protocol = byte(word, 0);
                    packet.transport = at;
                    return;
                }
            }
            51 => at += (length + 2) * 4,
            // A routing header with segments left: the destination is not where the packet goes.
            43 if byte(word, 3) != 0 => {
                packet.break_off(Reason::ExtensionHeaders);
                return;
            }
            _ => at += (length + 1) * 8,
        }
        next = byte(word, 0);
    }
    packet.break_off(Reason::ExtensionHeaders);
}

/// The transport header of a packet that has one.
#[inline(always)]
fn transport(skb: Skb, packet: &mut Packet) {
    let needed = match packet.protocol {
        TCP => 20,
        UDP => 8,
        SCTP => 12,
        ICMP if packet.ether_type == ETHERTYPE_IPV4 => 8,
        ICMPV6 if packet.ether_type == ETHERTYPE_IPV6 => 4,
        _ => return,
    };
    let short = if packet.part == part::FIRST { Reason::FragmentTooShort } else { Reason::Malformed };
    if packet.transport > packet.end || packet.end - packet.transport < needed {
        packet.break_off(short);
        return;
    }
    if packet.protocol == ICMPV6 && packet.end - packet.transport < 8 {
        // Four bytes are a complete message of some types, none of which is an echo or an error.
        packet.kind = kind::SINGLE;
        return;
    }
    if packet.protocol == TCP {
        return tcp(skb, packet, short);
    }
    let Some(words) = skb.load::<2>(packet.transport) else {
        packet.break_off(short);
        return;
    };
    if packet.protocol == ICMP || packet.protocol == ICMPV6 {
        icmp(words, packet);
        return;
    }
    packet.source_port = high(words[0]);
    packet.destination_port = low(words[0]);
    if packet.protocol == SCTP
        && packet.end - packet.transport >= 16
        && let Some([chunk]) = skb.load::<1>(packet.transport + 12)
    {
        packet.kind = match byte(chunk, 0) {
            SCTP_INIT => kind::OPENING,
            SCTP_INIT_ACK => kind::REPLY,
            _ => kind::EITHER,
        };
    }
}

/// Chunk types.
const SCTP_INIT: u8 = 1;
const SCTP_INIT_ACK: u8 = 2;

#[inline(always)]
fn tcp(skb: Skb, packet: &mut Packet, short: Reason) {
    let Some(words) = skb.load::<4>(packet.transport) else {
        packet.break_off(short);
        return;
    };
    packet.source_port = high(words[0]);
    packet.destination_port = low(words[0]);
    let flags = byte(words[3], 1);
    packet.kind = tcp_kind(flags);
    packet.closing = tcp_closes(flags);
}

/// Bits of TCP.
pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const ACK: u8 = 16;

/// What a segment with these flags is to a flow.
#[inline(always)]
pub const fn tcp_kind(flags: u8) -> u8 {
    if flags & SYN == 0 {
        kind::MIDDLE
    } else if flags & ACK == 0 {
        kind::OPENING
    } else {
        kind::REPLY
    }
}

/// Those of a segment's flags that end the connection.
#[inline(always)]
pub const fn tcp_closes(flags: u8) -> u8 {
    flags & (FIN | RST)
}

/// What an ICMP message is to a flow. The flow's ports are the identifier and the type of the request.
#[inline(always)]
fn icmp(words: [u32; 2], packet: &mut Packet) {
    let message = byte(words[0], 0);
    packet.icmp_type = message;
    packet.icmp_code = byte(words[0], 1);
    let v6 = packet.protocol == ICMPV6;
    let (kind, request) = match (v6, message) {
        (false, 8 | 13) | (true, 128) => (kind::OPENING, message),
        (false, 0) => (kind::REPLY, 8),
        (false, 14) => (kind::REPLY, 13),
        (true, 129) => (kind::REPLY, 128),
        (false, 3 | 4 | 11 | 12) | (true, 1..=4) => (kind::ERROR, 0),
        (true, 133..=137) if packet.hop_limit == 255 => (kind::NEIGHBOUR, 0),
        (true, 130..=132 | 143) if packet.hop_limit == 1 => (kind::NEIGHBOUR, 0),
        _ => (kind::SINGLE, 0),
    };
    packet.kind = kind;
    if request != 0 {
        packet.source_port = high(words[1]);
        packet.destination_port = u16::from(request);
    }
    // A fragmented message of any of these kinds is nothing a host sends.
    if packet.part != part::WHOLE && (kind == kind::NEIGHBOUR || kind == kind::ERROR) {
        packet.kind = kind::SINGLE;
    }
}
