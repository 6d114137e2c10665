//! The programs as filters on `clsact`, as on kernels that have no TCX links.

use std::ffi::OsStr;
use std::time::Duration;

use netpol_tests::agent::{self, Agent};
use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::probe::Outcome;
use netpol_tests::programs;

use super::revocation::{all_alive, connections, with_frontend};
use crate::common::{CONVERGENCE, Enforced, eventually, file, plain};

const OPEN: &[&str] = &["backend -> db:3306, service db:3306", "frontend -> backend:80"];
const CLOSED: &[&str] = &["frontend -> db:3306, service db:3306"];

fn start(enforced: &mut Enforced, manner: &str) {
    let more = [OsStr::new("--attach"), OsStr::new(manner)];
    let agent = Agent::start_with(&enforced.running, 0, programs::enforcer().unwrap(), &more).unwrap();
    enforced.agents.push(agent);
}

fn three_tier(manner: &str) -> Enforced {
    let mut enforced = Enforced::without_agents(plain(), &file("three-tier", "workloads.yaml"));
    enforced.edit(&[("db-test.yaml", &file("three-tier", "db-test.yaml"))]);
    start(&mut enforced, manner);
    enforced.wait_until_programmed();
    enforced.expect(OPEN, CLOSED);
    enforced
}

/// What hangs on a pod's interface: filters of either direction by `tc`, and pinned links.
fn attached(enforced: &Enforced, pod: &str) -> (String, usize) {
    let lab = &enforced.running.lab;
    let interface = lab.interface_of(&lab.pods[pod]);
    let namespace = &lab.nodes[0].namespace;
    let show = |direction| {
        // Without a queueing discipline there is nothing to show, and `tc` says so.
        namespace.feed("tc", &["filter", "show", "dev", &interface, direction], "").unwrap_or_default()
    };
    let filters = show("ingress") + &show("egress");
    let links = namespace.feed("find", &["/sys/fs/bpf/netpol", "-path", "*/links/*"], "").unwrap_or_default();
    (filters, links.lines().count())
}

#[test]
fn filters_are_taken_over_without_a_gap() {
    if skip("clsact: kill and restart") {
        return;
    }
    let mut enforced = three_tier("clsact");
    let (filters, links) = attached(&enforced, "default/db");
    assert!(filters.contains("pod_ingress") && filters.contains("pod_egress"), "{filters}");
    assert_eq!(links, 0);
    let mut kept = connections(&enforced, "backend");
    // An agent of its own manner, then from one manner to the other and back.
    for manner in ["clsact", "tcx", "clsact"] {
        enforced.agents.pop().unwrap().kill().unwrap();
        all_alive(&mut kept);
        enforced.expect(OPEN, CLOSED);
        start(&mut enforced, manner);
        for _ in 0..4 {
            all_alive(&mut kept);
            for family in Family::BOTH {
                let outcome = enforced.outcome("frontend -> db:3306", family, Duration::from_millis(100));
                assert_eq!(outcome, Outcome::TimedOut, "{manner}, {family}");
            }
            enforced.agents[0].check().unwrap();
        }
        let filters = manner == "clsact";
        eventually(&format!("only {manner} is left"), CONVERGENCE, || {
            let (shown, links) = attached(&enforced, "default/db");
            shown.contains("pod_ingress") == filters
                && shown.contains("pod_egress") == filters
                && (links == 0) == filters
        });
        // In one place each.
        let (shown, _) = attached(&enforced, "default/db");
        assert_eq!(shown.matches("handle 0x6e70").count(), if filters { 2 } else { 0 }, "{shown}");
    }
    enforced.edit(&[("db-test.yaml", &with_frontend())]);
    enforced.expect(&["frontend, backend -> db:3306, service db:3306"], &["frontend -> ping db"]);
    all_alive(&mut kept);
}

#[test]
fn filters_of_others_stay() {
    if skip("clsact beside other filters") {
        return;
    }
    let mut enforced = Enforced::without_agents(plain(), &file("three-tier", "workloads.yaml"));
    let tc = |enforced: &Enforced, line: &str| {
        let lab = &enforced.running.lab;
        let interface = lab.interface_of(&lab.pods["default/db"]);
        let line = line.replace("LINK", &interface);
        let words: Vec<_> = line.split(' ').collect();
        lab.nodes[0].namespace.feed("tc", &words, "").unwrap();
    };
    tc(&enforced, "qdisc add dev LINK clsact");
    let other = "filter add dev LINK ingress prio 7 protocol all u32 match u32 0 0 flowid 1:1";
    tc(&enforced, other);
    let before = attached(&enforced, "default/db");
    enforced.edit(&[("db-test.yaml", &file("three-tier", "db-test.yaml"))]);
    start(&mut enforced, "clsact");
    enforced.wait_until_programmed();
    enforced.expect(OPEN, CLOSED);
    let (shown, _) = attached(&enforced, "default/db");
    assert!(shown.contains("u32") && shown.contains("pod_ingress"), "{shown}");

    // Someone takes everything away: the agent puts its own back.
    tc(&enforced, "qdisc del dev LINK clsact");
    eventually("the filters are back", CONVERGENCE, || {
        let (shown, _) = attached(&enforced, "default/db");
        shown.contains("pod_ingress") && shown.contains("pod_egress")
    });
    enforced.expect(OPEN, CLOSED);
    tc(&enforced, other);

    enforced.agents.pop().unwrap().kill().unwrap();
    let output = agent::command(&enforced.running, 0, &["cleanup"]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    enforced.expect(&["frontend, backend -> db:3306, service db:3306, ping db"], &[]);
    assert_eq!(attached(&enforced, "default/db"), before);
}
