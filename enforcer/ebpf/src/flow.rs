//! Keys and life of tracked flows.

use netpol_enforcer_common::{
    Address, Direction,
    config::Config,
    conntrack::{CLOSING, Flow, FlowKey, SEEN_REPLY, ticks},
};

use crate::{
    maps,
    packet::{ICMP, ICMPV6, Packet, TCP, UDP, kind},
    trace::tracing,
    words::{Words, clear, copy},
};

/// Writes the key of the flow to which a packet belongs that travels in a direction.
#[inline(always)]
pub fn key(key: &mut FlowKey, generation: u32, packet: &Packet, direction: Direction) {
    let echo = matches!(packet.kind, kind::OPENING | kind::REPLY)
        && (packet.protocol == ICMP || packet.protocol == ICMPV6);
    let outward = matches!(direction, Direction::Egress);
    clear(key);
    key.generation = generation;
    if outward {
        copy(&mut key.local, &packet.source);
        copy(&mut key.remote, &packet.destination);
    } else {
        copy(&mut key.local, &packet.destination);
        copy(&mut key.remote, &packet.source);
    }
    if outward || echo {
        key.local_port = packet.source_port;
        key.remote_port = packet.destination_port;
    } else {
        key.local_port = packet.destination_port;
        key.remote_port = packet.source_port;
    }
    key.protocol = packet.protocol;
}

// SAFETY: words and pairs of half-words, bytes up to a whole word; and four words.
unsafe impl Words for FlowKey {}
unsafe impl Words for Address {}

/// The flow with a key, unless it has expired.
#[inline(always)]
pub fn find(key: &FlowKey, config: &Config, now: u32) -> Option<&'static mut Flow> {
    if tracing() {
        return None;
    }
    let flow = entry(key)?;
    alive(flow, key.protocol, config, now).then_some(flow)
}

/// The flow with a key, be it alive or not.
#[inline(always)]
pub fn entry(key: &FlowKey) -> Option<&'static mut Flow> {
    // SAFETY: the memory stays a flow's, though perhaps another's, for the run of the program; see `touch` for writes.
    Some(unsafe { &mut *maps::CONNTRACK.get_ptr_mut(key)? })
}

/// Whether a flow has not expired.
#[inline(always)]
pub fn alive(flow: &Flow, protocol: u8, config: &Config, now: u32) -> bool {
    // Another CPU may have stamped it a moment after this one read the clock.
    let age = now.wrapping_sub(flow.last_seen) as i32;
    age <= timeout(config, protocol, flow.flags) as i32
}

#[inline(always)]
fn timeout(config: &Config, protocol: u8, flags: u32) -> u32 {
    ticks(match protocol {
        TCP if flags & CLOSING != 0 => config.tcp_fin,
        TCP if flags & SEEN_REPLY != 0 => config.tcp_established,
        TCP => config.tcp_syn,
        UDP => config.udp,
        ICMP | ICMPV6 => config.icmp,
        _ => config.other,
    })
}

/// The epoch at which opening a flow from a direction was approved; 0: never.
#[inline(always)]
pub fn approved(flow: &Flow, opened: Direction) -> u32 {
    match opened {
        Direction::Ingress => flow.approved[0],
        Direction::Egress => flow.approved[1],
    }
}

/// Sets what [`approved`] returns.
#[inline(always)]
pub fn approve(flow: &mut Flow, opened: Direction, epoch: u32) {
    match opened {
        Direction::Ingress => flow.approved[0] = epoch,
        Direction::Egress => flow.approved[1] = epoch,
    }
}

/// The flags of a flow after a packet.
#[inline(always)]
pub fn flags_after(flags: u32, packet: &Packet, reply: bool) -> u32 {
    flags_then(flags, packet.protocol, packet.kind, packet.closing != 0, reply)
}

/// The same, by what matters of the packet.
#[inline(always)]
pub fn flags_then(flags: u32, protocol: u8, kind: u8, closing: bool, reply: bool) -> u32 {
    let flags = if reply || kind == kind::MIDDLE { flags | SEEN_REPLY } else { flags };
    if closing {
        flags | CLOSING
    } else if kind == kind::OPENING && protocol == TCP {
        // The port is used again: a new connection.
        flags & !(CLOSING | SEEN_REPLY)
    } else {
        flags
    }
}

/// Notes that a packet of the flow was seen. Only this is written in place, and only if it changes something: the memory is shared by all
/// CPUs, and might even belong to another flow by now. What grants anything is written under its key.
#[inline(always)]
pub fn touch(flow: &mut Flow, now: u32, flags: u32) {
    if flow.last_seen != now {
        flow.last_seen = now;
    }
    if flow.flags != flags {
        flow.flags = flags;
    }
}
