//! `trace` says of the scenarios' flows what is expected of them, through Services, between nodes and to the outside.

use netpol_tests::agent;
use netpol_tests::lab::address::{self, Family};
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{Between, OUTSIDE_PORT, ServiceProxy, Shape, Wiring};
use netpol_tests::probe::server::{Port, Transport};
use netpol_tests::scenario::flow::{Destination, Flow, Source};
use netpol_tests::scenario::{Scenario, Verdict};
use netpol_tests::summary;

use crate::common::{Enforced, eventually};

#[test]
fn trace_agrees_with_what_is_expected_by_hand() {
    if skip("trace of scenarios") {
        return;
    }
    let mut asked = 0;
    for name in ["and-or", "backup-server", "default-deny-ingress"] {
        let scenario = Scenario::read(name).unwrap();
        let stage = scenario.expected.stages.last().unwrap();
        let bridge = Wiring::Bridge { call_iptables: true };
        let shape = Shape::two_nodes(bridge, Between::Routes, ServiceProxy::Nftables);
        let mut enforced = Enforced::without_agents(shape, "");
        enforced.running.apply(&scenario.cluster(stage).unwrap()).unwrap();
        let policies = scenario.policies(stage).unwrap();
        let policies = policies.iter().map(|(name, text)| (*name, text.as_str()));
        enforced.running.set_policies(policies).unwrap();
        enforced.start_agents();
        enforced.wait_until_programmed();
        for (flow, expected) in scenario.flows(stage, &enforced.running.cluster).unwrap() {
            let Some((from, to, port)) = words(&enforced, &flow) else { continue };
            let expected = if expected == Verdict::Open { 0 } else { 1 };
            for node in nodes(&enforced, &flow) {
                let arguments = ["trace", "--from", &from, "--to", &to, "--port", &port];
                let output = agent::command(&enforced.running, node, &arguments).unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned()
                    + &String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(expected), "{name}: {flow} on node {node}:\n{text}");
                asked += 1;
            }
        }
        eventually("the agents go on", std::time::Duration::ZERO, || {
            enforced.agents.iter().all(|agent| agent.check().is_ok())
        });
    }
    assert!(asked > 20, "{asked}");
    summary::count(asked, "flows of scenarios: expected by hand, trace");
}

/// A flow as `trace` is asked for it; nothing for what it does not answer.
fn words(enforced: &Enforced, flow: &Flow) -> Option<(String, String, String)> {
    let outside = |number: &u8| address::outside(9 + number).of(Family::V4).to_string();
    let port = |port: &Port| {
        let protocol = if port.transport == Transport::Tcp { "TCP" } else { "UDP" };
        format!("{}/{protocol}", port.number)
    };
    let from = match &flow.source {
        Source::Pod(pod) => pod.clone(),
        Source::Outside(number) => outside(number),
        Source::Node => return None,
    };
    let (to, port) = match &flow.destination {
        Destination::Pod(pod, number) => (pod.clone(), port(number)),
        Destination::Ping(pod) => (pod.clone(), "icmp".into()),
        Destination::Service(service, number) => {
            // Some are named like the pods behind them; those come first.
            let address = enforced.running.service_address(service).of(Family::V6);
            (address.to_string(), port(number))
        }
        Destination::Outside(number) => (outside(number), format!("{OUTSIDE_PORT}/TCP")),
        Destination::PingOutside(number) => (outside(number), "icmp".into()),
        Destination::NodePort(_) => return None,
    };
    Some((from, to, port))
}

/// The nodes of its ends.
fn nodes(enforced: &Enforced, flow: &Flow) -> Vec<usize> {
    let pods = &enforced.running.lab.pods;
    let mut nodes = Vec::new();
    if let Source::Pod(pod) = &flow.source {
        nodes.push(pods[pod].node);
    }
    if let Destination::Pod(pod, _) | Destination::Ping(pod) = &flow.destination {
        nodes.push(pods[pod].node);
    }
    nodes.dedup();
    nodes
}
