//! A change of policy takes effect on connections that are already open.

use std::net::SocketAddr;
use std::time::Duration;

use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::probe::Connection;

use crate::common::{CONVERGENCE, Enforced, eventually, file, plain};

const ANSWER: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_millis(400);

/// `db-test`, with the frontend let in as well.
pub(crate) fn with_frontend() -> String {
    let line = "        - podSelector:\n            matchLabels:\n              role: backend\n";
    let text = file("three-tier", "db-test.yaml");
    assert!(text.contains(line), "the scenario's policy has another shape now");
    text.replace(line, &format!("{line}{}", line.replace("backend", "frontend")))
}

/// Connections from a pod to db: by pod address and by Service, over both families.
pub(crate) fn connections(enforced: &Enforced, from: &str) -> Vec<(String, Connection)> {
    let running = &enforced.running;
    let from_pod = &running.lab.pods[&format!("default/{from}")].namespace;
    let mut connections = Vec::new();
    for family in Family::BOTH {
        for (kind, address) in [
            ("pod", running.lab.pods["default/db"].address),
            ("Service", running.service_address("default/db")),
        ] {
            let to = SocketAddr::new(address.of(family), 3306);
            let name = format!("{from} -> db by {kind} ({family})");
            let connection =
                Connection::open(from_pod, to, ANSWER).unwrap_or_else(|e| panic!("{name}: {e:#}"));
            connections.push((name, connection));
        }
    }
    connections
}

/// Every connection carries a line there and back.
#[track_caller]
pub(crate) fn all_alive(connections: &mut [(String, Connection)]) {
    for (name, connection) in connections {
        assert!(connection.exchange(ANSWER).unwrap(), "{name} is interrupted");
    }
}

#[test]
fn an_edit_closes_and_reopens_an_established_connection() {
    if skip("revocation") {
        return;
    }
    let workloads = file("three-tier", "workloads.yaml");
    let narrow = file("three-tier", "db-test.yaml");
    let mut enforced = Enforced::new(plain(), &workloads, &[("db-test.yaml", &with_frontend())]);
    enforced.expect(&["frontend, backend -> db:3306, service db:3306"], &["frontend -> ping db"]);
    let mut revoked = connections(&enforced, "frontend");
    let mut kept = connections(&enforced, "backend");
    all_alive(&mut revoked);
    all_alive(&mut kept);

    enforced.edit(&[("db-test.yaml", &narrow)]);
    for (name, connection) in &mut revoked {
        eventually(&format!("{name} is closed"), CONVERGENCE, || {
            all_alive(&mut kept);
            !connection.exchange(SILENCE).unwrap()
        });
    }
    for (name, connection) in &mut revoked {
        assert!(!connection.drain(SILENCE).unwrap(), "{name} is open again");
    }
    all_alive(&mut kept);

    enforced.edit(&[("db-test.yaml", &with_frontend())]);
    for (name, connection) in &mut revoked {
        // What was written meanwhile arrives as well, when TCP tries again.
        eventually(&format!("{name} is open again"), Duration::from_secs(60), || {
            all_alive(&mut kept);
            connection.drain(SILENCE).unwrap()
        });
    }
    all_alive(&mut revoked);
}

#[test]
fn a_label_that_goes_closes_an_established_connection() {
    if skip("revocation by label") {
        return;
    }
    let workloads = file("three-tier", "workloads.yaml");
    let policy = file("three-tier", "db-test.yaml");
    let mut enforced = Enforced::new(plain(), &workloads, &[("db-test.yaml", &policy)]);
    enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306"]);
    let mut open = connections(&enforced, "backend");
    all_alive(&mut open);
    let mut cluster = enforced.running.cluster.clone();
    cluster.pods.get_mut("default/backend").unwrap().labels.insert("role".into(), "retired".into());
    enforced.running.apply(&cluster).unwrap();
    for (name, connection) in &mut open {
        eventually(&format!("{name} is closed"), CONVERGENCE, || !connection.exchange(SILENCE).unwrap());
    }
    enforced.expect(&["frontend -> backend:80"], &["backend -> db:3306"]);
}

#[test]
fn connections_from_before_the_agent_are_judged_too() {
    if skip("connections from before the agent") {
        return;
    }
    let mut enforced = Enforced::without_agents(plain(), &file("three-tier", "workloads.yaml"));
    let mut revoked = connections(&enforced, "frontend");
    let mut kept = connections(&enforced, "backend");
    // Isolated for both directions: a packet of a connection that nobody saw begin passes only if either side might
    // have opened it.
    let policy = file("replies", "db-no-egress.yaml");
    enforced.edit(&[("db-test.yaml", &policy)]);
    enforced.start_agents();
    for (name, connection) in &mut revoked {
        eventually(&format!("{name} is closed"), CONVERGENCE, || {
            all_alive(&mut kept);
            !connection.exchange(SILENCE).unwrap()
        });
    }
    enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306"]);
    all_alive(&mut kept);
}
