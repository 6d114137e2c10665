//! Audit mode: what would have been dropped passes, and is told.

use std::ffi::OsStr;
use std::time::Duration;

use netpol_tests::agent::Agent;
use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::programs;
use serde_json::Value;

use super::monitor::Monitor;
use super::{json, run, three_tier};
use crate::common::{CONVERGENCE, Enforced, eventually, file};

fn audited(enforced: &Enforced, direction: &str) -> u64 {
    let status = json(enforced, &["status"]);
    let counters = status["counters"].as_array().unwrap();
    let audited = counters.iter().filter(|counted| {
        counted["verdict"] == "audited"
            && counted["direction"] == direction
            && counted["reason"] == "not-allowed"
    });
    audited.map(|counted| counted["packets"].as_u64().unwrap()).sum()
}

/// Both a packet that passed and one that was told.
fn is_audited(enforced: &Enforced) {
    let monitor = Monitor::start(enforced, "audit", &["--verdict", "audit"]);
    enforced.expect(&["frontend, backend -> db:3306, service db:3306", "frontend -> ping db"], &[]);
    assert_ne!(audited(enforced, "ingress"), 0);
    eventually("it is told", CONVERGENCE, || {
        let _ = enforced.outcome("frontend -> ping db", Family::V4, Duration::from_millis(50));
        !monitor.lines().is_empty()
    });
    for line in monitor.lines() {
        assert_eq!((&line["verdict"], &line["reason"]), (&Value::from("audit"), &Value::from("not-allowed")));
        assert_eq!(line["isolated_by"][0], "default/db-test");
    }
    let (code, text) =
        run(enforced, &["trace", "--from", "default/frontend", "--to", "default/db", "--port", "3306"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ALLOWED, but only because of audit mode"), "{text}");
}

#[test]
fn a_namespace_can_be_audited_and_enforced_again() {
    if skip("audit of a namespace") {
        return;
    }
    let mut enforced = three_tier();
    let policy = file("three-tier", "db-test.yaml");
    let annotated = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: default\n  annotations:\n    \
                     netpol.dev/audit: \"true\"\n";
    enforced.edit(&[("db-test.yaml", &policy), ("namespace.yaml", annotated)]);
    is_audited(&enforced);
    // Whoever got in meanwhile does not stay.
    enforced.edit(&[("db-test.yaml", &policy)]);
    enforced
        .expect(&["backend -> db:3306"], &["frontend -> db:3306, service db:3306", "frontend -> ping db"]);
}

#[test]
fn a_node_can_be_audited_and_enforced_again() {
    if skip("audit of a node") {
        return;
    }
    let mut enforced = three_tier();
    enforced.agents.pop().unwrap().stop().unwrap();
    let start = |enforced: &mut Enforced, more: &[&OsStr]| {
        let agent = Agent::start_with(&enforced.running, 0, programs::enforcer().unwrap(), more).unwrap();
        enforced.agents = vec![agent];
        enforced.wait_until_programmed();
    };
    start(&mut enforced, &["--audit".as_ref()]);
    is_audited(&enforced);
    let (_, text) = run(&enforced, &["status"]);
    assert!(text.contains("audit"), "{text}");
    enforced.agents.pop().unwrap().stop().unwrap();
    start(&mut enforced, &[]);
    enforced
        .expect(&["backend -> db:3306"], &["frontend -> db:3306, service db:3306", "frontend -> ping db"]);
}
