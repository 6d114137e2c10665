//! Services: the egress verdict after translation.

use netpol_enforcer::test_run::Surroundings;
use netpol_enforcer_common::{
    endpoint::SET_NONE, event, identity::ANY, mark, policy::PolicyPrefix, programs, reason::Reason,
};

use crate::{
    lab::{
        EGRESS, INGRESS, NODE, OTHER, OTHER_EGRESS, OTHER_SLOT, OTHER6, POD, REMOTE, REMOTE6, SERVICE, SLOT,
        forwarded, marked,
    },
    packets::{ACK, SYN, echo, tcp, udp},
};

/// The field of a deferred packet.
fn deferred(slot: u16) -> u32 {
    forwarded(slot) | mark::DEFER
}

#[test]
fn a_service_is_decided_later() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    let outcome = lab.send(&tcp((POD, 1000), (SERVICE, 80), SYN));
    assert!(outcome.passed());
    assert_eq!(lab.field(outcome), deferred(SLOT));
    // The same flow again, from the table.
    let again = lab.send(&tcp((POD, 1000), (SERVICE, 80), ACK));
    assert!(again.passed());
    assert_eq!(lab.field(again), deferred(SLOT));
    // Another port of it is an ordinary address, and so is it for ICMP.
    assert!(!lab.send(&tcp((POD, 1000), (SERVICE, 81), SYN)).passed());
    assert!(!lab.send(&echo(POD, SERVICE, 8, 1)).passed());
    // No egress policy: nothing to defer.
    lab.isolate(SET_NONE, SET_NONE);
    lab.next_epoch();
    let outcome = lab.send(&tcp((POD, 1000), (SERVICE, 80), ACK));
    assert!(outcome.passed());
    assert_eq!(lab.field(outcome), forwarded(SLOT));
}

#[test]
fn an_uplink_decides() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    lab.identity(REMOTE, 100);
    let rule = PolicyPrefix::any_port(EGRESS, 100, 6);
    lab.allow(rule);
    let mark = marked(deferred(SLOT)) | 0x4000;
    // Masqueraded: the source is the node's by now.
    let outcome = lab.leave(&tcp((NODE, 1000), (REMOTE, 8080), SYN), mark);
    assert!(outcome.passed());
    assert_eq!(lab.field(outcome), forwarded(SLOT), "decided once");
    assert_eq!(outcome.mark & 0xffff, 0x4000);
    assert!(!lab.leave(&udp((NODE, 1000), (REMOTE, 8080)), mark).passed());
    let events = lab.events();
    let last = events.last().expect("an event");
    assert_eq!((last.reason, last.flags, last.set), (Reason::NotAllowed as u8, event::DEFERRED, EGRESS));
    assert!(!lab.leave(&tcp((NODE, 1000), (OTHER, 8080), SYN), mark).passed());
    // What is not deferred is none of its business.
    assert!(lab.leave(&udp((NODE, 1000), (REMOTE, 8080)), marked(forwarded(SLOT))).passed());
    assert!(lab.leave(&udp((NODE, 1000), (REMOTE, 8080)), 0).passed());
    // Established, then revoked.
    assert!(lab.leave(&tcp((NODE, 1000), (REMOTE, 8080), ACK), mark).passed());
    lab.disallow(rule);
    assert!(lab.leave(&tcp((NODE, 1000), (REMOTE, 8080), ACK), mark).passed());
    lab.next_epoch();
    assert!(!lab.leave(&tcp((NODE, 1000), (REMOTE, 8080), ACK), mark).passed());
}

/// On a real link without a link-layer header the packet begins with its network header. The kernel takes the first fourteen
/// bytes of a test's packet for an Ethernet header; these sources have the `EtherType` where it would be.
#[test]
fn a_link_without_a_header_decides() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    lab.identity(REMOTE, 100);
    lab.identity(REMOTE6, 100);
    lab.allow(PolicyPrefix::any_port(EGRESS, 100, 6));
    let surroundings = Surroundings { mark: marked(deferred(SLOT)), ..Surroundings::default() };
    for (source, destination, denied) in [("8.0.0.1", REMOTE, OTHER), ("fd00:0:86dd::1", REMOTE6, OTHER6)] {
        for (packet, passes) in [
            (tcp((source, 1000), (destination, 8080), SYN), true),
            (udp((source, 1000), (destination, 8080)), false),
            (tcp((source, 1000), (denied, 8080), SYN), false),
        ] {
            // The kernel wants to see a whole network header after the supposed Ethernet header.
            let padded = [&packet[14..], &[0; 16]].concat();
            let outcome = lab.run(programs::UPLINK_EGRESS_L3, &padded, surroundings);
            assert_eq!(outcome.passed(), passes, "{packet:x?}");
        }
    }
}

#[test]
fn a_pods_veth_decides_both() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.isolate_other(OTHER_EGRESS);
    lab.identity(OTHER, 100);
    lab.identity(POD, 101);
    let packet = tcp((OTHER, 1000), (POD, 8080), SYN);
    let mark = marked(deferred(OTHER_SLOT));
    assert!(!lab.receive_marked(&packet, mark).passed());
    let events = lab.events();
    let last = events.last().expect("an event");
    assert_eq!((last.set, last.flags), (OTHER_EGRESS, event::DEFERRED), "the sender's egress comes first");
    lab.allow(PolicyPrefix::any_protocol(OTHER_EGRESS, 101));
    assert!(!lab.receive_marked(&packet, mark).passed());
    assert_eq!(lab.events().last().expect("an event").set, INGRESS);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, 100));
    assert!(lab.receive_marked(&packet, mark).passed());
}

#[test]
fn back_to_itself() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    let mark = marked(deferred(SLOT));
    assert!(lab.receive_marked(&tcp((NODE, 1000), (POD, 8080), SYN), mark).passed());
    assert!(lab.receive_marked(&tcp((POD, 1000), (POD, 8080), SYN), mark).passed());
}

#[test]
fn an_unknown_slot_is_dropped() {
    let mut lab = lab!();
    for slot in [0, 9, 1023] {
        assert!(!lab.leave(&tcp((NODE, 1), (REMOTE, 1), SYN), marked(deferred(slot))).passed());
        assert_eq!(lab.reason(), Some(Reason::SlotUnknown));
        assert!(!lab.receive_marked(&tcp((NODE, 1), (POD, 1), SYN), marked(deferred(slot))).passed());
    }
}

#[test]
fn replies_of_a_service_pass_until_revoked() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.identity(REMOTE, 100);
    let rule = PolicyPrefix::any_protocol(EGRESS, 100);
    lab.allow(rule);
    let request = udp((POD, 1000), (SERVICE, 80));
    let reply = udp((SERVICE, 80), (POD, 1000));
    assert!(!lab.receive(&reply).passed());
    assert!(lab.send(&request).passed());
    assert!(lab.receive(&reply).passed());
    lab.next_epoch();
    assert!(lab.receive(&reply).passed(), "a change that doesn't concern it");
    // Translation keeps the packet's hash, which leads from the reply to the backend. Here every packet has its own, so the note
    // is put where the reply looks.
    lab.link_flows(REMOTE, 8080);
    lab.next_epoch();
    assert!(lab.receive(&reply).passed(), "the backend is still allowed");
    lab.disallow(rule);
    lab.next_epoch();
    assert!(!lab.receive(&reply).passed(), "the backend is no longer allowed");
    assert_eq!(lab.reason(), Some(Reason::NotAllowed));
    // The pod goes on sending, which is judged where it leaves. That does not speak for the replies.
    assert!(lab.send(&request).passed());
    assert!(!lab.receive(&reply).passed());
    lab.allow(rule);
    lab.next_epoch();
    assert!(lab.send(&request).passed());
    assert!(lab.receive(&reply).passed());
    assert!(lab.receive(&reply).passed());
}

#[test]
fn a_service_without_translation_is_an_ordinary_address() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    let mark = lab.send(&tcp((POD, 1000), (SERVICE, 80), SYN)).mark;
    assert!(!lab.leave(&tcp((POD, 1000), (SERVICE, 80), SYN), mark).passed());
    lab.allow(PolicyPrefix::any_protocol(EGRESS, ANY));
    assert!(lab.leave(&tcp((POD, 1000), (SERVICE, 80), SYN), mark).passed());
}
