//! Counters and events.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_ktime_get_ns};
use netpol_enforcer_common::{
    Direction,
    config::{EVENTS_ALLOWED, NO_DROP_EVENTS, SHADOW},
    denied::{DeniedKey, TOLD_PLACES, Told},
    event::{AUDITED, Event},
    reason::{COUNTERS_LEN, Counter, FIRST_DROP, REASONS, Reason},
};

use crate::{
    DROP, PASS,
    context::Context,
    evaluate::Verdict,
    maps,
    packet::{ICMP, ICMPV6, Packet},
    trace::tracing,
};

/// For whom and where a verdict was given.
#[repr(C)]
pub struct Subject {
    /// The endpoint's generation; 0: unknown.
    pub generation: u32,
    /// Its slot.
    pub slot: u16,
    /// A [`Direction`].
    pub direction: u8,
    /// [`netpol_enforcer_common::event::DEFERRED`].
    pub flags: u8,
}

/// Counts a verdict, tells about it if that is wanted, and returns it as the program's result.
#[inline(always)]
pub fn conclude(context: &Context, packet: &Packet, verdict: &Verdict, subject: &Subject) -> i32 {
    let denied = verdict.reason >= u32::from(FIRST_DROP);
    let drop = denied && !verdict.audited;
    if tracing() {
        return answer(context, verdict, subject, drop);
    }
    if drop && context.config.has(SHADOW) {
        return PASS;
    }
    let length = context.skb.length();
    let counter = verdict.reason * 2 + u32::from(subject.direction);
    count(if denied && !drop { counter + REASONS * 2 } else { counter }, length);
    if denied && subject.generation != 0 {
        count_denied(verdict, subject, length);
    }
    let told = if denied {
        !context.config.has(NO_DROP_EVENTS)
    } else {
        verdict.news && context.config.has(EVENTS_ALLOWED)
    };
    if told {
        tell(context, packet, verdict, subject);
    }
    if drop { DROP } else { PASS }
}

#[inline(always)]
fn answer(context: &Context, verdict: &Verdict, subject: &Subject, drop: bool) -> i32 {
    let flags = u32::from(flags(verdict, subject)) | u32::from(subject.direction) << 8;
    context.skb.answer([verdict.reason, verdict.set, verdict.identity, flags, subject.generation]);
    if drop { DROP } else { PASS }
}

#[inline(always)]
fn flags(verdict: &Verdict, subject: &Subject) -> u8 {
    if verdict.audited { subject.flags | AUDITED } else { subject.flags }
}

/// Counts a packet at the place of [`Reason::counter`].
#[inline(always)]
pub fn count(index: u32, bytes: u32) {
    if index < COUNTERS_LEN
        && let Some(counter) = maps::COUNTERS.get_ptr_mut(index)
    {
        add(counter, bytes);
    }
}

#[inline(never)]
fn count_denied(verdict: &Verdict, subject: &Subject, bytes: u32) -> bool {
    let key = DeniedKey {
        generation: subject.generation,
        direction: subject.direction,
        audited: u8::from(verdict.audited),
        reason: verdict.reason as u8,
        reserved: 0,
    };
    if let Some(counter) = maps::DENIED.get_ptr_mut(&key) {
        add(counter, bytes);
        return true;
    }
    // Another CPU may have been quicker.
    let _ = maps::DENIED.insert(&key, &Counter { packets: 0, bytes: 0 }, BPF_NOEXIST.into());
    match maps::DENIED.get_ptr_mut(&key) {
        Some(counter) => {
            add(counter, bytes);
            true
        }
        None => false,
    }
}

#[inline(always)]
fn add(counter: *mut Counter, bytes: u32) {
    // SAFETY: a value of this CPU's own.
    unsafe {
        (*counter).packets += 1;
        (*counter).bytes += u64::from(bytes);
    }
}

/// Whether one more event may be told about an endpoint. A flood at one endpoint must neither fill the buffer nor keep the CPU busy with waking its
/// reader, and not hide what happens to others.
#[inline(always)]
fn may_tell(context: &Context, subject: &Subject) -> bool {
    let limit = context.config.event_limit;
    let Some(told) = maps::TOLD.get_ptr_mut(u32::from(subject.slot) % TOLD_PLACES) else { return false };
    // SAFETY: a value of this CPU's own.
    let told = unsafe { &mut *told };
    if told.tick != context.now {
        *told = Told { tick: context.now, events: 0 };
    }
    told.events += 1;
    limit == 0 || told.events <= limit
}

#[inline(never)]
fn tell(context: &Context, packet: &Packet, verdict: &Verdict, subject: &Subject) -> bool {
    if !may_tell(context, subject) {
        count(Reason::EventLimited.counter(Direction::Ingress), 0);
        return false;
    }
    let Some(mut entry) = maps::EVENTS.reserve::<Event>(0) else {
        count(Reason::EventLost.counter(Direction::Ingress), 0);
        return false;
    };
    let icmp = packet.protocol == ICMP || packet.protocol == ICMPV6;
    let (source_port, destination_port) = if icmp {
        (u16::from(packet.icmp_type), u16::from(packet.icmp_code))
    } else {
        (packet.source_port, packet.destination_port)
    };
    entry.write(Event {
        // SAFETY: a helper without arguments.
        time: unsafe { bpf_ktime_get_ns() },
        generation: subject.generation,
        ifindex: context.ifindex,
        set: verdict.set,
        identity: verdict.identity,
        rule: verdict.rule,
        epoch: context.epoch,
        length: context.skb.length(),
        source: packet.source,
        destination: packet.destination,
        source_port,
        destination_port,
        ether_type: packet.ether_type,
        slot: subject.slot,
        protocol: packet.protocol,
        direction: subject.direction,
        reason: verdict.reason as u8,
        flags: flags(verdict, subject),
    });
    entry.submit(0);
    true
}
