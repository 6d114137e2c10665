//! Packets from a pod: anti-spoofing, then egress, unless it has to wait for the translation of the destination.

use netpol_enforcer_common::{
    Direction,
    config::{AUDIT_UNKNOWN, Config, OVERLAY_IP, UNKNOWN_ALLOW},
    endpoint::{AUDIT, Endpoint, SET_NONE},
    mark,
    reason::Reason,
};

use crate::{
    DROP, PASS,
    context::{Context, is_node},
    evaluate::Verdict,
    fast::{self, Found},
    maps::{Scratch, scratch},
    neighbour,
    packet::{
        ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_SERVICE_VLAN,
        ETHERTYPE_VLAN, GRE, IPIP, IPV6_IN_IP, UDP, kind, parse,
    },
    skb::Skb,
    telemetry::{Subject, conclude},
    track,
};

#[inline(always)]
pub fn run(skb: Skb) -> i32 {
    let Some(context) = Context::timeless(skb) else { return DROP };
    let found = fast::established(&context, Direction::Egress);
    if found == Found::Approved {
        return PASS;
    }
    let context = Context { absent: found == Found::Nothing, ..context.at_this_moment() };
    // SAFETY: once in the program.
    let Some(scratch) = (unsafe { scratch() }) else { return DROP };
    let mut subject = Subject { generation: 0, slot: 0, direction: Direction::Egress as u8, flags: 0 };
    match context.endpoint(context.ifindex) {
        Some(endpoint) => {
            subject.generation = endpoint.generation;
            subject.slot = endpoint.slot;
            known(&context, endpoint, scratch);
            if !context.ready() && scratch.question.verdict.reason != Reason::Neighbour as u32 {
                scratch.question.verdict.set(Reason::Unready);
            }
            if scratch.question.verdict.allows() {
                let defer = if scratch.question.verdict.defer { mark::DEFER } else { 0 };
                context.set_mark(mark::FORWARDED | defer | u32::from(endpoint.slot) << mark::SLOT_SHIFT);
            }
        }
        None => {
            unknown(&context, scratch);
            let verdict = &mut scratch.question.verdict;
            verdict.audited = audits_unknown(&context, verdict);
            if scratch.question.verdict.allows() {
                let defer = if scratch.question.verdict.defer { mark::DEFER } else { 0 };
                context.set_mark(mark::FORWARDED | defer);
            }
        }
    }
    if scratch.question.verdict.reason == Reason::Neighbour as u32 && !context.ready() {
        return PASS;
    }
    conclude(&context, &scratch.packet, &scratch.question.verdict, &subject)
}

/// The verdict on a packet of an endpoint that the agent has programmed.
#[inline(always)]
fn known(context: &Context, endpoint: &Endpoint, scratch: &mut Scratch) {
    let packet = &mut scratch.packet;
    let verdict = &mut scratch.question.verdict;
    packet.ether_type = context.skb.ether_type();
    if endpoint.mac != [0; 6] {
        let Some(mac) = context.skb.load_halves::<3>(6) else { return verdict.set(Reason::Malformed) };
        if !neighbour::mac_is_own(mac, endpoint.mac) {
            return verdict.set(Reason::Spoofed);
        }
    }
    // The host takes tags of VLAN 0 off, and a bridge those of the port's own VLAN, however many there are.
    if context.skb.tagged() {
        return verdict.set(Reason::VlanTag);
    }
    match packet.ether_type {
        ETHERTYPE_ARP => {
            let own = neighbour::arp_is_own(context.skb, endpoint);
            return verdict.set(if own { Reason::Neighbour } else { Reason::Spoofed });
        }
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => {}
        ETHERTYPE_VLAN | ETHERTYPE_SERVICE_VLAN => return verdict.set(Reason::VlanTag),
        _ => return other_ether_type(context, endpoint, verdict),
    }
    if !parse(context.skb, ETHERNET_HEADER, packet) {
        return verdict.set(Reason::Malformed);
    }
    if packet.kind == kind::NEIGHBOUR {
        let own = neighbour::discovery_is_own(context.skb, packet, endpoint);
        return verdict.set(if own { Reason::Neighbour } else { Reason::Spoofed });
    }
    if !endpoint.owns(&packet.source) {
        return verdict.set(Reason::Spoofed);
    }
    if is_overlay(context.config, packet.protocol, packet.destination_port) {
        return verdict.set(Reason::Overlay);
    }
    let passes = track::decide(context, endpoint, scratch, Direction::Egress);
    // A result that nobody reads would not be returned, and the verifier wants one.
    scratch.question.verdict.track &= passes;
}

/// Whether a packet of a pod is one that this node, or another one like it, would unpack.
#[inline(always)]
pub fn is_overlay(config: &Config, protocol: u8, port: u16) -> bool {
    match protocol {
        UDP => {
            let [a, b, c, d] = config.overlay_ports;
            port != 0 && (port == a || port == b || port == c || port == d)
        }
        IPIP | IPV6_IN_IP | GRE => config.has(OVERLAY_IP),
        _ => false,
    }
}

/// The verdict on what is neither ARP nor IP: policies can't speak of it.
#[inline(always)]
pub fn other_ether_type(context: &Context, endpoint: &Endpoint, verdict: &mut Verdict) {
    let sets = context.sets(endpoint);
    if sets.ingress == SET_NONE && sets.egress == SET_NONE {
        verdict.set(Reason::NotIsolated);
    } else {
        verdict.audit = endpoint.has(AUDIT);
        verdict.deny(Reason::EtherType);
    }
}

/// Whether a packet that would be dropped because its endpoint is unknown passes.
#[inline(always)]
pub fn audits_unknown(context: &Context, verdict: &Verdict) -> bool {
    verdict.reason == Reason::UnknownEndpoint as u32 && context.config.has(AUDIT_UNKNOWN)
}

/// The verdict on a packet of a link that belongs to no known pod.
#[inline(always)]
fn unknown(context: &Context, scratch: &mut Scratch) {
    let packet = &mut scratch.packet;
    let verdict = &mut scratch.question.verdict;
    verdict.set(if context.config.has(UNKNOWN_ALLOW) {
        Reason::UnknownAllowed
    } else {
        Reason::UnknownEndpoint
    });
    packet.ether_type = context.skb.ether_type();
    if context.skb.tagged() {
        return;
    }
    match packet.ether_type {
        ETHERTYPE_ARP => return verdict.set(Reason::Neighbour),
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => {}
        _ => return,
    }
    if verdict.allows() || !parse(context.skb, ETHERNET_HEADER, packet) {
        return;
    }
    if packet.kind == kind::NEIGHBOUR {
        if neighbour::discovery_is_harmless(packet) {
            verdict.set(Reason::Neighbour);
        }
    } else if is_node(&packet.destination)
        && !is_overlay(context.config, packet.protocol, packet.destination_port)
    {
        // Deferred without a slot: it passes if it is delivered here, and nowhere else.
        verdict.set(Reason::Node);
        verdict.defer = true;
    }
}
