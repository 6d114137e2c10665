//! Addresses, tags and tunnels that are not a pod's everyday packets.

use netpol_enforcer::test_run::Surroundings;
use netpol_enforcer_common::{
    config::{MAX_OVERLAY_PORTS, OVERLAY_IP},
    endpoint::{Brief, SET_NONE},
    identity::ANY,
    maps::size,
    policy::{PolicyPrefix, port_prefixes},
    programs,
    reason::Reason,
};

use crate::{
    lab::{
        EGRESS, IFINDEX, INGRESS, NODE, OTHER, OTHER_GENERATION, OTHER_SLOT, POD, POD6, REMOTE, REMOTE6,
        SLOT, UPLINK,
    },
    packets::{ACK, SYN, V4, frame, ip, tcp, udp, udp_header},
};

/// UDP and one port.
fn port(set: u32, identity: u32, port: u16) -> PolicyPrefix {
    PolicyPrefix::ports(set, identity, 17, port_prefixes(port, port).next().expect("one"))
}

#[test]
fn broadcast_and_multicast_are_judged_like_anything_else() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.identity(OTHER, 100);
    lab.allow(port(INGRESS, 100, 5353));
    // To the pod: by who sent it and the port.
    for group in ["224.0.0.251", "10.0.0.255", "255.255.255.255"] {
        assert!(lab.receive(&udp((OTHER, 5353), (group, 5353))).passed(), "{group}");
        assert!(!lab.receive(&udp((OTHER, 5353), (group, 5354))).passed(), "{group}");
        assert!(!lab.receive(&udp((REMOTE, 5353), (group, 5353))).passed(), "{group}");
    }
    assert!(!lab.receive(&udp((REMOTE6, 5353), ("ff02::fb", 5353))).passed());
    // From the pod: the group is an address like any other.
    for group in ["224.0.0.251", "255.255.255.255", "ff02::fb"] {
        let source = if group.contains(':') { POD6 } else { POD };
        assert!(!lab.send(&udp((source, 5353), (group, 5353))).passed(), "{group}");
    }
    lab.block("224.0.0.0", 4, 200);
    lab.allow(port(EGRESS, 200, 5353));
    assert!(lab.send(&udp((POD, 5353), ("224.0.0.251", 5353))).passed());
    assert!(!lab.send(&udp((POD, 5353), ("255.255.255.255", 5353))).passed());
    // A query to a group lets nobody in: what comes back has another source.
    assert!(!lab.receive(&udp((REMOTE, 5353), (POD, 5353))).passed());
}

#[test]
fn link_local_addresses_are_addresses() {
    let mut lab = lab!();
    lab.node("fe80::1");
    assert!(lab.send(&udp(("fe80::2", 1), ("fe80::9", 2))).passed());
    lab.isolate(INGRESS, EGRESS);
    lab.allow(port(INGRESS, ANY, 53));
    // Its own as a source, another one as a destination that no rule names.
    assert!(!lab.send(&udp(("fe80::2", 1), ("fe80::9", 53))).passed());
    assert_eq!(lab.reason(), Some(Reason::NotAllowed));
    assert!(!lab.send(&udp(("fe80::3", 1), ("fe80::9", 53))).passed());
    assert_eq!(lab.reason(), Some(Reason::Spoofed));
    // To the node's it may speak, like to its others.
    assert!(lab.send(&udp(("fe80::2", 1), ("fe80::1", 53))).passed());
    assert!(lab.receive(&udp(("fe80::9", 1), ("fe80::2", 53))).passed());
    assert!(!lab.receive(&udp(("fe80::9", 1), ("fe80::2", 54))).passed());
}

#[test]
fn a_pod_sends_no_vlan_tags() {
    let mut lab = lab!();
    let inner = udp((OTHER, 1), (REMOTE, 53));
    for ether_type in [0x8100, 0x88a8] {
        let tagged = frame(ether_type, &[&[0, 0], &inner[12..]].concat());
        assert!(!lab.send(&tagged).passed(), "{ether_type:x}");
        assert_eq!(lab.reason(), Some(Reason::VlanTag));
        // What comes to it is its own business until it is isolated.
        assert!(lab.receive(&tagged).passed());
        lab.isolate(INGRESS, SET_NONE);
        assert!(!lab.receive(&tagged).passed());
        lab.isolate(SET_NONE, SET_NONE);
    }
}

#[test]
fn what_the_node_unpacks_is_not_taken_from_pods() {
    let mut lab = lab!();
    let vxlan = udp((POD, 40_000), (NODE, 8472));
    let ipip = ip(POD, NODE, 4, &V4::new(OTHER, REMOTE, 17).frame(&udp_header(1, 2))[14..]);
    let gre = ip(POD, REMOTE, 47, &[0, 0, 0x08, 0]);
    assert!(lab.send(&vxlan).passed());
    assert!(lab.send(&ipip).passed());
    lab.config.overlay_ports = [4789, 8472, 0, 0];
    lab.config.flags |= OVERLAY_IP;
    assert_eq!(lab.config.overlay_ports.len(), MAX_OVERLAY_PORTS);
    lab.configure();
    // Also what was a flow before.
    for packet in [&vxlan, &udp((POD, 1), (REMOTE, 4789)), &ipip, &gre] {
        assert!(!lab.send(packet).passed());
        assert_eq!(lab.reason(), Some(Reason::Overlay));
    }
    assert!(lab.send(&udp((POD, 1), (NODE, 53))).passed());
    assert!(lab.send(&tcp((POD, 1), (REMOTE, 8472), SYN)).passed());
    // Nor from a pod that is not known, which may speak to the node otherwise.
    lab.forget();
    assert!(lab.send(&udp((POD, 1), (NODE, 53))).passed());
    assert!(!lab.send(&vxlan).passed());
}

#[test]
fn the_short_way_is_no_way_round() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    lab.allow(PolicyPrefix::any_protocol(EGRESS, ANY));
    assert!(lab.send(&tcp((POD, 40_000), (REMOTE, 80), SYN)).passed());
    let within = tcp((POD, 40_000), (REMOTE, 80), ACK);
    let (plain, counted) =
        (lab.send(&within), lab.count(Reason::Established, netpol_enforcer_common::Direction::Egress));
    assert!(plain.passed());
    // With options it goes the long way, and comes out the same: mark, counter.
    let mut header = V4::new(POD, REMOTE, 6);
    header.options = vec![1; 4];
    let long = lab.send(&header.frame(&crate::packets::tcp_header(40_000, 80, ACK)));
    assert_eq!((long.action, long.mark), (plain.action, plain.mark));
    assert_eq!(lab.count(Reason::Established, netpol_enforcer_common::Direction::Egress), counted + 1);
    // Another MAC address, another source, a longer claim than the packet, a tail that is not there.
    let mut foreign = within.clone();
    foreign[11] ^= 1;
    let mut longer = within.clone();
    longer[17] += 1;
    for (packet, reason) in [
        (foreign, Reason::Spoofed),
        (tcp((OTHER, 40_000), (REMOTE, 80), ACK), Reason::Spoofed),
        (longer, Reason::Malformed),
        (within[..14 + 20 + 19].to_vec(), Reason::Malformed),
    ] {
        assert!(!lab.send(&packet).passed());
        assert_eq!(lab.reason(), Some(reason));
    }
    // A deferred packet to the pod is never short.
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, ANY));
    assert!(lab.receive(&tcp((OTHER, 1), (POD, 80), SYN)).passed());
    let deferred = crate::lab::marked(crate::lab::forwarded(99) | netpol_enforcer_common::mark::DEFER);
    assert!(!lab.receive_marked(&tcp((OTHER, 1), (POD, 80), ACK), deferred).passed());
    assert_eq!(lab.reason(), Some(Reason::SlotUnknown));
}

#[test]
fn a_link_whose_brief_is_another_links_is_looked_up_in_full() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    let ports = port_prefixes(80, 80).next().expect("one");
    lab.allow(PolicyPrefix::ports(EGRESS, ANY, 6, ports));
    let brief =
        Brief { link: IFINDEX + size::BRIEFS, generation: OTHER_GENERATION, mac: [0; 6], slot: OTHER_SLOT };
    assert_eq!(Brief::place(brief.link), Brief::place(IFINDEX));
    for brief in [brief, Brief::default()] {
        lab.brief(brief);
        assert!(lab.send(&tcp((POD, 40_000), (REMOTE, 80), SYN)).passed());
        let within = lab.send(&tcp((POD, 40_000), (REMOTE, 80), ACK));
        assert!(within.passed());
        assert_eq!(within.mark, crate::lab::marked(crate::lab::forwarded(SLOT)));
        assert!(lab.receive(&tcp((REMOTE, 80), (POD, 40_000), SYN | ACK)).passed());
        assert!(!lab.receive(&tcp((REMOTE, 81), (POD, 40_000), SYN | ACK)).passed());
        assert!(!lab.send(&tcp((POD, 40_000), (REMOTE, 81), SYN)).passed());
    }
}

#[test]
fn what_was_let_in_for_another_address_is_not_let_out_from_it() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_port(INGRESS, ANY, 6));
    // The host may route to the pod what is not its own. The pod may not send from there, with an approved flow or without.
    assert!(lab.receive(&tcp((REMOTE, 40_000), (OTHER, 80), SYN)).passed());
    assert!(!lab.send(&tcp((OTHER, 80), (REMOTE, 40_000), SYN | ACK)).passed());
    assert_eq!(lab.reason(), Some(Reason::Spoofed));
    assert!(!lab.send(&tcp((OTHER, 80), (REMOTE, 40_000), ACK)).passed());
    assert_eq!(lab.reason(), Some(Reason::Spoofed));
}

#[test]
fn headers_outside_the_linear_part_are_read() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(port(INGRESS, ANY, 53));
    // The kernel leaves only the Ethernet header in the linear part; kernels before 6.19 can't be told to.
    let surroundings = Surroundings { ingress_ifindex: UPLINK, linear: Some(14), ..Surroundings::default() };
    for (packet, passes) in [
        (udp((REMOTE, 1), (POD, 53)), true),
        (udp((REMOTE, 1), (POD, 54)), false),
        (udp((REMOTE6, 1), (POD6, 53)), true),
        (udp((REMOTE6, 1), (POD6, 54)), false),
    ] {
        // Twice: opening, and the flow that was opened.
        for _ in 0..2 {
            match lab.try_run(programs::POD_EGRESS, &packet, surroundings) {
                Ok(outcome) => assert_eq!(outcome.passed(), passes),
                Err(error) => return eprintln!("skipped: this kernel makes no such packets: {error}"),
            }
        }
    }
}
