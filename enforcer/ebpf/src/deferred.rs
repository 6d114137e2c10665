//! The egress verdict that had to wait for the translation of the destination.

use netpol_enforcer_common::{
    Direction,
    config::AUDIT_UNKNOWN,
    conntrack::{self, Link, LinkKey},
    endpoint::{AUDIT, Endpoint, SET_NONE},
    event::DEFERRED,
    mark,
    reason::Reason,
};

use crate::{
    DROP, PASS,
    context::{self, Context},
    evaluate::{Question, open_translated},
    flow::{self, Step},
    fragment,
    maps::{self, Scratch, scratch},
    packet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Packet, kind, parse, part},
    skb::Skb,
    telemetry::{Subject, conclude},
    trace::tracing,
    track,
    words::{clear, copy},
};

/// On a link that is no pod's. `offset`: the length of the link-layer header.
#[inline(always)]
pub fn run(skb: Skb, offset: u32) -> i32 {
    // Most packets end here. With no settings there is no mask, and nothing can have been marked.
    if !context::deferred(skb) {
        return PASS;
    }
    let Some(context) = Context::timeless(skb) else { return DROP };
    let context = context.at_this_moment();
    // SAFETY: once in the program.
    let Some(scratch) = (unsafe { scratch() }) else { return DROP };
    let packet = &mut scratch.packet;
    packet.ether_type = skb.ether_type();
    let ip = matches!(packet.ether_type, ETHERTYPE_IPV4 | ETHERTYPE_IPV6);
    if !ip || !parse(skb, offset, packet) {
        let subject = Subject { generation: 0, slot: 0, direction: Direction::Egress as u8, flags: DEFERRED };
        let verdict = &mut scratch.question.verdict;
        verdict.set(if ip { Reason::Malformed } else { Reason::EtherType });
        return conclude(&context, packet, verdict, &subject);
    }
    decide(&context, scratch)
}

/// Decides a packet that carries a deferred mark, and takes the deferral from the mark if it may pass: the same packet may leave through
/// another link after this one, in a tunnel's outer header.
#[inline(never)]
pub fn decide(context: &Context, scratch: &mut Scratch) -> i32 {
    let Scratch { packet, question, .. } = scratch;
    let mut subject = Subject {
        generation: 0,
        slot: context.slot() as u16,
        direction: Direction::Egress as u8,
        flags: DEFERRED,
    };
    question.verdict.reset();
    match context.endpoint_of_slot(context.slot()) {
        Some(endpoint) => {
            subject.generation = endpoint.generation;
            translated(context, endpoint, packet, question);
        }
        None => {
            question.verdict.set(Reason::SlotUnknown);
            question.verdict.audited = context.config.has(AUDIT_UNKNOWN);
        }
    }
    if question.verdict.allows() {
        context.set_mark(context.mark & !mark::DEFER);
    }
    conclude(context, packet, &question.verdict, &subject)
}

#[inline(always)]
fn translated(context: &Context, endpoint: &Endpoint, packet: &mut Packet, question: &mut Question) {
    if endpoint.owns(&packet.destination) {
        return question.verdict.set(Reason::Itself);
    }
    if context.sets(endpoint).egress == SET_NONE {
        return question.verdict.set(Reason::NotIsolated);
    }
    if packet.part != part::WHOLE {
        fragment::resolve(context, endpoint.generation, packet, Direction::Egress);
    }
    if packet.kind == kind::BROKEN {
        question.verdict.reset();
        question.verdict.audit = endpoint.has(AUDIT);
        return question.verdict.break_off(packet.broken);
    }
    flow::key(&mut question.key, endpoint.generation, packet, Direction::Egress);
    clear(&mut question.flow);
    let mut track = packet.kind < kind::REPLY;
    if track && let Some(flow) = flow::find(&question.key, context.config, context.now) {
        if flow.flags & conntrack::DEFERRED != 0 {
            // Nothing was translated: this is the entry that led here, and it approves of nothing.
            track = false;
        } else if flow::approved(flow, Direction::Egress) == context.epoch {
            flow::see(flow, context.now);
            flow::advance(&question.key, flow, Step::of(packet, true, false));
            return question.verdict.set(Reason::Established);
        }
        copy(&mut question.flow, flow);
    }
    let allowed = open_translated(context, endpoint, question);
    question.verdict.news = flow::approved(&question.flow, Direction::Egress) == 0;
    link(context, packet, question);
    if allowed && track {
        flow::approve(&mut question.flow, Direction::Egress, context.epoch);
        question.flow.last_seen = context.now;
        question.flow.flags = Step::of(packet, true, false).flags(question.flow.flags);
        track::store(context, endpoint, question);
    }
}

/// Notes where the flow went, for the replies, which only show where it was sent.
#[inline(always)]
fn link(context: &Context, packet: &Packet, question: &Question) {
    let key = LinkKey { generation: question.key.generation, hash: context.skb.hash() };
    let link = Link {
        address: packet.destination,
        port: packet.destination_port,
        protocol: packet.protocol,
        reserved: 0,
    };
    // Without the note replies pass as long as the pod's own packets do.
    if !tracing() {
        let _ = maps::LINKS.insert(&key, &link, 0);
    }
}
