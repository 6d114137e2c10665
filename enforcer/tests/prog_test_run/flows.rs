//! Replies, revocation and what is no reply.

use netpol_enforcer_common::{endpoint::SET_NONE, identity::ANY, policy::PolicyPrefix, reason::Reason};

use crate::{
    lab::{self, EGRESS, GENERATION, INGRESS, Lab, NODE, OTHER, POD, POD6, REMOTE, REMOTE6},
    packets::{ACK, FIN, ICMP, RST, SCTP, SYN, echo, ip, sctp_chunk, sctp_header, tcp, udp},
};

const ALL_OUT: PolicyPrefix = PolicyPrefix::any_protocol(EGRESS, ANY);
const ALL_IN: PolicyPrefix = PolicyPrefix::any_protocol(INGRESS, ANY);

#[test]
fn replies_pass() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(ALL_OUT);
    for (request, reply) in [
        (tcp((POD, 1000), (REMOTE, 80), SYN), tcp((REMOTE, 80), (POD, 1000), SYN | ACK)),
        (tcp((POD6, 1000), (REMOTE6, 80), SYN), tcp((REMOTE6, 80), (POD6, 1000), SYN | ACK)),
        (udp((POD, 1000), (REMOTE, 53)), udp((REMOTE, 53), (POD, 1000))),
        (echo(POD, REMOTE, 8, 7), echo(REMOTE, POD, 0, 7)),
        (echo(POD6, REMOTE6, 128, 7), echo(REMOTE6, POD6, 129, 7)),
        (ip(POD, REMOTE, SCTP, &sctp_header(1000, 9)), ip(REMOTE, POD, SCTP, &sctp_chunk(9, 1000, 2))),
        (ip(POD, REMOTE, SCTP, &sctp_header(1001, 9)), ip(REMOTE, POD, SCTP, &sctp_chunk(9, 1001, 0))),
        (ip(POD, REMOTE, 47, &[0; 8]), ip(REMOTE, POD, 47, &[0; 8])),
    ] {
        assert!(!lab.receive(&reply).passed(), "before there is a request");
        assert!(lab.send(&request).passed());
        assert!(lab.receive(&reply).passed(), "after the request");
    }
}

#[test]
fn replies_of_an_inbound_flow_pass() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(ALL_IN);
    assert!(lab.receive(&tcp((REMOTE, 1000), (POD, 80), SYN)).passed());
    assert!(lab.send(&tcp((POD, 80), (REMOTE, 1000), SYN | ACK)).passed());
    assert!(lab.receive(&echo(REMOTE, POD, 8, 3)).passed());
    assert!(lab.send(&echo(POD, REMOTE, 0, 3)).passed());
}

#[test]
fn what_only_looks_like_a_reply() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(ALL_OUT);
    assert!(lab.send(&tcp((POD, 1000), (REMOTE, 80), SYN)).passed());
    assert!(lab.send(&udp((POD, 1000), (REMOTE, 53))).passed());
    assert!(lab.send(&echo(POD, REMOTE, 8, 7)).passed());
    assert!(lab.send(&ip(POD, REMOTE, SCTP, &sctp_header(1000, 9))).passed());
    for (what, packet) in [
        ("a SYN in the other direction", tcp((REMOTE, 80), (POD, 1000), SYN)),
        ("an INIT in the other direction", ip(REMOTE, POD, SCTP, &sctp_header(9, 1000))),
        ("another port", udp((REMOTE, 54), (POD, 1000))),
        ("another address", udp((OTHER, 53), (POD, 1000))),
        ("a request with the same identifier", echo(REMOTE, POD, 8, 7)),
        ("a reply with another identifier", echo(REMOTE, POD, 0, 8)),
        ("a reply to another kind of request", ip(REMOTE, POD, ICMP, &[14, 0, 0, 0, 0, 7, 0, 1])),
    ] {
        assert!(!lab.receive(&packet).passed(), "{what}");
    }
}

#[test]
fn a_change_revokes_and_keeps() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.identity(OTHER, 100);
    lab.identity(REMOTE, 101);
    let (kept, revoked) =
        (PolicyPrefix::any_protocol(INGRESS, 100), PolicyPrefix::any_protocol(INGRESS, 101));
    lab.allow(kept);
    lab.allow(revoked);
    for peer in [OTHER, REMOTE] {
        assert!(lab.receive(&tcp((peer, 1000), (POD, 80), SYN)).passed());
        assert!(lab.send(&tcp((POD, 80), (peer, 1000), SYN | ACK)).passed());
        assert!(lab.receive(&udp((peer, 1000), (POD, 53))).passed());
    }
    lab.disallow(revoked);
    // Not before the epoch changes.
    assert!(lab.receive(&tcp((REMOTE, 1000), (POD, 80), ACK)).passed());
    lab.next_epoch();
    // A reply comes first in one case, a packet of the initiator in another.
    assert!(!lab.send(&tcp((POD, 80), (REMOTE, 1000), ACK)).passed());
    assert!(!lab.receive(&tcp((REMOTE, 1000), (POD, 80), ACK)).passed());
    assert!(!lab.receive(&udp((REMOTE, 1000), (POD, 53))).passed());
    assert!(!lab.send(&udp((POD, 53), (REMOTE, 1000))).passed());
    assert!(lab.send(&tcp((POD, 80), (OTHER, 1000), ACK)).passed());
    assert!(lab.receive(&tcp((OTHER, 1000), (POD, 80), ACK)).passed());
    assert!(lab.send(&udp((POD, 53), (OTHER, 1000))).passed());
}

#[test]
fn a_revoked_flow_does_not_go_on_as_one_of_the_other_side() {
    for outward in [true, false] {
        let mut lab = lab!();
        // Only one direction is isolated; in the other anything may be opened.
        if outward {
            lab.isolate(SET_NONE, EGRESS);
        } else {
            lab.isolate(INGRESS, SET_NONE);
        }
        let rule = if outward { ALL_OUT } else { ALL_IN };
        lab.allow(rule);
        let run = |lab: &mut lab::Lab, out: bool, packet: &[u8]| {
            if out { lab.send(packet).passed() } else { lab.receive(packet).passed() }
        };
        let (pod, peer) = ((POD, 1000), (REMOTE, 80));
        let toward = |out, flags| if out { tcp(pod, peer, flags) } else { tcp(peer, pod, flags) };
        let datagram = |out| if out { udp(pod, peer) } else { udp(peer, pod) };
        let request = |out| if out { echo(POD, REMOTE, 8, 1) } else { echo(REMOTE, POD, 8, 1) };
        let answer = |out| if out { echo(POD, REMOTE, 0, 1) } else { echo(REMOTE, POD, 0, 1) };
        for (first, second) in [
            (toward(outward, SYN), toward(!outward, SYN | ACK)),
            (datagram(outward), datagram(!outward)),
            (request(outward), answer(!outward)),
        ] {
            assert!(run(&mut lab, outward, &first));
            assert!(run(&mut lab, !outward, &second));
        }
        lab.disallow(rule);
        lab.next_epoch();
        for _ in 0..2 {
            for packet in
                [toward(!outward, ACK), toward(!outward, SYN | ACK), datagram(!outward), answer(!outward)]
            {
                assert!(!run(&mut lab, !outward, &packet), "{outward}: {packet:x?}");
            }
            for packet in [toward(outward, ACK), toward(outward, SYN), datagram(outward), request(outward)] {
                assert!(!run(&mut lab, outward, &packet), "{outward}: {packet:x?}");
            }
        }
        // A connection that the other side opens is another matter.
        assert!(run(&mut lab, !outward, &toward(!outward, SYN)));
        assert!(run(&mut lab, outward, &toward(outward, SYN | ACK)));
        // And so is it when the policy allows the flow again.
        lab.allow(rule);
        lab.next_epoch();
        assert!(run(&mut lab, !outward, &datagram(!outward)));
        assert!(run(&mut lab, outward, &datagram(outward)));
    }
}

#[test]
fn isolation_does_not_cut_what_the_pod_had_opened() {
    let mut lab = lab!();
    assert!(lab.send(&udp((POD, 1000), (REMOTE, 53))).passed());
    assert!(lab.send(&tcp((POD, 1000), (REMOTE, 80), SYN)).passed());
    lab.isolate(INGRESS, SET_NONE);
    lab.next_epoch();
    assert!(lab.receive(&udp((REMOTE, 53), (POD, 1000))).passed());
    assert!(lab.receive(&tcp((REMOTE, 80), (POD, 1000), SYN | ACK)).passed());
    assert!(!lab.receive(&udp((REMOTE, 54), (POD, 1000))).passed());
}

#[test]
fn a_connection_that_both_sides_closed_leaves_nothing() {
    for opened_by_pod in [true, false] {
        let mut lab = lab!();
        lab.isolate(INGRESS, EGRESS);
        lab.allow(if opened_by_pod { ALL_OUT } else { PolicyPrefix::any_port(INGRESS, ANY, 6) });
        let out = |flags| tcp((POD, 1000), (REMOTE, 80), flags);
        let back = |flags| tcp((REMOTE, 80), (POD, 1000), flags);
        let pass = |lab: &mut Lab, outward: bool, flags: u8| {
            let passed = if outward { lab.send(&out(flags)) } else { lab.receive(&back(flags)) }.passed();
            assert!(passed, "{outward} {flags:#x}");
            lab.flows().len()
        };
        for closed_by_pod in [true, false] {
            assert_eq!(pass(&mut lab, opened_by_pod, SYN), 1);
            assert_eq!(pass(&mut lab, !opened_by_pod, SYN | ACK), 1);
            assert_eq!(pass(&mut lab, opened_by_pod, ACK), 1);
            // Half closed: the other side may go on for as long as it likes.
            assert_eq!(pass(&mut lab, closed_by_pod, FIN | ACK), 1);
            for outward in [!closed_by_pod, closed_by_pod, !closed_by_pod] {
                assert_eq!(pass(&mut lab, outward, ACK), 1);
            }
            // Closed, also if the FIN has to be repeated, until that is answered.
            assert_eq!(pass(&mut lab, !closed_by_pod, FIN | ACK), 1);
            assert_eq!(pass(&mut lab, !closed_by_pod, FIN | ACK), 1);
            assert_eq!(pass(&mut lab, closed_by_pod, ACK), 0);
            // The answer was lost: what is repeated is judged by the policies, which still allow it.
            assert_eq!(pass(&mut lab, !closed_by_pod, FIN | ACK), 1);
            assert_eq!(pass(&mut lab, closed_by_pod, ACK), 1);
            // The same ports again, and an end by reset: that may be anybody's, so the entry waits for its timeout.
            assert_eq!(pass(&mut lab, opened_by_pod, SYN), 1);
            assert_eq!(pass(&mut lab, closed_by_pod, RST), 1);
            assert_eq!(pass(&mut lab, !closed_by_pod, ACK), 1);
        }
        // Without a policy that allows it, what is repeated does not pass.
        assert_eq!(pass(&mut lab, opened_by_pod, SYN), 1);
        for outward in [true, false] {
            assert_eq!(pass(&mut lab, outward, FIN | ACK), 1);
        }
        lab.isolate(INGRESS + 50, EGRESS + 50);
        assert_eq!(pass(&mut lab, true, ACK), 0);
        assert!(!lab.send(&out(ACK)).passed());
        assert!(!lab.receive(&back(ACK)).passed());
    }
}

#[test]
fn a_connection_without_an_entry_is_judged_as_opened_from_either_side() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(ALL_OUT);
    // The pod may open connections, so the middle of one passes in both directions …
    assert!(lab.receive(&tcp((REMOTE, 80), (POD, 1000), ACK)).passed());
    assert!(lab.send(&tcp((POD, 1001), (REMOTE, 80), ACK)).passed());
    // … but that does not let the other side open one.
    assert!(!lab.receive(&tcp((REMOTE, 80), (POD, 1000), SYN)).passed());

    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    // Nobody may open one.
    assert!(!lab.receive(&tcp((REMOTE, 80), (POD, 1000), ACK)).passed());
    assert!(!lab.receive(&tcp((REMOTE, 80), (POD, 1000), SYN | ACK)).passed());
    assert!(!lab.receive(&tcp((REMOTE, 80), (POD, 1000), RST)).passed());
    assert!(!lab.send(&tcp((POD, 80), (REMOTE, 1000), ACK)).passed());
}

#[test]
fn a_new_generation_forgets() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(ALL_OUT);
    assert!(lab.send(&udp((POD, 1000), (REMOTE, 53))).passed());
    assert!(lab.receive(&udp((REMOTE, 53), (POD, 1000))).passed());
    lab.isolate_as(GENERATION + 50, INGRESS, EGRESS);
    assert!(!lab.receive(&udp((REMOTE, 53), (POD, 1000))).passed());
}

#[test]
fn expired_flows_are_gone() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(ALL_OUT);
    let reply = udp((REMOTE, 53), (POD, 1000));
    assert!(lab.send(&udp((POD, 1000), (REMOTE, 53))).passed());
    lab.age_flows(60);
    assert!(lab.receive(&reply).passed(), "after a minute; the reply renews it");
    lab.age_flows(61);
    assert!(!lab.receive(&reply).passed(), "after more than a minute");

    assert!(lab.send(&tcp((POD, 1000), (REMOTE, 80), SYN)).passed());
    assert!(lab.receive(&tcp((REMOTE, 80), (POD, 1000), SYN | ACK)).passed());
    lab.age_flows(3600);
    lab.events();
    assert!(lab.receive(&tcp((REMOTE, 80), (POD, 1000), ACK)).passed());
    assert_eq!(lab.reason(), None, "established for an hour");
    assert!(lab.send(&tcp((POD, 1000), (REMOTE, 80), FIN | ACK)).passed());
    lab.age_flows(31);
    assert!(lab.receive(&tcp((REMOTE, 80), (POD, 1000), ACK)).passed());
    assert_eq!(lab.reason(), Some(Reason::Policy), "closing for half a minute, then judged anew");
}

#[test]
fn a_full_table_makes_room() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(ALL_OUT);
    // An LRU map makes room: thousands of flows fit one after another, and the newest always works.
    for port in 1..10_000 {
        assert!(lab.send(&udp((POD, port), (REMOTE, 53))).passed());
    }
    assert!(lab.receive(&udp((REMOTE, 53), (POD, 9_999))).passed());
    assert!(!lab.receive(&udp((REMOTE, 53), (POD, 1))).passed());
}

#[test]
fn the_pods_own_node_may_be_answered() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    assert!(lab.send(&tcp((POD, 8080), (NODE, 40000), SYN | ACK)).passed());
}
