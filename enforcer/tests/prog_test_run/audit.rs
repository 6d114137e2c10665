//! Endpoints that are only audited: nothing is dropped on account of policy, everything that would be is counted and told.

use netpol_enforcer_common::{
    Direction,
    config::AUDIT_UNKNOWN,
    endpoint::{AUDIT, SET_CLOSED, SET_NONE},
    event, mark,
    policy::PolicyPrefix,
    reason::Reason,
};

use crate::{
    lab::{EGRESS, INGRESS, Lab, NODE, OTHER, POD, REMOTE, SERVICE, SLOT, forwarded, marked},
    packets::{ACK, ICMP, SYN, TCP, V4, echo, frame, tcp, udp},
};

fn audited(lab: &mut Lab, ingress: u32, egress: u32) {
    lab.flags = AUDIT;
    lab.isolate(ingress, egress);
}

/// The reason of the last event, if it is one of an audited packet.
fn told(lab: &mut Lab) -> Option<Reason> {
    lab.events()
        .last()
        .filter(|event| event.flags & event::AUDITED != 0)
        .and_then(|event| Reason::from_number(event.reason))
}

#[test]
fn what_would_be_dropped_passes_and_is_counted() {
    let mut lab = lab!();
    audited(&mut lab, INGRESS, EGRESS);
    assert!(lab.receive(&tcp((OTHER, 1000), (POD, 80), SYN)).passed());
    assert_eq!(told(&mut lab), Some(Reason::NotAllowed));
    assert_eq!(lab.count_audited(Reason::NotAllowed, Direction::Ingress), 1);
    assert_eq!(lab.count(Reason::NotAllowed, Direction::Ingress), 0);
    assert_eq!(lab.denied(Reason::NotAllowed, Direction::Ingress, true), 1);
    // Its answers and what follows belong to the flow: they are neither told nor counted again.
    assert!(lab.send(&tcp((POD, 80), (OTHER, 1000), SYN | ACK)).passed());
    assert!(lab.receive(&tcp((OTHER, 1000), (POD, 80), ACK)).passed());
    assert_eq!(lab.events(), []);
    assert_eq!(lab.count_audited(Reason::NotAllowed, Direction::Ingress), 1);
    assert_eq!(lab.count_audited(Reason::NotAllowed, Direction::Egress), 0);
    // A change of policy asks again.
    lab.next_epoch();
    assert!(lab.receive(&tcp((OTHER, 1000), (POD, 80), ACK)).passed());
    assert_eq!(told(&mut lab), Some(Reason::NotAllowed));
    // What a rule allows is no matter for the audit.
    lab.identity(OTHER, 100);
    lab.allow(PolicyPrefix::any_port(INGRESS, 100, TCP));
    lab.next_epoch();
    assert!(lab.receive(&tcp((OTHER, 1001), (POD, 80), SYN)).passed());
    assert_eq!(lab.reason(), Some(Reason::Policy));
    assert!(lab.receive(&udp((OTHER, 1001), (POD, 80))).passed());
    assert_eq!(told(&mut lab), Some(Reason::NotAllowed));
}

#[test]
fn a_connection_that_the_other_side_opened_is_not_blamed() {
    let mut lab = lab!();
    audited(&mut lab, INGRESS, EGRESS);
    lab.identity(OTHER, 100);
    lab.allow(PolicyPrefix::any_port(INGRESS, 100, TCP));
    // In the middle of a connection that nothing is known of: the pod answers somebody who may connect to it.
    assert!(lab.send(&tcp((POD, 80), (OTHER, 1000), ACK)).passed());
    assert_eq!(lab.reason(), Some(Reason::Policy));
    assert_eq!(lab.count_audited(Reason::NotAllowed, Direction::Egress), 0);
}

#[test]
fn the_end_of_the_audit_ends_what_it_let_through() {
    let mut lab = lab!();
    audited(&mut lab, INGRESS, SET_NONE);
    assert!(lab.receive(&tcp((OTHER, 1000), (POD, 80), SYN)).passed());
    assert!(lab.receive(&tcp((OTHER, 1000), (POD, 80), ACK)).passed());
    lab.flags = 0;
    lab.isolate(INGRESS, SET_NONE);
    lab.next_epoch();
    assert!(!lab.receive(&tcp((OTHER, 1000), (POD, 80), ACK)).passed());
    assert!(!lab.send(&tcp((POD, 80), (OTHER, 1000), ACK)).passed(), "its answers stop, too");
    assert_eq!(lab.denied(Reason::NotAllowed, Direction::Ingress, false), 1);
}

#[test]
fn a_service_is_audited_where_it_leads() {
    let mut lab = lab!();
    audited(&mut lab, SET_NONE, EGRESS);
    assert!(lab.send(&tcp((POD, 1000), (SERVICE, 80), SYN)).passed());
    let mark = marked(forwarded(SLOT) | mark::DEFER);
    let outcome = lab.leave(&tcp((NODE, 1000), (REMOTE, 8080), SYN), mark);
    assert!(outcome.passed());
    assert_eq!(lab.field(outcome), forwarded(SLOT), "decided once");
    let events = lab.events();
    let last = events.last().expect("an event");
    assert_eq!(last.flags, event::AUDITED | event::DEFERRED);
    assert_eq!(lab.count_audited(Reason::NotAllowed, Direction::Egress), 1);
}

#[test]
fn whatever_would_pass_without_policy_passes() {
    let mut lab = lab!();
    audited(&mut lab, INGRESS, EGRESS);
    let mut fragment = V4::new(REMOTE, POD, TCP);
    (fragment.id, fragment.fragment) = (7, 100);
    for (packet, reason) in [
        (frame(0x88b5, &[0; 40]), Reason::EtherType),
        (fragment.frame(&[0; 40]), Reason::FragmentUnknown),
        (V4::new(REMOTE, POD, ICMP).frame(&[13, 0, 0, 0, 0, 0, 0, 0]), Reason::NotAllowed),
    ] {
        assert!(lab.receive(&packet).passed(), "{reason:?}");
        assert_eq!(told(&mut lab), Some(reason));
        assert_eq!(lab.count_audited(reason, Direction::Ingress), 1, "{reason:?}");
    }
    audited(&mut lab, SET_CLOSED, SET_CLOSED);
    lab.next_epoch();
    assert!(lab.receive(&echo(REMOTE, POD, 8, 1)).passed());
    assert_eq!(told(&mut lab), Some(Reason::Closed));
}

#[test]
fn spoofed_and_malformed_packets_are_dropped_all_the_same() {
    let mut lab = lab!();
    audited(&mut lab, INGRESS, EGRESS);
    assert!(!lab.send(&tcp((OTHER, 1000), (REMOTE, 80), SYN)).passed());
    assert_eq!(lab.reason(), Some(Reason::Spoofed));
    assert!(!lab.receive(&frame(0x0800, &[0x44; 40])).passed());
    assert_eq!(lab.reason(), Some(Reason::Malformed));
    assert_eq!(lab.count(Reason::Malformed, Direction::Ingress), 1);
}

#[test]
fn unknown_endpoints_pass_only_when_the_node_is_audited() {
    let mut lab = lab!();
    lab.forget();
    let packet = tcp((OTHER, 1000), (POD, 80), SYN);
    assert!(!lab.receive(&packet).passed());
    lab.config.flags |= AUDIT_UNKNOWN;
    lab.configure();
    assert!(lab.receive(&packet).passed());
    assert_eq!(told(&mut lab), Some(Reason::UnknownEndpoint));
    assert!(lab.send(&tcp((POD, 80), (OTHER, 1000), ACK)).passed());
    assert_eq!(lab.count_audited(Reason::UnknownEndpoint, Direction::Egress), 1);
}

#[test]
fn a_flood_is_counted_exactly_and_told_in_part() {
    const FLOOD: u32 = 20_000;
    let mut lab = lab!();
    lab.config.event_limit = 10;
    lab.configure();
    lab.isolate(INGRESS, SET_NONE);
    let packet = tcp((OTHER, 1000), (POD, 80), SYN);
    let surroundings =
        netpol_enforcer::test_run::Surroundings { ingress_ifindex: crate::lab::UPLINK, ..Default::default() };
    lab.run_repeatedly(netpol_enforcer_common::programs::POD_EGRESS, &packet, surroundings, FLOOD);
    let told = lab.events().len() as u64;
    let limited = lab.count(Reason::EventLimited, Direction::Ingress);
    assert_eq!(told + limited, u64::from(FLOOD));
    // So many a tick of the clock, which may have struck.
    assert!((10..=100).contains(&told), "{told} events");
    assert_eq!(lab.count(Reason::NotAllowed, Direction::Ingress), u64::from(FLOOD));
    assert_eq!(lab.denied(Reason::NotAllowed, Direction::Ingress, false), u64::from(FLOOD));
}

#[test]
fn a_reader_that_stops_loses_events_and_nothing_else() {
    const FLOOD: u32 = 50_000;
    let mut lab = lab!();
    lab.config.event_limit = 0;
    lab.configure();
    lab.isolate(INGRESS, SET_NONE);
    let packet = tcp((OTHER, 1000), (POD, 80), SYN);
    let surroundings =
        netpol_enforcer::test_run::Surroundings { ingress_ifindex: crate::lab::UPLINK, ..Default::default() };
    // Nobody reads: the buffer fills, and the programs go on.
    let program = netpol_enforcer_common::programs::POD_EGRESS;
    let reading = lab.run_repeatedly(program, &packet, surroundings, 1000).duration;
    lab.events();
    let full = lab.run_repeatedly(program, &packet, surroundings, FLOOD).duration;
    let lost = lab.count(Reason::EventLost, Direction::Ingress);
    let told = lab.events().len() as u64;
    assert!(lost > 0, "the buffer is too large for this test");
    assert_eq!(told + lost, u64::from(FLOOD));
    assert_eq!(lab.count(Reason::NotAllowed, Direction::Ingress), u64::from(FLOOD) + 1000);
    println!("a denied packet: {} ns told, {} ns with a full buffer", reading.as_nanos(), full.as_nanos());
}
