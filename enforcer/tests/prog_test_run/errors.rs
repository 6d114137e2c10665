//! ICMP errors belong to the flow they are about.

use netpol_enforcer_common::{endpoint::SET_NONE, identity::ANY, mark, policy::PolicyPrefix};

use crate::{
    lab::{EGRESS, INGRESS, NODE, OTHER, POD, POD6, REMOTE, REMOTE6, SERVICE},
    packets::{ACK, SYN, echo, error, tcp, udp},
};

/// A router on the way.
const ROUTER: &str = "198.51.100.1";
const ROUTER6: &str = "2001:db8:1::1";

#[test]
fn errors_about_allowed_flows_pass() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(PolicyPrefix::any_protocol(EGRESS, ANY));
    for (about, from, message) in [
        (tcp((POD, 1000), (REMOTE, 80), SYN), ROUTER, 3),
        (udp((POD, 1000), (REMOTE, 53)), ROUTER, 11),
        (echo(POD, REMOTE, 8, 7), REMOTE, 3),
        (tcp((POD6, 1000), (REMOTE6, 80), SYN), ROUTER6, 2),
        (udp((POD6, 1000), (REMOTE6, 53)), REMOTE6, 1),
        (echo(POD6, REMOTE6, 128, 7), ROUTER6, 3),
    ] {
        let to = if from.contains(':') { POD6 } else { POD };
        let packet = error(from, to, message, &about);
        assert!(!lab.receive(&packet).passed(), "no such flow yet");
        assert!(lab.send(&about).passed());
        assert!(lab.receive(&packet).passed(), "{message} about {about:x?}");
        // Truncated to what must be there.
        assert!(lab.receive(&shortened(&about, from, to, message)).passed());
    }
}

/// With only eight bytes of the transport header.
fn shortened(about: &[u8], from: &str, to: &str, message: u8) -> Vec<u8> {
    let header = if to.contains(':') { 40 } else { 20 };
    error(from, to, message, &about[..14 + header + 8])
}

#[test]
fn errors_from_the_pod() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    lab.allow(PolicyPrefix::any_port(INGRESS, ANY, 17));
    let request = udp((REMOTE, 1000), (POD, 53));
    assert!(lab.receive(&request).passed());
    assert!(lab.send(&error(POD, REMOTE, 3, &request)).passed());
    // About a flow there is, but to someone else; and about one there isn't.
    assert!(!lab.send(&error(POD, OTHER, 3, &request)).passed());
    assert!(!lab.send(&error(POD, REMOTE, 3, &udp((REMOTE, 1001), (POD, 53)))).passed());
    // About a packet that the pod itself sent.
    assert!(!lab.send(&error(POD, REMOTE, 3, &udp((POD, 53), (REMOTE, 1000)))).passed());
}

#[test]
fn errors_are_not_deferred() {
    let mut lab = lab!();
    lab.isolate(SET_NONE, EGRESS);
    // The pod's port that a Service's reply wanted is closed by now.
    assert!(lab.send(&udp((POD, 1000), (SERVICE, 80))).passed());
    assert!(lab.send(&error(POD, SERVICE, 3, &udp((SERVICE, 80), (POD, 1000)))).passed());
    // A client behind the node's address.
    assert!(lab.receive(&udp((NODE, 40000), (POD, 53))).passed());
    let outcome = lab.send(&error(POD, NODE, 3, &udp((NODE, 40000), (POD, 53))));
    assert!(outcome.passed());
    assert_eq!(lab.field(outcome) & mark::DEFER, 0);
}

#[test]
fn errors_follow_a_revocation() {
    let mut lab = lab!();
    lab.isolate(INGRESS, EGRESS);
    let rule = PolicyPrefix::any_protocol(EGRESS, ANY);
    lab.allow(rule);
    let about = tcp((POD, 1000), (REMOTE, 80), ACK);
    assert!(lab.send(&about).passed());
    let packet = error(ROUTER, POD, 3, &about);
    lab.next_epoch();
    assert!(lab.receive(&packet).passed());
    lab.disallow(rule);
    lab.next_epoch();
    assert!(!lab.receive(&packet).passed());
}

#[test]
fn a_rule_without_ports_allows_any_icmp() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, ANY));
    assert!(lab.receive(&error(ROUTER, POD, 3, &udp((POD, 1), (REMOTE, 2)))).passed());
    assert!(lab.receive(&crate::packets::ip(REMOTE, POD, 1, &[5, 0, 0, 0, 0, 0, 0, 0])).passed());
}
