//! Programs that only answer: the same verdicts, and no trace of the question.

use netpol_enforcer_common::{
    Direction,
    endpoint::{AUDIT, SET_NONE},
    event, mark,
    policy::PolicyPrefix,
    reason::Reason,
    trace,
};

use crate::{
    lab::{EGRESS, GENERATION, INGRESS, Lab, NODE, OTHER, POD, REMOTE, SERVICE, SLOT, forwarded, marked},
    packets::{SYN, TCP, V4, tcp, tcp_header, udp},
};

macro_rules! tracing_lab {
    () => {
        match Lab::tracing() {
            Some(lab) => lab,
            None => return,
        }
    };
}

#[test]
fn the_verdict_is_the_same_and_nothing_is_left() {
    let mut real = lab!();
    let mut asked = tracing_lab!();
    for lab in [&mut real, &mut asked] {
        lab.isolate(INGRESS, EGRESS);
        lab.identity(OTHER, 100);
        lab.allow(PolicyPrefix::any_port(INGRESS, 100, TCP));
        lab.allow(PolicyPrefix::any_port(EGRESS, 100, TCP));
    }
    let mut fragment = V4::new(OTHER, POD, TCP);
    (fragment.id, fragment.fragment) = (7, 0x2000);
    for (number, packet) in [
        tcp((OTHER, 1000), (POD, 80), SYN),
        tcp((REMOTE, 1000), (POD, 80), SYN),
        udp((OTHER, 1000), (POD, 80)),
        fragment.frame(&tcp_header(1001, 80, SYN)),
    ]
    .iter()
    .enumerate()
    {
        let outcome = asked.receive(packet);
        assert_eq!(outcome.action, real.receive(packet).action, "packet {number} to the pod");
        let reason = real.reason().expect("an event");
        assert_eq!(outcome.answer[trace::REASON], reason as u32, "packet {number}");
        assert_eq!(outcome.answer[trace::SET], INGRESS);
        assert_eq!(outcome.answer[trace::GENERATION], GENERATION);
        assert_eq!(outcome.answer[trace::FLAGS], (Direction::Ingress as u32) << 8);
    }
    for (number, packet) in [
        tcp((POD, 1000), (OTHER, 80), SYN),
        tcp((POD, 1000), (REMOTE, 80), SYN),
        tcp((POD, 1000), (SERVICE, 80), SYN),
        tcp((OTHER, 1000), (REMOTE, 80), SYN),
    ]
    .iter()
    .enumerate()
    {
        let (outcome, expected) = (asked.send(packet), real.send(packet));
        assert_eq!(
            (outcome.action, outcome.mark),
            (expected.action, expected.mark),
            "packet {number} from the pod"
        );
        let reason = real.reason().expect("an event");
        assert_eq!(outcome.answer[trace::REASON], reason as u32, "packet {number}");
    }
    let mark = marked(forwarded(SLOT) | mark::DEFER);
    for (destination, passes) in [(OTHER, true), (REMOTE, false)] {
        let packet = tcp((NODE, 1000), (destination, 8080), SYN);
        let (outcome, expected) = (asked.leave(&packet, mark), real.leave(&packet, mark));
        assert_eq!((outcome.passed(), expected.passed()), (passes, passes));
        assert_eq!(outcome.answer[trace::FLAGS] & 0xff, u32::from(event::DEFERRED));
    }
    assert_eq!(asked.traces(), (0, 0, 0));
    assert_eq!(asked.events(), []);
    assert_ne!(real.traces(), (0, 0, 0), "the others do leave some");
}

#[test]
fn a_question_does_not_see_established_flows() {
    let mut lab = tracing_lab!();
    lab.isolate(INGRESS, SET_NONE);
    let rule = PolicyPrefix::any_port(INGRESS, 0, TCP);
    lab.allow(rule);
    let packet = tcp((OTHER, 1000), (POD, 80), SYN);
    assert!(lab.receive(&packet).passed());
    lab.disallow(rule);
    assert!(!lab.receive(&packet).passed());
}

#[test]
fn an_audited_endpoint_says_so() {
    let mut lab = tracing_lab!();
    lab.flags = AUDIT;
    lab.isolate(INGRESS, SET_NONE);
    let outcome = lab.receive(&tcp((OTHER, 1000), (POD, 80), SYN));
    assert!(outcome.passed());
    assert_eq!(outcome.answer[trace::REASON], Reason::NotAllowed as u32);
    assert_eq!(outcome.answer[trace::FLAGS] & 0xff, u32::from(event::AUDITED));
}

#[test]
fn the_real_programs_give_no_answers() {
    let mut lab = lab!();
    lab.isolate(INGRESS, SET_NONE);
    assert_eq!(lab.receive(&tcp((OTHER, 1000), (POD, 80), SYN)).answer, [0; 5]);
}
