//! Fragments of both families.

use netpol_enforcer_common::{
    endpoint::SET_NONE,
    identity::ANY,
    policy::{PolicyPrefix, port_prefixes},
    reason::Reason,
};

use crate::{
    lab::{EGRESS, INGRESS, POD, POD6, REMOTE, REMOTE6, SERVICE, SLOT, forwarded},
    packets::{SYN, TCP, UDP, V4, V6, tcp_header, udp_header},
};

const MORE: u16 = 0x2000;

/// The first fragment of a UDP packet to a port, and the second.
fn v4(source: &str, destination: &str, id: u16, port: u16) -> [Vec<u8>; 2] {
    let mut header = V4::new(source, destination, UDP);
    header.id = id;
    header.fragment = MORE;
    let first = header.frame(&[udp_header(1000, port), vec![0; 12]].concat());
    header.fragment = 3;
    [first, header.frame(&[0; 100])]
}

fn v6(source: &str, destination: &str, id: u32, port: u16) -> [Vec<u8>; 2] {
    let first = V6::new(source, destination).fragment(1, id);
    let later = V6::new(source, destination).fragment(3 << 3, id);
    [first.frame(UDP, &[udp_header(1000, port), vec![0; 12]].concat()), later.frame(UDP, &[0; 100])]
}

#[test]
fn later_fragments_follow_the_first() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    for set in [INGRESS, EGRESS] {
        lab.allow(PolicyPrefix::ports(set, ANY, UDP, port_prefixes(53, 53).next().expect("one")));
    }
    for [first, later] in [v4(REMOTE, POD, 1, 53), v6(REMOTE6, POD6, 1, 53)] {
        assert!(!lab.receive(&later).passed(), "before the first");
        assert_eq!(lab.reason(), Some(Reason::FragmentUnknown));
        assert!(lab.receive(&first).passed());
        assert!(lab.receive(&later).passed());
    }
    for [first, later] in [v4(POD, REMOTE, 2, 53), v6(POD6, REMOTE6, 2, 53)] {
        assert!(!lab.send(&later).passed());
        assert!(lab.send(&first).passed());
        assert!(lab.send(&later).passed());
    }
    for [first, later] in [v4(REMOTE, POD, 3, 54), v6(REMOTE6, POD6, 3, 54)] {
        assert!(!lab.receive(&first).passed());
        assert!(!lab.receive(&later).passed());
    }
    // Another packet's fragments are another matter.
    let [_, later] = v4(REMOTE, POD, 9, 53);
    assert!(!lab.receive(&later).passed());
}

#[test]
fn fragments_of_replies() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(PolicyPrefix::any_port(EGRESS, ANY, UDP));
    assert!(lab.send(&crate::packets::udp((POD, 53), (REMOTE, 1000))).passed());
    let [first, later] = v4(REMOTE, POD, 4, 53);
    assert!(lab.receive(&first).passed());
    assert!(lab.receive(&later).passed());
}

#[test]
fn fragments_to_a_service_are_deferred() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    for fragment in v4(POD, SERVICE, 5, 80) {
        let outcome = lab.send(&fragment);
        assert!(outcome.passed());
        assert_eq!(lab.field(outcome), forwarded(SLOT) | netpol_enforcer_common::mark::DEFER);
    }
}

#[test]
fn first_fragments_must_hold_the_header() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, ANY));
    for (protocol, header, needed) in [(TCP, tcp_header(1, 80, SYN), 20), (UDP, udp_header(1, 80), 8)] {
        for length in 0..header.len() {
            let mut v4 = V4::new(REMOTE, POD, protocol);
            v4.fragment = MORE;
            v4.id = 100 + length as u16;
            let v6 = V6::new(REMOTE6, POD6).fragment(1, 100 + length as u32);
            for packet in [v4.frame(&header[..length]), v6.frame(protocol, &header[..length])] {
                assert_eq!(lab.receive(&packet).passed(), length >= needed, "{protocol}: {length}");
                if length < needed {
                    assert_eq!(lab.reason(), Some(Reason::FragmentTooShort));
                }
            }
        }
    }
}

#[test]
fn an_atomic_fragment_is_a_whole_packet() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_port(INGRESS, ANY, UDP));
    let header = V6::new(REMOTE6, POD6).fragment(0, 7);
    assert!(lab.receive(&header.frame(UDP, &udp_header(1, 2))).passed());
}

#[test]
fn an_unisolated_pod_gets_every_fragment() {
    let mut lab = lab!();
    let [_, later] = v4(REMOTE, POD, 1, 53);
    assert!(lab.receive(&later).passed());
    let [_, later] = v6(POD6, REMOTE6, 1, 53);
    assert!(lab.send(&later).passed());
}
