//! The pod and its node, the pod and itself, and links that belong to nobody yet.

use netpol_enforcer::test_run::Surroundings;
use netpol_enforcer_common::{config::UNKNOWN_ALLOW, mark, programs, reason::Reason};

use crate::{
    lab,
    lab::{Lab, NODE, NODE6, OTHER, OTHER_SLOT, POD, POD6, REMOTE, SLOT, UPLINK, forwarded, marked},
    packets::{ACK, SYN, echo, frame, tcp, udp},
};

fn from_host(lab: &mut Lab, packet: &[u8], mark: u32, ingress_ifindex: u32) -> bool {
    let surroundings = Surroundings { mark, ingress_ifindex, ..Surroundings::default() };
    lab.run(programs::POD_EGRESS, packet, surroundings).passed()
}

#[test]
fn the_node_reaches_its_pods() {
    let mut lab = lab!();
    lab.isolate(lab::INGRESS, lab::EGRESS);
    let probe = tcp((NODE, 40000), (POD, 8080), SYN);
    assert!(from_host(&mut lab, &probe, 0, 0));
    assert!(from_host(&mut lab, &tcp((NODE6, 40000), (POD6, 8080), SYN), 0, 0));
    assert!(from_host(&mut lab, &probe, 0x4000, 0), "with another's mark");
    assert!(!from_host(&mut lab, &probe, 0, UPLINK), "translated to the node's address, from outside");
    assert!(!from_host(&mut lab, &probe, marked(forwarded(OTHER_SLOT)), 0), "from another pod");
    assert!(!from_host(&mut lab, &tcp((REMOTE, 40000), (POD, 8080), SYN), 0, 0), "not the node's address");
}

#[test]
fn pods_reach_their_node() {
    let mut lab = lab!();
    lab.isolate(lab::INGRESS, lab::EGRESS);
    for packet in [tcp((POD, 1), (NODE, 10250), SYN), udp((POD6, 1), (NODE6, 53)), echo(POD, NODE, 8, 1)] {
        let outcome = lab.send(&packet);
        assert!(outcome.passed());
        // A node port may lead anywhere, so the packet is judged again if it leaves the node.
        assert_eq!(lab.field(outcome), forwarded(SLOT) | mark::DEFER);
    }
}

#[test]
fn the_node_may_answer_a_pod_that_becomes_isolated() {
    let mut lab = lab!();
    assert!(lab.send(&udp((POD, 1000), (NODE, 53))).passed());
    assert!(from_host(&mut lab, &udp((NODE, 53), (POD, 1000)), 0, 0));
    lab.isolate(lab::INGRESS, lab::EGRESS);
    lab.next_epoch();
    assert!(from_host(&mut lab, &udp((NODE, 53), (POD, 1000)), 0, 0));
    assert!(lab.send(&udp((POD, 1000), (NODE, 53))).passed());
}

#[test]
fn a_pod_reaches_itself() {
    let mut lab = lab!();
    lab.isolate(lab::INGRESS, lab::EGRESS);
    assert!(lab.send(&tcp((POD, 1), (POD, 80), SYN)).passed());
    let own = marked(forwarded(SLOT));
    assert!(lab.receive_marked(&tcp((NODE, 1), (POD, 80), SYN), own).passed());
    assert!(!lab.receive_marked(&tcp((NODE, 1), (POD, 80), SYN), marked(forwarded(OTHER_SLOT))).passed());
}

#[test]
fn an_unknown_pod_is_closed() {
    let mut lab = lab!();
    lab.forget();
    assert!(!lab.send(&tcp((POD, 1), (REMOTE, 80), SYN)).passed());
    assert_eq!(lab.reason(), Some(Reason::UnknownEndpoint));
    assert!(!lab.receive(&tcp((REMOTE, 1), (POD, 80), SYN)).passed());
    assert!(from_host(&mut lab, &tcp((NODE, 1), (POD, 80), SYN), 0, 0));
    assert!(lab.send(&frame(0x0806, &[0; 28])).passed());
    let to_node = lab.send(&udp((POD, 1), (NODE, 53)));
    assert!(to_node.passed());
    assert_eq!(lab.field(to_node), forwarded(0) | mark::DEFER);
    // Translated to somewhere else, it ends there.
    assert!(!lab.leave(&udp((NODE, 1), (REMOTE, 53)), to_node.mark).passed());
    assert_eq!(lab.reason(), Some(Reason::SlotUnknown));

    lab.config.flags |= UNKNOWN_ALLOW;
    lab.configure();
    assert!(lab.send(&tcp((POD, 1), (REMOTE, 80), SYN)).passed());
    assert!(lab.receive(&tcp((REMOTE, 1), (POD, 80), SYN)).passed());
}

#[test]
fn before_anything_is_programmed_all_is_closed() {
    let mut lab = lab!();
    lab.set_epoch(0);
    assert!(!lab.send(&tcp((POD, 1), (REMOTE, 80), SYN)).passed());
    assert_eq!(lab.reason(), Some(Reason::UnknownEndpoint));
    assert!(!lab.receive(&tcp((OTHER, 1), (POD, 80), SYN)).passed());

    let mut lab = lab!();
    assert!(lab.send(&tcp((POD, 1), (REMOTE, 80), SYN)).passed());
    lab.config.mark_mask = 0;
    lab.configure();
    // Nor does it help to belong to a flow: without a mark nobody could tell where the packet comes from.
    for flags in [SYN, ACK] {
        assert!(!lab.send(&tcp((POD, 1), (REMOTE, 80), flags)).passed());
        assert_eq!(lab.reason(), Some(Reason::Unready));
    }
}
