//! Ports of fragments.

use netpol_enforcer_common::{
    Direction,
    fragment::{Fragment, FragmentKey, LIFETIME},
    reason::Reason,
};

use crate::{
    context::Context,
    maps::{self, Find as _},
    packet::{Packet, kind, part},
    trace::tracing,
};

/// Remembers the ports of a first fragment and recalls them for the others. On failure (false) the packet is [`kind::BROKEN`].
#[inline(never)]
pub fn resolve(context: &Context, generation: u32, packet: &mut Packet, direction: Direction) -> bool {
    let key = FragmentKey {
        id: packet.fragment_id,
        generation,
        source: packet.source,
        destination: packet.destination,
        protocol: packet.fragment_protocol,
        direction: direction as u8,
        reserved: [0; 2],
    };
    if packet.part == part::FIRST {
        if packet.kind == kind::BROKEN {
            return false;
        }
        let fragment = Fragment {
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            seen: context.now,
            kind: u32::from(packet.kind) | u32::from(packet.protocol) << 8,
        };
        if !tracing() && maps::FRAGMENTS.insert(&key, &fragment, 0).is_err() {
            return fail(packet, Reason::FragmentsFull);
        }
        return true;
    }
    if packet.kind == kind::BROKEN {
        return false;
    }
    match maps::FRAGMENTS.find(&key) {
        Some(first) if (context.now.wrapping_sub(first.seen) as i32) <= LIFETIME as i32 => {
            packet.source_port = first.source_port;
            packet.destination_port = first.destination_port;
            packet.kind = first.kind as u8;
            packet.protocol = (first.kind >> 8) as u8;
            true
        }
        _ => fail(packet, Reason::FragmentUnknown),
    }
}

#[inline(always)]
fn fail(packet: &mut Packet, reason: Reason) -> bool {
    packet.kind = kind::BROKEN;
    packet.broken = reason as u8;
    false
}
