//! A pod may only speak for itself.

use netpol_enforcer_common::{endpoint::SET_NONE, reason::Reason};

use crate::{
    lab,
    lab::{MAC, NODE, NODE6, OTHER, OTHER6, POD, POD6, REMOTE, REMOTE6, forwarded},
    packets::{ACK, ICMPV6, SYN, V6, echo, frame, tcp, udp},
};

#[test]
fn addresses() {
    let mut lab = lab!();
    for (packet, passes) in [
        (tcp((POD, 1), (REMOTE, 80), SYN), true),
        (tcp((OTHER, 1), (REMOTE, 80), SYN), false),
        (udp((NODE, 1), (REMOTE, 80)), false),
        (udp(("0.0.0.0", 68), ("255.255.255.255", 67)), false),
        (echo(OTHER, POD, 8, 1), false),
        (tcp((POD6, 1), (REMOTE6, 80), SYN), true),
        (tcp((OTHER6, 1), (REMOTE6, 80), SYN), false),
        (udp((NODE6, 1), (REMOTE6, 80)), false),
        (udp(("fe80::2", 1), ("fe80::1", 80)), true),
        (udp(("fe80::3", 1), ("fe80::1", 80)), false),
        (udp(("::", 1), ("ff02::1", 80)), false),
        (udp(("::ffff:10.0.0.2", 1), (REMOTE6, 80)), false),
    ] {
        assert_eq!(lab.send(&packet).passed(), passes, "{packet:x?}");
    }
}

#[test]
fn nobody_else_sends_from_the_pods_address() {
    let mut lab = lab!();
    for flags in [SYN, ACK] {
        assert!(!lab.receive(&tcp((POD, 1), (POD, 80), flags)).passed());
        assert_eq!(lab.reason(), Some(Reason::Spoofed));
    }
}

/// What is written to somebody else may be led to the pod and pass there, and is a flow then. The answer is a lie all the same.
#[test]
fn an_answer_in_the_name_of_another() {
    let mut lab = lab!();
    for (own, other, remote) in [(POD, OTHER, REMOTE), (POD6, OTHER6, REMOTE6)] {
        for (to, passes) in [(own, true), (other, false)] {
            assert!(lab.receive(&tcp((remote, 40_000), (to, 80), SYN)).passed());
            for flags in [SYN | ACK, ACK] {
                let answer = tcp((to, 80), (remote, 40_000), flags);
                lab.events();
                assert_eq!(lab.send(&answer).passed(), passes, "{to}");
                assert_eq!(lab.reason(), (!passes).then_some(Reason::Spoofed));
                // From another's hardware address, it is one in any case.
                let mut foreign = answer;
                foreign[11] ^= 1;
                assert!(!lab.send(&foreign).passed(), "{to}");
                assert_eq!(lab.reason(), Some(Reason::Spoofed));
            }
        }
    }
}

#[test]
fn mac_address() {
    let mut lab = lab!();
    let mut packet = tcp((POD, 1), (REMOTE, 80), SYN);
    packet[11] ^= 1;
    assert!(!lab.send(&packet).passed());
    assert_eq!(lab.reason(), Some(Reason::Spoofed));
}

#[test]
fn arp() {
    let mut lab = lab!();
    let arp = |operation: u8, mac: [u8; 6], sender: [u8; 4]| {
        let mut bytes = vec![0, 1, 8, 0, 6, 4, 0, operation];
        bytes.extend(mac);
        bytes.extend(sender);
        bytes.extend([0, 0, 0, 0, 0, 0, 10, 0, 0, 1]);
        frame(0x0806, &bytes)
    };
    let own = [10, 0, 0, 2];
    for (packet, passes) in [
        (arp(1, MAC, own), true),
        (arp(2, MAC, own), true),
        (arp(1, MAC, [0, 0, 0, 0]), true),
        (arp(1, MAC, [10, 0, 0, 3]), false),
        (arp(2, MAC, [10, 0, 0, 1]), false),
        (arp(2, [2, 0, 0, 0, 0, 9], own), false),
        (frame(0x0806, &[0, 1, 8, 0, 6, 4, 0, 1]), false),
        (frame(0x0806, &[0; 28]), false),
    ] {
        assert_eq!(lab.send(&packet).passed(), passes, "{packet:x?}");
    }
    // Towards the pod, and for an isolated one, ARP always passes.
    lab.isolate(lab::INGRESS, lab::EGRESS);
    assert!(lab.receive(&arp(1, MAC, [10, 0, 0, 3])).passed());
    assert!(lab.send(&arp(1, MAC, own)).passed());
}

/// A message of neighbour discovery with a target.
fn discovery(source: &str, destination: &str, message: u8, target: &str, hop_limit: u8) -> Vec<u8> {
    let mut bytes = vec![message, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(lab::address(target).octets());
    let mut header = V6::new(source, destination);
    header.hop_limit = hop_limit;
    header.frame(ICMPV6, &bytes)
}

#[test]
fn neighbour_discovery() {
    let mut lab = lab!();
    lab.isolate(lab::INGRESS, lab::EGRESS);
    for (packet, passes) in [
        (discovery(POD6, "ff02::1:ff00:1", 135, NODE6, 255), true),
        (discovery("fe80::2", NODE6, 135, NODE6, 255), true),
        (discovery("::", "ff02::1:ff00:2", 135, POD6, 255), true),
        (discovery(POD6, NODE6, 136, POD6, 255), true),
        (discovery("fe80::2", "fe80::1", 136, "fe80::2", 255), true),
        (discovery("fe80::2", "ff02::2", 133, "::", 255), true),
        (discovery(OTHER6, NODE6, 135, NODE6, 255), false),
        (discovery(POD6, NODE6, 136, OTHER6, 255), false),
        (discovery(POD6, NODE6, 136, NODE6, 255), false),
        (discovery("fe80::2", "ff02::1", 134, "::", 255), false),
        (discovery("fe80::2", NODE6, 137, REMOTE6, 255), false),
        // Routed packets are no neighbour discovery; policy decides.
        (discovery(POD6, REMOTE6, 135, REMOTE6, 64), false),
    ] {
        assert_eq!(lab.send(&packet).passed(), passes, "{packet:x?}");
    }
    assert!(lab.receive(&discovery(NODE6, POD6, 135, POD6, 255)).passed());
    assert!(!lab.receive(&discovery(REMOTE6, POD6, 135, POD6, 64)).passed());
}

#[test]
fn listener_discovery() {
    let mut lab = lab!();
    lab.isolate(lab::INGRESS, lab::EGRESS);
    let mut header = V6::new("fe80::2", "ff02::16");
    header.hop_limit = 1;
    header.extensions.push((0, vec![0, 0, 5, 2, 0, 0, 1, 0]));
    assert!(lab.send(&header.frame(ICMPV6, &[143, 0, 0, 0, 0, 0, 0, 0])).passed());
    let mut spoofed = V6::new(OTHER6, "ff02::16");
    spoofed.hop_limit = 1;
    assert!(!lab.send(&spoofed.frame(ICMPV6, &[143, 0, 0, 0, 0, 0, 0, 0])).passed());
}

#[test]
fn other_ether_types() {
    let mut lab = lab!();
    let lldp = frame(0x88cc, &[0; 40]);
    assert!(lab.send(&lldp).passed());
    assert!(lab.receive(&lldp).passed());
    lab.isolate(lab::INGRESS, SET_NONE);
    assert!(!lab.send(&lldp).passed());
    assert_eq!(lab.reason(), Some(Reason::EtherType));
    assert!(!lab.receive(&lldp).passed());
}

#[test]
fn packets_are_marked_and_foreign_bits_stay() {
    let mut lab = lab!();
    let surroundings =
        netpol_enforcer::test_run::Surroundings { mark: 0x000a_c001 | 0xfff0_0000, ..Default::default() };
    let outcome =
        lab.run(netpol_enforcer_common::programs::POD_INGRESS, &udp((POD, 1), (REMOTE, 2)), surroundings);
    assert_eq!(lab.field(outcome), forwarded(lab::SLOT));
    assert_eq!(outcome.mark & !lab.config.mark_mask, 0x000a_c001);
}
