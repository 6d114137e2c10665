//! Metrics and health over HTTP, and what the other commands list.

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use netpol_tests::agent::Agent;
use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::probe::Connection;
use netpol_tests::programs;

use super::{json, run, three_tier};
use crate::common::{CONVERGENCE, Enforced, eventually};

const PORT: u16 = 9470;

/// The status and the body of a page of the first node's agent; `None` if nobody answers.
fn get(enforced: &Enforced, path: &str) -> Option<(u16, String)> {
    enforced.running.lab.nodes[0].namespace.run(|| {
        let address = SocketAddr::from(([127, 0, 0, 1], PORT));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: node\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    })
}

/// The value of a sample; 0 if it is not there.
fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[test]
fn metrics_and_health() {
    if skip("metrics") {
        return;
    }
    let mut enforced = three_tier();
    let page = || get(&enforced, "/metrics").expect("an answer").1;
    assert_eq!(get(&enforced, "/healthz"), Some((200, "ok\n".into())));
    eventually("it is ready", CONVERGENCE, || get(&enforced, "/readyz") == Some((200, "ok\n".into())));
    assert_eq!(get(&enforced, "/other").expect("an answer").0, 404);
    let denied = "netpol_enforcer_policy_denied_packets_total{namespace=\"default\",policy=\"db-test\",direction=\"ingress\",\
                  verdict=\"dropped\"}";
    let dropped =
        "netpol_enforcer_packets_total{verdict=\"dropped\",direction=\"ingress\",reason=\"not-allowed\"}";
    let before = page();
    for family in Family::BOTH {
        let _ = enforced.outcome("frontend -> db:3306", family, Duration::from_millis(300));
    }
    let after = page();
    for sample in [denied, dropped] {
        let (before, after) = (value(&before, sample), value(&after, sample));
        assert!(after >= before + 2.0, "{sample}: {before}, then {after}\n{page}", page = page());
    }
    assert_eq!(value(&after, denied), value(&after, dropped), "all of it is one policy's doing");
    for (sample, expected) in [
        ("netpol_enforcer_ready", 1.0),
        ("netpol_enforcer_source_connected", 1.0),
        ("netpol_enforcer_endpoints{state=\"bound\"}", 3.0),
        ("netpol_enforcer_endpoints_isolated{direction=\"ingress\"}", 1.0),
        ("netpol_enforcer_hooks_missing", 0.0),
        ("netpol_enforcer_map_entries{map=\"ENDPOINTS\"}", 3.0),
        ("netpol_enforcer_map_max_entries{map=\"ENDPOINTS\"}", 4096.0),
        ("netpol_enforcer_source_objects{kind=\"networkpolicy\"}", 1.0),
    ] {
        assert_eq!(value(&after, sample), expected, "{sample} in\n{after}");
    }
    assert!(value(&after, "netpol_enforcer_programming_duration_seconds_count") >= 1.0);
    assert!(value(&after, "netpol_enforcer_hooks") >= 6.0);
    let status = json(&enforced, &["status"]);
    assert_eq!(value(&after, "netpol_enforcer_epoch"), status["epoch"].as_f64().unwrap());
    // What a policy denied is remembered when it is gone.
    let kept = value(&after, denied);
    enforced.edit(&[]);
    enforced.expect(&["frontend -> db:3306"], &[]);
    let page = get(&enforced, "/metrics").expect("an answer").1;
    assert!(value(&page, denied) >= kept);
    assert_eq!(value(&page, "netpol_enforcer_source_objects{kind=\"networkpolicy\"}"), 0.0);
}

#[test]
fn an_agent_without_objects_is_alive_but_not_ready() {
    if skip("readiness") {
        return;
    }
    let mut enforced = three_tier();
    enforced.agents.pop().unwrap().stop().unwrap();
    enforced.edit(&[("db-test.yaml", "{")]);
    let agent = Agent::start(&enforced.running, 0).unwrap();
    eventually("it answers", CONVERGENCE, || get(&enforced, "/healthz") == Some((200, "ok\n".into())));
    let (status, why) = get(&enforced, "/readyz").expect("an answer");
    assert_eq!((status, why.contains("no objects were read yet")), (503, true), "{why}");
    drop(agent);
    let off: [&OsStr; 2] = ["--metrics-address".as_ref(), "off".as_ref()];
    enforced.edit(&[]);
    let agent = Agent::start_with(&enforced.running, 0, programs::enforcer().unwrap(), &off).unwrap();
    enforced.agents.push(agent);
    enforced.wait_until_programmed();
    assert_eq!(get(&enforced, "/healthz"), None);
}

#[test]
fn clients_that_say_nothing_do_no_harm() {
    if skip("slow clients of metrics") {
        return;
    }
    let enforced = three_tier();
    let silent: Vec<TcpStream> = enforced.running.lab.nodes[0].namespace.run(|| {
        let address = SocketAddr::from(([127, 0, 0, 1], PORT));
        (0..40).filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(5)).ok()).collect()
    });
    assert!(silent.len() >= 16);
    // They are hung up on after a few seconds, and enforcement does not care.
    eventually("it answers again", CONVERGENCE, || {
        get(&enforced, "/healthz").is_some_and(|(status, _)| status == 200)
    });
    enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306"]);
}

#[test]
fn endpoints_and_maps_are_listed() {
    if skip("endpoints and dump") {
        return;
    }
    let enforced = three_tier();
    let (backend, db) =
        (&enforced.running.lab.pods["default/backend"], &enforced.running.lab.pods["default/db"]);
    let to = SocketAddr::new(db.address.of(Family::V4), 3306);
    let _open = Connection::open(&backend.namespace, to, CONVERGENCE).unwrap();
    let (code, text) = run(&enforced, &["endpoints", "--namespace", "default"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("default/db\n") && text.contains("isolated by default/db-test (set "), "{text}");
    let endpoints = json(&enforced, &["endpoints"]);
    let db = endpoints.as_array().unwrap().iter().find(|pod| pod["pod"] == "default/db").unwrap().clone();
    assert_eq!((&db["ingress"]["state"], &db["egress"]["state"]), (&"isolated".into(), &"open".into()));
    assert_eq!(db["ingress"]["policies"][0], "default/db-test");
    assert!(db["dropped"].as_u64().unwrap() > 0 && db["flows"].as_u64().unwrap() > 0, "{db}");

    let maps = json(&enforced, &["dump"]);
    let rows = |name: &str| maps[name].as_array().unwrap_or_else(|| panic!("no {name}")).clone();
    assert_eq!(maps.as_object().unwrap().len(), 16);
    let set = &db["ingress"]["set"];
    let entries: Vec<_> = rows("policies").into_iter().filter(|entry| entry["set"] == *set).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!((&entries[0]["protocol"], &entries[0]["ports"]), (&"TCP".into(), &3306.into()));
    let backend = enforced.running.lab.pods["default/backend"].address.of(Family::V4).to_string();
    let identity = rows("identities").into_iter().find(|row| row["address"] == *backend).unwrap();
    assert_eq!(identity["identity"], entries[0]["identity"]);
    assert!(rows("endpoints").iter().any(|row| row["pod"] == "default/db"));
    assert!(rows("flows").iter().any(|row| row["pod"] == "default/db" && row["local_port"] == 3306));
    assert!(rows("denied").iter().any(|row| row["pod"] == "default/db" && row["reason"] == "not-allowed"));
    let (code, text) = run(&enforced, &["dump", "policies", "epoch", "config"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("policies: ") && text.contains("PROTOCOL") && text.contains("mark mask"), "{text}");
    let (code, text) = run(&enforced, &["dump", "nonsense"]);
    assert_eq!((code, text.contains("possible values")), (2, true), "{text}");
}
