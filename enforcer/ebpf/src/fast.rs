//! The short way of a packet about which nothing is unusual: TCP or UDP without options, whole, of a flow that is approved.
//!
//! It gives the verdict that the long way would give, and does the same to the flow; whatever it is not sure of goes the long way.

use netpol_enforcer_common::{
    Address, Direction,
    conntrack::{ANSWERABLE, DEFERRED, FlowKey},
    mark,
    reason::Reason,
};

use crate::{
    context::{Context, jiffy, now},
    flow::{self, Step},
    from_pod::is_overlay,
    neighbour,
    packet::{
        ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, TCP, UDP, byte, high, kind, low, tcp_closes,
        tcp_kind,
    },
    skb::Skb,
    telemetry::count,
    trace::{short_way, tracing},
};

/// What the short way found out about a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Its flow is approved: it is counted and marked, and may pass.
    Approved,
    /// Its flow is not tracked.
    Nothing,
    /// It has to be looked at in full.
    Unsure,
}

/// Looks for the flow of a packet at a pod's veth.
#[inline(always)]
pub fn established(context: &Context, direction: Direction) -> Found {
    let skb = context.skb;
    let outward = matches!(direction, Direction::Egress);
    if !short_way() || tracing() || !context.ready() || skb.tagged() || !outward && context.deferred() {
        return Found::Unsure;
    }
    let found = match skb.ether_type() {
        ETHERTYPE_IPV4 => ipv4(skb, outward),
        ETHERTYPE_IPV6 => ipv6(skb, outward),
        _ => None,
    };
    let Some((mut key, flags)) = found else { return Found::Unsure };
    let Some((generation, brief)) = context.brief() else { return Found::Unsure };
    key.generation = generation;
    if outward {
        let Some(mac) = skb.linear::<[u16; 3]>(6) else { return Found::Unsure };
        if !neighbour::mac_is_own(*mac, brief.mac)
            || is_overlay(context.config, key.protocol, key.remote_port)
        {
            return Found::Unsure;
        }
    }
    let Some(flow) = flow::entry(&key) else { return Found::Nothing };
    // The sender's address was looked at when the flow was approved; addresses don't change within an epoch.
    if outward && flow.own == 0 {
        return Found::Unsure;
    }
    let kind = if key.protocol == TCP { tcp_kind(flags) } else { kind::EITHER };
    let own = kind != kind::REPLY && flow::approved(flow, direction) == context.epoch;
    let answer = kind != kind::OPENING
        && flow::approved(flow, direction.reverse()) == context.epoch
        && (outward || flow.flags & (DEFERRED | ANSWERABLE) != DEFERRED);
    if !own && !answer {
        return Found::Unsure;
    }
    let jiffy = jiffy();
    if flow.jiffy != jiffy {
        let now = now();
        if !flow::alive(flow, key.protocol, context.config, now) {
            return Found::Unsure;
        }
        flow::see(flow, now);
        flow.jiffy = jiffy;
    }
    let step = Step { protocol: key.protocol, kind, closing: tcp_closes(flags), outward, reply: !own };
    if outward {
        let defer = if own && flow.flags & DEFERRED != 0 { mark::DEFER } else { 0 };
        context.set_mark(mark::FORWARDED | defer | u32::from(brief.slot) << mark::SLOT_SHIFT);
    }
    flow::advance(&key, flow, step);
    count(Reason::Established.counter(direction), skb.length());
    Found::Approved
}

#[inline(always)]
fn ipv4(skb: Skb, outward: bool) -> Option<(FlowKey, u8)> {
    let header = skb.linear::<[u32; 5]>(ETHERNET_HEADER)?;
    let (first, protocol) = (header[0], byte(header[2], 1));
    if byte(first, 0) != 0x45 || low(header[1]) & 0x3fff != 0 {
        return None;
    }
    let total = u32::from(low(first));
    if total < 20 || total > skb.length() - ETHERNET_HEADER {
        return None;
    }
    let (ports, flags) = ports(skb, ETHERNET_HEADER + 20, protocol, total - 20)?;
    let (source, destination) = (Address::from_v4_word(header[3]), Address::from_v4_word(header[4]));
    Some((key(source, destination, ports, protocol, outward), flags))
}

#[inline(always)]
fn ipv6(skb: Skb, outward: bool) -> Option<(FlowKey, u8)> {
    let header = skb.linear::<[u32; 10]>(ETHERNET_HEADER)?;
    let (payload, protocol) = (u32::from(high(header[1])), byte(header[1], 2));
    if byte(header[0], 0) >> 4 != 6 || payload > skb.length() - ETHERNET_HEADER - 40 {
        return None;
    }
    let (ports, flags) = ports(skb, ETHERNET_HEADER + 40, protocol, payload)?;
    let source = Address([header[2], header[3], header[4], header[5]]);
    let destination = Address([header[6], header[7], header[8], header[9]]);
    if source.is_v4() || destination.is_v4() {
        return None;
    }
    Some((key(source, destination, ports, protocol, outward), flags))
}

/// The word with both ports, and TCP's flags.
#[inline(always)]
fn ports(skb: Skb, offset: u32, protocol: u8, length: u32) -> Option<(u32, u8)> {
    match protocol {
        TCP if length >= 20 => {
            let words = skb.linear::<[u32; 4]>(offset)?;
            Some((words[0], byte(words[3], 1)))
        }
        UDP if length >= 8 => skb.linear::<[u32; 2]>(offset).map(|words| (words[0], 0)),
        _ => None,
    }
}

/// A key without generation. Written as words: so it takes no call of `memset`.
#[inline(always)]
fn key(source: Address, destination: Address, ports: u32, protocol: u8, outward: bool) -> FlowKey {
    let (Address(local), Address(remote)) =
        if outward { (source, destination) } else { (destination, source) };
    let (source_port, destination_port) = (high(ports), low(ports));
    let (local_port, remote_port) =
        if outward { (source_port, destination_port) } else { (destination_port, source_port) };
    let ports = pair(local_port, remote_port);
    let protocol = u32::from(protocol).to_le();
    #[cfg(not(feature = "other-layout"))]
    let words = [
        0, local[0], local[1], local[2], local[3], remote[0], remote[1], remote[2], remote[3], ports,
        protocol,
    ];
    #[cfg(feature = "other-layout")]
    let words = [
        local[0], local[1], local[2], local[3], remote[0], remote[1], remote[2], remote[3], 0, ports,
        protocol, 0,
    ];
    // SAFETY: these are all words of a key in their order, and any bits are allowed in it.
    unsafe { core::mem::transmute(words) }
}

/// Two half-words as they lie in memory.
#[inline(always)]
fn pair(first: u16, second: u16) -> u32 {
    if cfg!(target_endian = "big") {
        u32::from(first) << 16 | u32::from(second)
    } else {
        u32::from(second) << 16 | u32::from(first)
    }
}
