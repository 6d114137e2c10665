//! The verdict on a packet of an endpoint: established, or to be opened.

use netpol_enforcer_common::{
    Direction,
    conntrack::{ANSWERABLE, DEFERRED},
    endpoint::{Endpoint, SET_NONE},
    reason::Reason,
};

use crate::{
    context::{Context, is_node},
    evaluate::{Question, open},
    flow::{self, Step},
    fragment,
    maps::{self, Scratch},
    packet::{Packet, kind, parse_inner, part},
    trace::tracing,
    words::{clear, copy},
};

/// Decides a packet of an endpoint in the direction in which it travels. The answer is in `question.verdict`.
#[inline(always)]
pub fn decide(context: &Context, endpoint: &Endpoint, scratch: &mut Scratch, direction: Direction) -> bool {
    let Scratch { packet, question, .. } = scratch;
    if packet.part != part::WHOLE {
        fragment::resolve(context, endpoint.generation, packet, direction);
    }
    flow::key(&mut question.key, endpoint.generation, packet, direction);
    if packet.kind > kind::REPLY {
        return decide_untracked(context, endpoint, scratch, direction);
    }
    if !context.absent
        && let Some(flow) = flow::find(&question.key, context.config, context.now)
    {
        let outward = matches!(direction, Direction::Egress);
        let own = packet.kind != kind::REPLY && flow::approved(flow, direction) == context.epoch;
        let answer = packet.kind != kind::OPENING
            && flow::approved(flow, direction.reverse()) == context.epoch
            && (outward || flow.flags & (DEFERRED | ANSWERABLE) != DEFERRED);
        if own || answer {
            question.verdict.reset();
            question.verdict.defer = own && outward && flow.flags & DEFERRED != 0;
            flow::see(flow, context.now);
            flow::advance(&question.key, flow, Step::of(packet, outward, !own));
            return question.verdict.answer(Reason::Established);
        }
        copy(&mut question.flow, flow);
    } else {
        clear(&mut question.flow);
    }
    decide_anew(context, endpoint, scratch, direction)
}

/// The first packet of a flow, or the first since the last change of policy.
#[inline(never)]
fn decide_anew(context: &Context, endpoint: &Endpoint, scratch: &mut Scratch, direction: Direction) -> bool {
    let Scratch { packet, question, .. } = scratch;
    let reverse = direction.reverse();
    let own = flow::approved(&question.flow, direction) != 0;
    let answer = flow::approved(&question.flow, reverse) != 0;

    // Within a connection between the pod and an address of its node that nothing is known of.
    let with_node = packet.kind == kind::MIDDLE && !own && is_node(&question.key.remote);

    if packet.kind != kind::OPENING {
        // Towards the node everything passes at first, also what a translation then sends elsewhere. A connection
        // from the node's address that is older than its entry would be judged there as if the pod had opened it.
        let from_node = with_node && matches!(direction, Direction::Egress);
        if (answer || from_node) && open(context, endpoint, question, reverse, false) {
            return !question.verdict.track || remember(context, endpoint, packet, reverse, false, question);
        }
        if answer && !own {
            // The flow is revoked. If its packets could pass for a new one from the other side, it would go on.
            return false;
        }
    }

    let opened = open(context, endpoint, question, direction, true);
    let reversible = packet.kind == kind::MIDDLE && !own && !with_node;
    if opened && !(question.verdict.audited && reversible) {
        question.verdict.news = !own;
        // What the pod may have answered to the node's address must not open the way for more of it.
        if question.verdict.track && packet.kind != kind::REPLY && !with_node {
            return remember(context, endpoint, packet, direction, true, question);
        }
        return true;
    }

    if reversible {
        // The entry was lost, or there never was one: perhaps the other side opened the connection.
        let denied = question.verdict;
        if open(context, endpoint, question, reverse, false)
            && question.verdict.track
            && !question.verdict.audited
        {
            question.verdict.news = true;
            return remember(context, endpoint, packet, reverse, false, question);
        }
        question.verdict = denied;
        if denied.audited {
            return remember(context, endpoint, packet, direction, true, question);
        }
    }
    false
}

/// Writes down that a flow was approved.
#[inline(always)]
fn remember(
    context: &Context,
    endpoint: &Endpoint,
    packet: &Packet,
    opened: Direction,
    present: bool,
    question: &mut Question,
) -> bool {
    let flow = &mut question.flow;
    flow::approve(flow, opened, context.epoch);
    flow.last_seen = context.now;
    // Whose packet it is.
    let outward = matches!(opened, Direction::Egress) == present;
    flow.flags = Step::of(packet, outward, !present).flags(flow.flags);
    if matches!(opened, Direction::Egress) {
        if !present {
            flow.flags |= ANSWERABLE;
        } else if question.verdict.defer {
            flow.flags = flow.flags & !ANSWERABLE | DEFERRED;
            flow.hash = context.skb.hash();
        } else {
            flow.flags &= !(DEFERRED | ANSWERABLE);
        }
    }
    store(context, endpoint, question)
}

/// Stores the question's flow. If that fails, an isolated endpoint is better off without the packet than with a flow whose
/// replies would not pass.
#[inline(always)]
pub fn store(context: &Context, endpoint: &Endpoint, question: &mut Question) -> bool {
    if tracing() {
        return true;
    }
    question.flow.own = u32::from(endpoint.owns(&question.key.local));
    if maps::CONNTRACK.insert(&question.key, &question.flow, 0).is_err() {
        let sets = context.sets(endpoint);
        if sets.ingress != SET_NONE || sets.egress != SET_NONE {
            return question.verdict.deny(Reason::ConntrackFull);
        }
    }
    true
}

/// What is not part of a flow by its own header: ICMP errors and other ICMP, and what can't be parsed.
#[inline(never)]
fn decide_untracked(
    context: &Context,
    endpoint: &Endpoint,
    scratch: &mut Scratch,
    direction: Direction,
) -> bool {
    let Scratch { packet, inner, question } = scratch;
    open(context, endpoint, question, direction, true);
    question.verdict.news = true;
    if packet.kind == kind::BROKEN {
        let passes = [Reason::Itself as u32, Reason::Node as u32, Reason::NotIsolated as u32];
        let reason = question.verdict.reason;
        if reason != passes[0] && reason != passes[1] && reason != passes[2] {
            question.verdict.break_off(packet.broken);
        }
        return question.verdict.allows();
    }
    if packet.kind == kind::ERROR
        && (!question.verdict.allows() || question.verdict.audited || question.verdict.defer)
    {
        let saved = question.verdict;
        if related(context, endpoint, packet, inner, direction, question) {
            question.verdict.reset();
            question.verdict.set(Reason::Related);
        } else {
            question.verdict = saved;
        }
    }
    question.verdict.allows()
}

/// Whether an ICMP error is about an allowed flow of the endpoint.
#[inline(always)]
fn related(
    context: &Context,
    endpoint: &Endpoint,
    packet: &Packet,
    inner: &mut Packet,
    direction: Direction,
    question: &mut Question,
) -> bool {
    clear(inner);
    if !parse_inner(context.skb, packet, inner) {
        return false;
    }
    // The error goes to whoever sent the packet it is about, so that one travelled the other way.
    if inner.source != packet.destination {
        return false;
    }
    flow::key(&mut question.key, endpoint.generation, inner, direction.reverse());
    let Some(flow) = flow::find(&question.key, context.config, context.now) else { return false };
    copy(&mut question.flow, flow);
    for opened in [Direction::Egress, Direction::Ingress] {
        let approved = flow::approved(&question.flow, opened);
        if approved == context.epoch {
            return true;
        }
        if approved != 0 && open(context, endpoint, question, opened, false) {
            return true;
        }
    }
    false
}
