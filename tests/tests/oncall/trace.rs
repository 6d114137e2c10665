//! `trace`: evaluator and kernel side by side.

use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;

use super::kernel_map::clear;
use super::{json, run, three_tier};
use crate::common::Enforced;

fn ask(enforced: &Enforced, from: &str, to: &str, port: &str) -> (i32, String) {
    run(enforced, &["trace", "--from", from, "--to", to, "--port", port])
}

#[test]
fn it_says_what_packets_find_out() {
    if skip("trace") {
        return;
    }
    let enforced = three_tier();
    let before = json(&enforced, &["status"]);
    let db = enforced.running.lab.pods["default/db"].address.of(Family::V4).to_string();
    let service = enforced.running.service_address("default/db").of(Family::V6).to_string();
    let frontend = enforced.running.lab.pods["default/frontend"].address.of(Family::V4).to_string();
    for (from, to, port, code, words) in [
        ("default/backend", "default/db", "3306", 0, "allowed by default/db-test spec.ingress[0].from[0]"),
        ("default/frontend", "default/db", "3306", 1, "would need the label role=backend on the pod"),
        ("default/frontend", "default/db", "3306", 1, "isolated by default/db-test"),
        ("default/backend", "default/db", "22", 1, "would need the port to be 3306/TCP"),
        ("default/backend", "default/db", "icmp", 1, "DENIED"),
        ("default/frontend", "default/backend", "80/TCP", 0, "no policy isolates the pod"),
        ("default/frontend", &db, "3306", 1, "DENIED"),
        ("default/backend", &service, "3306", 0, "sent to"),
        ("default/frontend", &service, "3306", 1, "sent to"),
        (&frontend, "default/db", "3306/UDP", 1, "DENIED"),
        ("192.0.2.7", &db, "3306", 1, "would need the peer to be a pod"),
        ("192.0.2.7", "default/frontend", "80", 0, "ALLOWED"),
        ("default/db", "default/db", "22", 0, "a pod always reaches itself"),
        ("default/db", "192.0.2.7", "443", 0, "not a pod, so no NetworkPolicy isolates it"),
        ("192.0.2.7", "192.0.2.8", "80", 2, "neither end is a pod"),
        ("default/nobody", "default/db", "80", 2, "neither a pod nor a Service default/nobody"),
        ("default/backend", "default/db", "http", 2, "declares no TCP port named `http`"),
    ] {
        let (got, text) = ask(&enforced, from, to, port);
        assert_eq!(got, code, "{from} -> {to} {port}:\n{text}{}", enforced.explain());
        assert!(text.contains(words), "{from} -> {to} {port}: no `{words}` in\n{text}");
    }
    let answer =
        json(&enforced, &["trace", "--from", "default/frontend", "--to", "default/db", "--port", "3306"]);
    assert_eq!(answer["outcome"], "denied");
    assert_eq!(answer["paths"].as_array().unwrap().len(), 2, "both families");
    assert_eq!(answer["paths"][0]["ingress"]["kernel"]["reason"], "not-allowed");
    assert_eq!(answer["paths"][0]["egress"]["kernel"]["reason"], "not-isolated");
    // The questions left no trace: no packet was counted, no flow remembered.
    let after = json(&enforced, &["status"]);
    let counters = |status: &serde_json::Value| {
        let counters = status["counters"].as_array().unwrap().clone();
        // Neighbours look for each other whenever they like.
        counters.into_iter().filter(|counted| counted["reason"] != "neighbour").collect::<Vec<_>>()
    };
    assert_eq!(counters(&before), counters(&after));
    let flows = |status: &serde_json::Value| {
        let maps = status["maps"].as_array().unwrap().clone();
        maps.into_iter().find(|map| map["map"] == "CONNTRACK").unwrap()
    };
    assert_eq!(flows(&before), flows(&after));
    enforced.expect(&["backend -> db:3306"], &["frontend -> db:3306"]);
}

#[test]
fn it_says_loudly_when_the_kernel_does_something_else() {
    if skip("trace and a kernel that differs") {
        return;
    }
    let enforced = three_tier();
    // Nobody does this but a bug.
    clear(&enforced.running.lab.nodes[0].namespace, "POLICIES", 4 + 11);
    let (code, text) = ask(&enforced, "default/backend", "default/db", "3306");
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("KERNEL AND POLICIES DIFFER") && text.contains("THEY DIFFER"), "{text}");
    let (code, text) = ask(&enforced, "default/frontend", "default/db", "3306");
    assert_eq!(code, 1, "there they agree: {text}");
}

#[test]
fn without_an_agent_nobody_answers() {
    if skip("trace without an agent") {
        return;
    }
    let mut enforced = three_tier();
    enforced.agents.pop().unwrap().stop().unwrap();
    let (code, text) = ask(&enforced, "default/backend", "default/db", "3306");
    assert_eq!(code, 2);
    assert!(text.contains("does the agent run"), "{text}");
}
