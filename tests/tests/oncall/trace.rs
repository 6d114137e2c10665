//! `trace`: evaluator and kernel side by side.

use std::time::Duration;

use netpol_tests::lab::address::{self, Family};
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};
use netpol_tests::probe::server::Port;
use netpol_tests::probe::{self, Probe, Target};
use serde_json::Value;

use super::{json, run, three_tier};
use crate::common::{CONVERGENCE, Enforced, eventually, plain};
use crate::kernel_map::clear;

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

/// `hidden` speaks with the node's address, `kept` with the client's.
fn node_ports() -> String {
    let pod = |name: &str, app: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{app: {app}, role: {name}}}}}\n\
             spec: {{containers: [{{name: main, ports: [{{containerPort: 80}}]}}]}}\n---\n"
        )
    };
    let service = |name: &str, port: u16, policy: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: NodePort, selector: {{app: web}}, \
             externalTrafficPolicy: {policy}, ports: [{{port: 8080, targetPort: 80, nodePort: {port}}}]}}\n---\n"
        )
    };
    pod("client", "client")
        + &pod("open", "web")
        + &pod("closed", "web")
        + &service("hidden", 30_080, "Cluster")
        + &service("kept", 30_081, "Local")
}

#[test]
fn it_follows_services_and_node_ports_to_every_pod_behind_them() {
    if skip("trace through node ports") {
        return;
    }
    for shape in [plain(), Shape::one_node(Wiring::PointToPoint, ServiceProxy::Iptables)] {
        // The client may send to `open` only, which accepts an address outside and the node's own.
        let (friend, gateway) = (address::outside(10), address::pod(0, 1));
        let policies = |blocks: &[String]| {
            let blocks: Vec<_> =
                blocks.iter().map(|block| format!("{{ipBlock: {{cidr: '{block}'}}}}")).collect();
            format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: client}}\nspec: {{podSelector: {{matchLabels: \
                 {{app: client}}}}, policyTypes: [Egress], egress: [{{to: [{{podSelector: {{matchLabels: {{role: open}}}}}}]}}]}}\n---\n\
                 apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: web}}\nspec: {{podSelector: {{matchLabels: \
                 {{app: web}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{app: client}}}}}}, {}]}}]}}\n",
                blocks.join(", ")
            )
        };
        let to_friend = policies(&[format!("{}/32", friend.v4), format!("{}/128", friend.v6)]);
        let to_node = policies(&[format!("{}/32", gateway.v4), format!("{}/128", gateway.v6)]);
        let mut enforced = Enforced::new(shape, &node_ports(), &[("policies.yaml", &to_friend)]);
        for (allowed, text) in [("friend", &to_friend), ("node", &to_node)] {
            enforced.edit(&[("policies.yaml", text)]);
            for family in Family::BOTH {
                let node = enforced.running.lab.nodes[0].address().of(family).to_string();
                let service = enforced.running.service_address("default/kept").of(family).to_string();
                let friend = address::outside(10).of(family).to_string();
                let stranger = address::outside(11).of(family).to_string();
                let gateway = gateway.of(family).to_string();
                let [by_friend, by_node] = ["friend", "node"].map(|who| who == allowed);
                // Whether `open` and `closed` are reached, and from which address, if not from the client's own.
                for (from, to, port, open, closed, arrives_from) in [
                    (&friend, &node, "30080", by_node, by_node, Some(&gateway)),
                    (&friend, &node, "30081", by_friend, by_friend, None),
                    (&stranger, &node, "30080", by_node, by_node, Some(&gateway)),
                    (&stranger, &node, "30081", false, false, None),
                    (&"default/client".to_owned(), &node, "30080", by_node, false, Some(&gateway)),
                    (&"default/client".to_owned(), &node, "30081", true, false, None),
                    (&"default/client".to_owned(), &service, "8080", true, false, None),
                    // The node itself may always.
                    (&node, &node, "30080", true, true, None),
                ] {
                    let question = ["trace", "--from", from, "--to", to, "--port", port];
                    let what = format!("{allowed}: {from} -> {to} {port}");
                    let mut answer = Value::Null;
                    eventually(&what, CONVERGENCE, || {
                        answer = json(&enforced, &question);
                        reached(&answer) == [("default/closed", closed), ("default/open", open)]
                    });
                    for path in answer["paths"].as_array().unwrap() {
                        assert_eq!(
                            path["arrives_from"].as_str(),
                            arrives_from.map(String::as_str),
                            "{what}: {path}"
                        );
                        assert_eq!(path["service"], format!("{to} TCP {port}"), "{what}: {path}");
                        assert!(path["ingress"]["kernel"].is_object(), "{what}: {path}");
                    }
                    if family == Family::V6 {
                        continue;
                    }
                    let (code, text) = ask(&enforced, from, to, port);
                    assert_eq!(code, i32::from(!(open && closed)), "{what}: {text}");
                    let pods = enforced.running.lab.pods["default/open"].address.of(family);
                    assert!(
                        text.contains(&format!("-> default/open ({pods}), TCP 80 (sent to {to} TCP {port})")),
                        "{text}"
                    );
                    assert_eq!(text.contains("the node)"), arrives_from.is_some(), "{text}");
                }
                // Packets find the same.
                let lab = &enforced.running.lab;
                let probe = |source: &str, port: u16| {
                    let to = Target::Port(node.parse().unwrap(), Port::tcp(port));
                    let probe = Probe::new(&lab.outside, to, Duration::from_millis(400));
                    probe::run(&[Probe { source: Some(source.parse().unwrap()), ..probe }])[0].arrived()
                };
                for (source, port, open) in [
                    (&friend, 30_080, by_node),
                    (&friend, 30_081, by_friend),
                    (&stranger, 30_080, by_node),
                    (&stranger, 30_081, false),
                ] {
                    eventually(&format!("{allowed}: {source} {port}"), CONVERGENCE, || {
                        probe(source, port) == open
                    });
                }
            }
        }
    }
}

/// Each pod, and whether it is reached.
fn reached(answer: &Value) -> Vec<(&str, bool)> {
    let paths = answer["paths"].as_array().into_iter().flatten();
    let mut reached: Vec<_> = paths
        .map(|path| (path["destination"]["pod"].as_str().unwrap_or_default(), path["outcome"] == "allowed"))
        .collect();
    reached.sort_unstable();
    reached
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
