//! The agent ends in every way and is followed by itself, by a version with other maps, and by the former version again.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use netpol_tests::agent::Agent;
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};
use netpol_tests::programs;

use super::traffic::{PODS, POLICIES, Traffic};
use crate::common::{CONVERGENCE, Enforced, eventually, plain};

/// How many rounds of kill, stop, upgrade and downgrade; more with `NETPOL_ROUNDS`.
fn rounds() -> usize {
    env::var("NETPOL_ROUNDS").ok().and_then(|number| number.parse().ok()).unwrap_or(1)
}

#[test]
fn traffic_notices_no_end_of_the_agent_and_no_successor() {
    if skip("kill, restart, upgrade and downgrade under traffic") {
        return;
    }
    for shape in [plain(), Shape::one_node(Wiring::PointToPoint, ServiceProxy::Iptables)] {
        ends_under_traffic(shape, &["tcx"]);
    }
}

#[test]
fn traffic_notices_none_of_it_where_programs_are_filters() {
    if skip("kill, restart, upgrade and downgrade under traffic, by clsact") {
        return;
    }
    ends_under_traffic(plain(), &["clsact"]);
    // The kernel, or the administrator, changes the manner together with the version.
    let routed = Shape::one_node(Wiring::PointToPoint, ServiceProxy::Iptables);
    ends_under_traffic(routed, &["clsact", "tcx", "tcx"]);
}

/// The agent ends in every way and is followed in every way, each time attached in the next manner.
fn ends_under_traffic(shape: Shape, manners: &[&str]) {
    let other = programs::other_layout().unwrap();
    let start = |enforced: &mut Enforced, program: &Path, manner: &str| {
        let more = ["--attach", manner].map(OsStr::new);
        let agent = Agent::start_with(&enforced.running, 0, program, &more).unwrap();
        enforced.agents.push(agent);
        enforced.wait_until_programmed();
    };
    let mut enforced = Enforced::without_agents(shape, PODS);
    enforced.edit(&[("policies.yaml", POLICIES)]);
    start(&mut enforced, programs::enforcer().unwrap(), manners[0]);
    let traffic = Traffic::start(&enforced);
    let (mut ends, mut count) = (0, traffic.count());
    for _ in 0..rounds() {
        for (what, program) in [
            ("killed and restarted", None),
            ("stopped and restarted", None),
            ("killed and upgraded", Some(other)),
            ("killed and restarted, upgraded", Some(other)),
            ("stopped and downgraded", None),
            ("stopped and upgraded", Some(other)),
            ("killed and downgraded", None),
        ] {
            let agent = enforced.agents.pop().unwrap();
            if what.starts_with("killed") {
                agent.kill().unwrap();
            } else {
                agent.stop().unwrap();
            }
            // Nothing ends with the agent.
            count = traffic.flows_on(count, &enforced);
            ends += 1;
            let program = program.unwrap_or_else(|| programs::enforcer().unwrap());
            let manner = manners[ends % manners.len()];
            start(&mut enforced, program, manner);
            one_layout_is_left(&enforced);
            eventually(&format!("{what}: only {manner} is left"), CONVERGENCE, || {
                filters(&enforced, "default/server") == if manner == "clsact" { [1, 1] } else { [0, 0] }
            });
            count = traffic.flows_on(count, &enforced);
        }
    }
    let count = traffic.stop();
    let _ = writeln!(
        std::io::stderr(),
        "{ends} ends of the agent ({}, {}): {} datagrams streamed to a silent client, {} echoed, {} blocks by TCP: 0 lost, 0 broken; {} \
         denied datagrams: 0 passed; longest wait for a block {:?}",
        enforced.running.lab.shape,
        manners.join(" and "),
        count.streamed,
        count.echoed,
        count.blocks,
        count.denied,
        count.pause,
    );
    assert_eq!((count.lost, count.broken, count.passed), (0, 0, 0), "{count:?}");
}

/// How many filters of ours hang on a pod's interface, on ingress and on egress, of whichever layout.
fn filters(enforced: &Enforced, pod: &str) -> [usize; 2] {
    let lab = &enforced.running.lab;
    let interface = lab.interface_of(&lab.pods[pod]);
    ["ingress", "egress"].map(|direction| {
        let words = ["filter", "show", "dev", &interface, direction];
        // Without a queueing discipline there is nothing to show, and `tc` says so.
        let shown = lab.nodes[0].namespace.feed("tc", &words, "").unwrap_or_default();
        shown.matches("handle 0x6e70").count()
    })
}

#[test]
fn an_upgrade_that_cannot_read_the_objects_leaves_the_former_version_in_force() {
    if skip("an upgrade with objects that can't be read") {
        return;
    }
    let other = programs::other_layout().unwrap();
    let mut enforced = Enforced::new(plain(), PODS, &[("policies.yaml", POLICIES)]);
    let traffic = Traffic::start(&enforced);
    enforced.agents.pop().unwrap().kill().unwrap();
    enforced.edit(&[("policies.yaml", "{")]);
    let agent = Agent::start_with(&enforced.running, 0, other, &[]).unwrap();
    eventually("the agent complains", CONVERGENCE, || {
        fs::read_to_string(&agent.log).is_ok_and(|log| log.contains("objects refused"))
    });
    enforced.agents.push(agent);
    let count = traffic.flows_on(traffic.count(), &enforced);
    // Killed in the middle of taking over, and started again.
    enforced.agents.pop().unwrap().kill().unwrap();
    let agent = Agent::start_with(&enforced.running, 0, other, &[]).unwrap();
    enforced.agents.push(agent);
    let count = traffic.flows_on(count, &enforced);
    enforced.edit(&[("policies.yaml", POLICIES)]);
    enforced.wait_until_programmed();
    eventually("the former version's maps are gone", CONVERGENCE, || layouts(&enforced).len() == 1);
    traffic.flows_on(count, &enforced);
    traffic.stop();
}

#[test]
fn without_a_description_of_the_maps_connections_go_on_and_nothing_denied_passes() {
    if skip("an upgrade that can't carry flows over") {
        return;
    }
    let other = programs::other_layout().unwrap();
    let mut enforced = Enforced::new(plain(), PODS, &[("policies.yaml", POLICIES)]);
    let traffic = Traffic::start(&enforced);
    let agent = enforced.agents.pop().unwrap();
    let state = agent.state().to_owned();
    agent.kill().unwrap();
    for entry in fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("layout-") {
            fs::remove_file(path).unwrap();
        }
    }
    let agent = Agent::start_with(&enforced.running, 0, other, &[]).unwrap();
    enforced.agents.push(agent);
    enforced.wait_until_programmed();
    one_layout_is_left(&enforced);
    // A datagram of a server that may open nothing passes as part of a flow only, and the flow is forgotten: what is carried over
    // otherwise is really needed. TCP tells an opening from a reply.
    let after = traffic.connections_go_on(&enforced);
    let later = traffic.connections_go_on(&enforced);
    assert_eq!(later.streamed, after.streamed, "{after:?} {later:?}");
    assert_eq!((later.broken, later.passed), (0, 0), "{later:?}");
    traffic.stop();
}

/// The versions of layouts that are pinned.
fn layouts(enforced: &Enforced) -> Vec<String> {
    enforced.running.lab.nodes[0].namespace.run(|| {
        let entries = fs::read_dir("/sys/fs/bpf/netpol").unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    })
}

#[track_caller]
fn one_layout_is_left(enforced: &Enforced) {
    eventually("one layout is left", CONVERGENCE + Duration::from_secs(5), || layouts(enforced).len() == 1);
}
