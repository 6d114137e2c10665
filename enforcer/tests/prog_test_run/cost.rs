//! What a packet costs. Prints; fails only if a packet takes absurdly long.

use std::time::Duration;

use netpol_enforcer::test_run::Surroundings;
use netpol_enforcer_common::{endpoint::SET_NONE, identity::ANY, policy::PolicyPrefix, programs};

use crate::{
    lab,
    lab::{EGRESS, INGRESS, OTHER, POD, UPLINK, forwarded, marked},
    packets::{ACK, SYN, tcp, udp},
};

const REPEAT: u32 = 100_000;

#[test]
fn cost() {
    let mut lab = lab!();
    lab.config.flags = netpol_enforcer_common::config::NO_DROP_EVENTS;
    lab.configure();
    let from_other = Surroundings { ingress_ifindex: UPLINK, ..Surroundings::default() };
    let foreign =
        Surroundings { ingress_ifindex: UPLINK, mark: marked(forwarded(6)), ..Surroundings::default() };
    let mut table = vec![];
    let mut measure = |lab: &mut lab::Lab, what: &str, program: &str, packet: &[u8], surroundings| {
        let duration = lab.run_repeatedly(program, packet, surroundings, REPEAT).duration;
        table.push((what.to_owned(), duration));
    };

    measure(
        &mut lab,
        "uplink, not deferred",
        programs::UPLINK_EGRESS,
        &udp((POD, 1), (OTHER, 2)),
        from_other,
    );
    let arp = crate::packets::frame(0x0806, &[0; 28]);
    measure(&mut lab, "to the pod, ARP", programs::POD_EGRESS, &arp, from_other);
    lab.isolate(INGRESS, EGRESS);
    measure(
        &mut lab,
        "to the pod, new flow, denied",
        programs::POD_EGRESS,
        &tcp((OTHER, 1), (POD, 2), SYN),
        foreign,
    );
    lab.identity(OTHER, 100);
    lab.allow(PolicyPrefix::any_protocol(INGRESS, 100));
    lab.allow(PolicyPrefix::any_protocol(EGRESS, ANY));
    let packet = tcp((OTHER, 1), (POD, 2), ACK);
    measure(&mut lab, "to the pod, established", programs::POD_EGRESS, &packet, foreign);
    let packet = tcp((POD, 2), (OTHER, 1), ACK);
    measure(&mut lab, "from the pod, established", programs::POD_INGRESS, &packet, Surroundings::default());
    lab.isolate(SET_NONE, SET_NONE);
    measure(&mut lab, "from the pod, not isolated", programs::POD_INGRESS, &packet, Surroundings::default());

    // Many blocks and rules: what a new flow costs on a busy node.
    lab.isolate(INGRESS, EGRESS);
    lab.next_epoch();
    for number in 0..10_000u32 {
        let [_, _, high, low] = number.to_be_bytes();
        lab.block(&format!("100.{high}.{low}.0"), 24, 1000 + number);
        lab.allow(PolicyPrefix::any_port(INGRESS, 1000 + number, 6));
    }
    let packet = udp(("100.7.7.7", 1), (POD, 2));
    measure(&mut lab, "to the pod, new, 10,000 blocks", programs::POD_EGRESS, &packet, foreign);

    for (what, duration) in table {
        println!("{what:32} {:5} ns", duration.as_nanos());
        assert!(duration < Duration::from_micros(50), "{what}: {duration:?}");
    }
}
