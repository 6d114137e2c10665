//! Every form of policy key.

use netpol_enforcer_common::{
    Direction,
    endpoint::{SET_CLOSED, SET_NONE},
    event::Event,
    identity::ANY,
    policy::{PolicyPrefix, port_prefixes},
    reason::Reason,
};

use crate::{
    lab::{EGRESS, GENERATION, INGRESS, OTHER, POD, POD6, REMOTE, REMOTE6, SLOT, address},
    packets::{ACK, ICMP, SCTP, SYN, TCP, UDP, echo, ip, sctp_header, tcp, udp},
};

/// A rule of the pod's ingress set, and which packets it lets in.
fn check(rules: &[PolicyPrefix], table: &[(Vec<u8>, bool)]) {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.identity(OTHER, 100);
    lab.block("192.0.2.0", 24, 200);
    lab.block("192.0.2.128", 25, 201);
    lab.block("2001:db8::", 32, 300);
    for rule in rules {
        lab.allow(*rule);
    }
    for (index, (packet, passes)) in table.iter().enumerate() {
        assert_eq!(lab.receive(packet).passed(), *passes, "{rules:?}, packet {index}");
        let reason = if *passes { Reason::Policy } else { Reason::NotAllowed };
        assert_eq!(lab.reason(), Some(reason), "{rules:?}, packet {index}");
    }
}

#[test]
fn no_rule_allows_nothing() {
    check(
        &[],
        &[
            (tcp((OTHER, 1000), (POD, 80), SYN), false),
            (udp((REMOTE, 1000), (POD, 80)), false),
            (echo(REMOTE, POD, 8, 1), false),
            (echo(REMOTE6, POD6, 128, 1), false),
            (ip(REMOTE, POD, 47, &[0; 8]), false),
        ],
    );
}

#[test]
fn peer_with_port() {
    check(
        &[PolicyPrefix::ports(INGRESS, 100, TCP, port_prefixes(80, 80).next().expect("one"))],
        &[
            (tcp((OTHER, 1000), (POD, 80), SYN), true),
            (tcp((OTHER, 1000), (POD, 81), SYN), false),
            (udp((OTHER, 1000), (POD, 80)), false),
            (ip(OTHER, POD, SCTP, &sctp_header(1000, 80)), false),
            (tcp((REMOTE, 1000), (POD, 80), SYN), false),
        ],
    );
}

#[test]
fn port_range() {
    let rules: Vec<_> =
        port_prefixes(1000, 2100).map(|p| PolicyPrefix::ports(INGRESS, ANY, UDP, p)).collect();
    check(
        &rules,
        &[
            (udp((OTHER, 9), (POD, 999)), false),
            (udp((OTHER, 9), (POD, 1000)), true),
            (udp((OTHER, 9), (POD, 1500)), true),
            (udp((REMOTE6, 9), (POD6, 2100)), true),
            (udp((OTHER, 9), (POD, 2101)), false),
            (tcp((OTHER, 9), (POD, 1500), SYN), false),
        ],
    );
}

#[test]
fn protocol_with_every_port() {
    check(
        &[PolicyPrefix::any_port(INGRESS, 100, SCTP)],
        &[
            (ip(OTHER, POD, SCTP, &sctp_header(1, 1)), true),
            (ip(OTHER, POD, SCTP, &sctp_header(1, 65535)), true),
            (tcp((OTHER, 1), (POD, 1), SYN), false),
            (echo(OTHER, POD, 8, 1), false),
        ],
    );
}

#[test]
fn every_port_and_protocol() {
    check(
        &[PolicyPrefix::any_protocol(INGRESS, 100)],
        &[
            (tcp((OTHER, 1), (POD, 1), SYN), true),
            (udp((OTHER, 1), (POD, 1)), true),
            (echo(OTHER, POD, 8, 1), true),
            (ip(OTHER, POD, 47, &[0; 8]), true),
            (ip(OTHER, POD, ICMP, &[13, 0, 0, 0, 0, 1, 0, 1]), true),
            (echo(REMOTE, POD, 8, 1), false),
        ],
    );
}

#[test]
fn every_peer() {
    check(
        &[PolicyPrefix::any_protocol(INGRESS, ANY)],
        &[
            (tcp((OTHER, 1), (POD, 1), SYN), true),
            (tcp(("203.0.113.1", 1), (POD, 1), SYN), true),
            (echo("2001:db9::1", POD6, 128, 1), true),
        ],
    );
}

#[test]
fn blocks() {
    check(
        &[PolicyPrefix::any_protocol(INGRESS, 200), PolicyPrefix::any_port(INGRESS, 300, TCP)],
        &[
            (tcp(("192.0.2.127", 1), (POD, 1), SYN), true),
            (tcp(("192.0.2.128", 1), (POD, 1), SYN), false),
            (tcp(("192.0.3.1", 1), (POD, 1), SYN), false),
            (tcp((REMOTE6, 1), (POD6, 1), SYN), true),
            (udp((REMOTE6, 1), (POD6, 1)), false),
            (tcp(("2001:db9::1", 1), (POD6, 1), SYN), false),
        ],
    );
}

#[test]
fn an_exact_identity_hides_blocks() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.block("10.0.0.0", 8, 200);
    lab.identity(OTHER, ANY);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, 200));
    assert!(lab.receive(&tcp(("10.9.9.9", 1), (POD, 1), SYN)).passed());
    assert!(!lab.receive(&tcp((OTHER, 1), (POD, 1), SYN)).passed());
}

#[test]
fn egress_looks_at_the_destination() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    lab.identity(OTHER, 100);
    lab.allow(PolicyPrefix::ports(EGRESS, 100, TCP, port_prefixes(443, 443).next().expect("one")));
    assert!(lab.send(&tcp((POD, 5000), (OTHER, 443), SYN)).passed());
    assert!(!lab.send(&tcp((POD, 443), (OTHER, 5000), SYN)).passed());
    assert!(!lab.send(&tcp((POD, 5000), (REMOTE, 443), SYN)).passed());
    assert!(!lab.send(&echo(POD, OTHER, 8, 1)).passed());
    // Ingress is not isolated.
    assert!(lab.receive(&tcp((REMOTE, 5000), (POD, 22), SYN)).passed());
}

#[test]
fn a_closed_set_asks_no_policy() {
    let mut lab = lab!();
    lab.isolate(SET_CLOSED, SET_CLOSED);
    lab.allow(PolicyPrefix::any_protocol(SET_CLOSED, ANY));
    assert!(!lab.receive(&tcp((OTHER, 1), (POD, 1), SYN)).passed());
    assert_eq!(lab.reason(), Some(Reason::Closed));
    assert!(!lab.send(&tcp((POD, 1), (OTHER, 1), ACK)).passed());
    assert_eq!(lab.reason(), Some(Reason::Closed));
}

#[test]
fn the_epoch_selects_the_bank() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, 100));
    lab.identity_in(1, OTHER, 100);
    assert_eq!(lab.epoch & 1, 0);
    assert!(!lab.receive(&udp((OTHER, 1), (POD, 1))).passed());
    lab.next_epoch();
    assert!(lab.receive(&udp((OTHER, 1), (POD, 1))).passed());
    lab.next_epoch();
    assert!(!lab.receive(&udp((OTHER, 1), (POD, 1))).passed());
}

#[test]
fn events_and_counters_say_what_happened() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.identity(OTHER, 100);
    let packet = tcp((OTHER, 1000), (POD, 80), SYN);
    assert!(!lab.receive(&packet).passed());
    let events = lab.events();
    let [event] = events[..] else { panic!("one event: {events:?}") };
    let expected = Event {
        time: event.time,
        generation: GENERATION,
        ifindex: 1,
        set: INGRESS,
        identity: 100,
        rule: 0,
        epoch: lab.epoch,
        length: packet.len() as u32,
        source: address(OTHER),
        destination: address(POD),
        source_port: 1000,
        destination_port: 80,
        ether_type: 0x0800,
        slot: SLOT,
        protocol: TCP,
        direction: Direction::Ingress as u8,
        reason: Reason::NotAllowed as u8,
        flags: 0,
    };
    assert_eq!(event, expected);
    assert_eq!(lab.count(Reason::NotAllowed, Direction::Ingress), 1);
    assert_eq!(lab.count(Reason::NotAllowed, Direction::Egress), 0);
}
