//! Counters and events.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use netpol_enforcer_common::{
    Direction,
    config::{EVENTS_ALLOWED, NO_DROP_EVENTS},
    event::Event,
    reason::{COUNTERS_LEN, FIRST_DROP, Reason},
};

use crate::{
    DROP, PASS,
    context::Context,
    evaluate::Verdict,
    maps,
    packet::{ICMP, ICMPV6, Packet},
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
    let drop = verdict.reason >= u32::from(FIRST_DROP);
    count(verdict.reason, subject.direction, context.skb.length());
    let told = if drop {
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
fn count(reason: u32, direction: u8, bytes: u32) {
    let index = reason * 2 + u32::from(direction);
    if index < COUNTERS_LEN
        && let Some(counter) = maps::COUNTERS.get_ptr_mut(index)
    {
        // SAFETY: a value of this CPU's own.
        unsafe {
            (*counter).packets += 1;
            (*counter).bytes += u64::from(bytes);
        }
    }
}

#[inline(never)]
fn tell(context: &Context, packet: &Packet, verdict: &Verdict, subject: &Subject) -> bool {
    let Some(mut entry) = maps::EVENTS.reserve::<Event>(0) else {
        count(Reason::EventLost as u32, Direction::Ingress as u8, 0);
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
        flags: subject.flags,
    });
    entry.submit(0);
    true
}
