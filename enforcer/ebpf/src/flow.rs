//! Keys and life of tracked flows.

use netpol_enforcer_common::{
    Address, Direction,
    config::Config,
    conntrack::{CLOSING, FIN_RECEIVED, FIN_SENT, Flow, FlowKey, SEEN_REPLY, ticks},
};

use crate::{
    maps,
    packet::{FIN, ICMP, ICMPV6, Packet, TCP, UDP, kind},
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
    // SAFETY: the memory stays a flow's, though perhaps another's, for the run of the program; see `advance` for writes.
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

/// What of a packet matters to the life of its flow.
#[derive(Clone, Copy)]
pub struct Step {
    /// The IP protocol number.
    pub protocol: u8,
    /// See [`kind`].
    pub kind: u8,
    /// FIN and RST of TCP's flags.
    pub closing: u8,
    /// The pod sent it.
    pub outward: bool,
    /// It belongs to the flow as an answer.
    pub reply: bool,
}

impl Step {
    /// That of a packet.
    #[inline(always)]
    pub fn of(packet: &Packet, outward: bool, reply: bool) -> Self {
        Self { protocol: packet.protocol, kind: packet.kind, closing: packet.closing, outward, reply }
    }

    /// The flags of a flow after the packet.
    #[inline(always)]
    pub fn flags(self, flags: u32) -> u32 {
        let flags = if self.reply || self.kind == kind::MIDDLE { flags | SEEN_REPLY } else { flags };
        if self.closing != 0 {
            let fin = if self.outward { FIN_SENT } else { FIN_RECEIVED };
            flags | CLOSING | if self.closing & FIN == 0 { 0 } else { fin }
        } else if self.kind == kind::OPENING && self.protocol == TCP {
            // The port is used again: a new connection.
            flags & !(CLOSING | SEEN_REPLY | FIN_SENT | FIN_RECEIVED)
        } else {
            flags
        }
    }

    /// Whether the packet is the last of a flow: both sides had closed it, and here is the answer to the second FIN.
    #[inline(always)]
    pub fn ends(self, flags: u32) -> bool {
        const BOTH: u32 = FIN_SENT | FIN_RECEIVED;
        self.kind == kind::MIDDLE && self.closing == 0 && flags & BOTH == BOTH
    }
}

/// Does to an approved flow what a packet of it does. Only flags and times are written in place, and only if that changes something: the memory
/// is shared by all CPUs, and might even belong to another flow by now. What grants anything is written under its key.
#[inline(always)]
pub fn advance(key: &FlowKey, flow: &mut Flow, step: Step) {
    if step.ends(flow.flags) {
        let _ = maps::CONNTRACK.remove(key);
        return;
    }
    let flags = step.flags(flow.flags);
    if flow.flags != flags {
        flow.flags = flags;
    }
}

/// Notes when a packet of the flow was seen.
#[inline(always)]
pub fn see(flow: &mut Flow, now: u32) {
    if flow.last_seen != now {
        flow.last_seen = now;
    }
}
