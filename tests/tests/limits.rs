//! What does not fit is closed, counted and reported, and opens when there is room again. Nothing else is touched.

use std::ffi::OsStr;
use std::fs;

use netpol_tests::agent::{self, Agent};
use netpol_tests::cluster::Cluster;
use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::probe::Connection;
use netpol_tests::programs;
use serde_json::Value;

use crate::common::{CONVERGENCE, Enforced, eventually, plain};

/// A limit, what exceeds it, and what comes of that.
struct Limit {
    /// The agent's arguments.
    arguments: &'static [&'static str],
    /// The pods beside `a`, `b` and `c`, and the Services, in the beginning and beyond the limit.
    objects: [String; 2],
    /// The policies, in the same way.
    policies: [String; 2],
    /// Flows that are open in the beginning and when there is room again.
    open: &'static [&'static str],
    /// Those of them that are closed beyond the limit, and those that stay open.
    beyond: (&'static [&'static str], &'static [&'static str]),
    /// What the status says.
    problem: &'static str,
    /// Under which reason the drops are counted.
    reason: &'static str,
}

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{role: {name}}}}}\nspec: {{containers: [{{name: c, image: server, ports: [{{containerPort: 80}}]}}]}}\n---\n"
    )
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{role: c}}, ports: [{{port: 80}}]}}\n---\n"
    )
}

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {name}}}\nspec: {spec}\n---\n"
    )
}

/// `c` accepts `a` only.
fn c_accepts_a() -> String {
    policy(
        "c",
        "{podSelector: {matchLabels: {role: c}}, ingress: [{from: [{podSelector: {matchLabels: {role: a}}}]}]}",
    )
}

fn limits() -> Vec<Limit> {
    let pods = ["a", "b", "c"].map(pod).concat();
    let many = (1..40).map(|port| format!("{{port: {}}}", port * 2)).collect::<Vec<_>>().join(", ");
    vec![
        Limit {
            arguments: &["--max-endpoints", "3"],
            objects: [pods.clone(), pods.clone() + &pod("d")],
            policies: [c_accepts_a(), c_accepts_a()],
            open: &["a -> b:80, c:80", "c -> a:80"],
            beyond: (&["a -> d:80", "d -> a:80"], &["a -> b:80, c:80", "node -> d:80"]),
            problem: "ENDPOINTS is full",
            reason: "unknown-endpoint",
        },
        Limit {
            arguments: &["--max-identities", "4"],
            objects: [pods.clone(), pods.clone()],
            policies: [
                c_accepts_a(),
                c_accepts_a()
                    + &policy(
                        "d",
                        "{podSelector: {matchLabels: {role: c}}, ingress: [{from: [{podSelector: {matchLabels: {role: b}}}], ports: [{port: 81}]}]}",
                    ),
            ],
            open: &["a -> b:80, c:80", "c -> a:80"],
            beyond: (&["a -> c:80"], &["a -> b:80", "c -> a:80", "node -> c:80"]),
            problem: "IDENTITIES is full",
            reason: "closed",
        },
        Limit {
            arguments: &["--max-cidrs", "2"],
            objects: [pods.clone(), pods.clone()],
            policies: [
                c_accepts_a(),
                c_accepts_a()
                    + &policy(
                        "d",
                        "{podSelector: {matchLabels: {role: b}}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}, {ipBlock: {cidr: 10.2.0.0/16}}, {ipBlock: {cidr: 10.3.0.0/16}}]}]}",
                    ),
            ],
            open: &["a -> b:80, c:80", "c -> a:80"],
            beyond: (&["a -> c:80, b:80"], &["c -> a:80", "node -> c:80"]),
            problem: "CIDRS_V4 is full",
            reason: "closed",
        },
        Limit {
            arguments: &["--max-policies", "8"],
            objects: [pods.clone(), pods.clone()],
            policies: [
                c_accepts_a(),
                c_accepts_a()
                    + &policy(
                        "d",
                        &format!(
                            "{{podSelector: {{matchLabels: {{role: b}}}}, ingress: [{{ports: [{{port: 80}}, {many}]}}]}}"
                        ),
                    ),
            ],
            open: &["a -> b:80, c:80", "c -> a:80"],
            beyond: (&["a -> b:80"], &["a -> c:80", "c -> a:80", "node -> b:80"]),
            problem: "POLICIES is full",
            reason: "closed",
        },
        Limit {
            arguments: &["--max-services", "2"],
            objects: [pods.clone() + &service("one"), pods + &service("one") + &service("two")],
            policies: [a_reaches_c(), a_reaches_c()],
            open: &["a -> c:80, service one:80", "b -> service one:80"],
            beyond: (
                &["a -> service two:80"],
                &["a -> service one:80", "b -> service one:80, service two:80"],
            ),
            problem: "SERVICES is full",
            reason: "not-allowed",
        },
    ]
}

/// `a` may reach `c` only.
fn a_reaches_c() -> String {
    policy(
        "a",
        "{podSelector: {matchLabels: {role: a}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {role: c}}}]}]}",
    )
}

#[test]
fn what_does_not_fit_is_closed_and_opens_when_there_is_room_again() {
    if skip("full maps") {
        return;
    }
    for limit in limits() {
        let Limit { arguments, objects, policies, open, beyond, problem, reason } = limit;
        let clusters = objects.map(|text| Cluster::read([text.as_str()]).unwrap());
        let mut enforced = Enforced::without_agents(plain(), "");
        enforced.running.apply(&clusters[0]).unwrap();
        enforced.edit(&[("policies.yaml", &policies[0])]);
        let arguments = arguments.iter().map(OsStr::new).collect::<Vec<_>>();
        let agent =
            Agent::start_with(&enforced.running, 0, programs::enforcer().unwrap(), &arguments).unwrap();
        enforced.agents.push(agent);
        enforced.wait_until_programmed();
        enforced.expect(open, &["b -> c:80"][..usize::from(reason != "not-allowed")]);
        assert_eq!(problems(&enforced), Vec::<String>::new());

        enforced.running.apply(&clusters[1]).unwrap();
        enforced.edit(&[("policies.yaml", &policies[1])]);
        enforced.expect(beyond.1, beyond.0);
        eventually("the problem is reported", CONVERGENCE, || {
            problems(&enforced).iter().any(|reported| reported.contains(problem))
        });
        assert!(counted(&enforced, reason) > 0, "{problem}: no drop is counted as {reason}");
        let log = fs::read_to_string(&enforced.agents[0].log).unwrap();
        assert!(log.contains(problem), "{problem} is not in the log:\n{log}");

        enforced.running.apply(&clusters[0]).unwrap();
        enforced.edit(&[("policies.yaml", &policies[0])]);
        enforced.expect(open, &[]);
        eventually("no problem is left", CONVERGENCE, || problems(&enforced).is_empty());
    }
}

#[test]
fn connections_outlive_their_place_in_a_full_table_of_flows() {
    if skip("a full table of flows") {
        return;
    }
    // Isolated for both directions: a packet passes by its flow, or as one of a connection that may be opened.
    let isolated = policy(
        "c",
        "{podSelector: {matchLabels: {role: c}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {role: a}}}]}]}",
    );
    let mut enforced = Enforced::without_agents(plain(), &["a", "b", "c"].map(pod).concat());
    enforced.edit(&[("policies.yaml", &isolated)]);
    let arguments = ["--max-flows", "32"].map(OsStr::new);
    let agent = Agent::start_with(&enforced.running, 0, programs::enforcer().unwrap(), &arguments).unwrap();
    enforced.agents.push(agent);
    enforced.wait_until_programmed();
    let lab = &enforced.running.lab;
    let (from, to) = (&lab.pods["default/a"].namespace, lab.pods["default/c"].address);
    let mut connections = Vec::new();
    for number in 0..100 {
        let to = std::net::SocketAddr::new(to.of(Family::BOTH[number % 2]), 80);
        connections.push(Connection::open(from, to, CONVERGENCE).unwrap());
    }
    for round in 0..3 {
        for (number, connection) in connections.iter_mut().enumerate() {
            assert!(
                connection.exchange(CONVERGENCE).unwrap(),
                "connection {number} in round {round}{}",
                enforced.explain()
            );
        }
    }
    enforced.expect(&["a -> c:80"], &["b -> c:80", "c -> a:80"]);
}

#[test]
fn closed_connections_give_their_places_back() {
    if skip("the places of closed connections") {
        return;
    }
    let enforced = Enforced::new(plain(), &["a", "b", "c"].map(pod).concat(), &[("c.yaml", &c_accepts_a())]);
    let lab = &enforced.running.lab;
    let (from, to) = (&lab.pods["default/a"].namespace, lab.pods["default/c"].address);
    let flows = || {
        let output =
            agent::command(&enforced.running, 0, &["dump", "flows", "--output-format", "json"]).unwrap();
        let maps: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let flows = maps["flows"].as_array().unwrap().iter();
        flows.filter(|flow| flow["protocol"] == "TCP").count()
    };
    let open = |number: usize| {
        let to = std::net::SocketAddr::new(to.of(Family::BOTH[number % 2]), 80);
        Connection::open(from, to, CONVERGENCE).unwrap()
    };
    let before = flows();
    let mut kept = [open(0), open(1)];
    // Each at both of its ends.
    eventually("the open connections are tracked", CONVERGENCE, || flows() == before + 4);
    for number in 0..200 {
        assert!(open(number).exchange(CONVERGENCE).unwrap(), "{}", enforced.explain());
    }
    eventually("the closed connections are forgotten", CONVERGENCE, || flows() == before + 4);
    for connection in &mut kept {
        assert!(connection.exchange(CONVERGENCE).unwrap(), "{}", enforced.explain());
    }
}

/// What `status` says is wrong.
fn problems(enforced: &Enforced) -> Vec<String> {
    let list = status(enforced)["problems"].take();
    list.as_array().unwrap().iter().map(|problem| problem.as_str().unwrap().to_owned()).collect()
}

/// How many packets were dropped for a reason.
fn counted(enforced: &Enforced, reason: &str) -> u64 {
    let status = status(enforced);
    let counters = status["counters"].as_array().unwrap().iter();
    let dropped = counters.filter(|counter| counter["reason"] == reason && counter["verdict"] == "dropped");
    dropped.map(|counter| counter["packets"].as_u64().unwrap()).sum()
}

fn status(enforced: &Enforced) -> Value {
    let output = agent::command(&enforced.running, 0, &["status", "--output-format", "json"]).unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}
