//! Packets to a pod: the sender's egress if it was deferred, then the pod's ingress.

use netpol_enforcer_common::{Direction, config::UNKNOWN_ALLOW, endpoint::Endpoint, reason::Reason};

use crate::{
    DROP, PASS,
    context::Context,
    deferred,
    fast::{self, Found},
    from_pod::{audits_unknown, other_ether_type},
    maps::{Scratch, scratch},
    packet::{ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Packet, kind, parse},
    skb::Skb,
    telemetry::{Subject, conclude},
    track,
};

#[inline(always)]
pub fn run(skb: Skb) -> i32 {
    let Some(context) = Context::timeless(skb) else { return DROP };
    let found = fast::established(&context, Direction::Ingress);
    if found == Found::Approved {
        return PASS;
    }
    let context = Context { absent: found == Found::Nothing, ..context.at_this_moment() };
    // SAFETY: once in the program.
    let Some(scratch) = (unsafe { scratch() }) else { return DROP };
    let mut subject = Subject { generation: 0, slot: 0, direction: Direction::Ingress as u8, flags: 0 };

    let parsed = headers(&context, &mut scratch.packet);
    if matches!(parsed, Parsed::Ip) && context.deferred() {
        let result = deferred::decide(&context, scratch);
        if result == DROP {
            return DROP;
        }
        // The fragment's ports, if any, were those for the sender's verdict; they hold for this one.
    }
    match context.endpoint(context.ifindex) {
        Some(endpoint) => {
            subject.generation = endpoint.generation;
            subject.slot = endpoint.slot;
            known(&context, endpoint, &parsed, scratch);
        }
        None => unknown(&context, &parsed, scratch),
    }
    conclude(&context, &scratch.packet, &scratch.question.verdict, &subject)
}

/// What the headers up to the network's are.
enum Parsed {
    Neighbour,
    Ip,
    Other,
    Malformed,
}

#[inline(always)]
fn headers(context: &Context, packet: &mut Packet) -> Parsed {
    packet.ether_type = context.skb.ether_type();
    let tagged = context.skb.tagged();
    match packet.ether_type {
        ETHERTYPE_ARP if !tagged => return Parsed::Neighbour,
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 if !tagged => {}
        _ => return Parsed::Other,
    }
    if !parse(context.skb, ETHERNET_HEADER, packet) {
        return Parsed::Malformed;
    }
    if packet.kind == kind::NEIGHBOUR { Parsed::Neighbour } else { Parsed::Ip }
}

/// The verdict on a packet to an endpoint that the agent has programmed.
#[inline(always)]
fn known(context: &Context, endpoint: &Endpoint, parsed: &Parsed, scratch: &mut Scratch) {
    let verdict = &mut scratch.question.verdict;
    match parsed {
        Parsed::Neighbour => verdict.set(Reason::Neighbour),
        Parsed::Other => other_ether_type(context, endpoint, verdict),
        Parsed::Malformed => verdict.set(Reason::Malformed),
        Parsed::Ip => {
            let passes = track::decide(context, endpoint, scratch, Direction::Ingress);
            // As in `from_pod`.
            scratch.question.verdict.track &= passes;
        }
    }
}

/// The verdict on a packet to a link that belongs to no known pod.
#[inline(always)]
fn unknown(context: &Context, parsed: &Parsed, scratch: &mut Scratch) {
    let source = scratch.packet.source;
    scratch.question.verdict.reset();
    scratch.question.verdict.set(match parsed {
        Parsed::Neighbour => Reason::Neighbour,
        Parsed::Ip if context.from_node(&source) => Reason::Node,
        _ if context.config.has(UNKNOWN_ALLOW) => Reason::UnknownAllowed,
        _ => Reason::UnknownEndpoint,
    });
    scratch.question.verdict.audited = audits_unknown(context, &scratch.question.verdict);
}
