//! Every scenario, checked three ways: by hand (`expected.yaml`), by the evaluator, and with real packets, on every kind
//! of network.

use netpol_tests::cluster::layout::Layout;
use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::cluster::written;
use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{Between, ServiceProxy, Shape, Wiring};
use netpol_tests::scenario::{self, Scenario, Verdict, measure, predict};
use netpol_tests::summary;

use crate::common::{Enforced, lines};

const BRIDGE: Wiring = Wiring::Bridge { call_iptables: true };
const BRIDGE_WITHOUT_CALL: Wiring = Wiring::Bridge { call_iptables: false };

#[test]
fn on_a_bridge_with_nftables() {
    enforce_all(&Shape::one_node(BRIDGE, ServiceProxy::Nftables));
}

#[test]
fn on_a_bridge_with_iptables() {
    enforce_all(&Shape::one_node(BRIDGE, ServiceProxy::Iptables));
}

#[test]
fn on_a_bridge_that_does_not_call_iptables() {
    enforce_all(&Shape::one_node(BRIDGE_WITHOUT_CALL, ServiceProxy::Iptables));
}

#[test]
fn on_point_to_point_links_with_nftables() {
    enforce_all(&Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables));
}

#[test]
fn on_point_to_point_links_with_iptables() {
    enforce_all(&Shape::one_node(Wiring::PointToPoint, ServiceProxy::Iptables));
}

#[test]
fn on_two_nodes_joined_by_routes() {
    enforce_all(&Shape::two_nodes(Wiring::PointToPoint, Between::Routes, ServiceProxy::Nftables));
}

#[test]
fn on_two_nodes_joined_by_routes_with_bridges() {
    enforce_all(&Shape::two_nodes(BRIDGE_WITHOUT_CALL, Between::Routes, ServiceProxy::Nftables));
}

#[test]
fn on_two_nodes_joined_by_vxlan() {
    enforce_all(&Shape::two_nodes(BRIDGE, Between::Vxlan, ServiceProxy::Iptables));
}

/// Without any agent every flow that a scenario names is open: what closes one later is the agent alone.
#[test]
fn without_an_agent_every_flow_is_open() {
    if skip("the scenarios without an agent") {
        return;
    }
    for scenario in scenario::all().unwrap() {
        let mut running =
            RunningCluster::new(Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)).unwrap();
        for stage in &scenario.expected.stages {
            let cluster = scenario.cluster(stage).unwrap();
            running.apply(&cluster).unwrap();
            let flows = scenario.flows(stage, &cluster).unwrap();
            let open = flows.into_iter().map(|(flow, _)| (flow, Verdict::Open)).collect::<Vec<_>>();
            let wrong = measure::mismatches(&running, &open, measure::Patience::TEST);
            assert!(wrong.is_empty(), "{}, {}: {}", scenario.name, stage.name, lines(&wrong));
        }
    }
}

/// The evaluator says what is expected by hand. No packet is sent, and no network is needed.
#[test]
fn the_evaluator_agrees_with_what_is_expected_by_hand() {
    let mut checked = 0;
    for scenario in scenario::all().unwrap().iter().filter(|scenario| scenario.expected.agent) {
        for stage in &scenario.expected.stages {
            let what = format!("{}, {}", scenario.name, stage.name);
            let objects = scenario.cluster(stage).unwrap();
            let layout = Layout::on_paper(&["node-1", "node-2"], &objects).unwrap();
            let list = written::list(&objects, &layout).to_string();
            let mut texts = scenario.policies(stage).unwrap();
            texts.push(("cluster.json", list));
            let loaded = predict::loaded(texts);
            let named = stage.policies.iter().filter(|name| scenario.expected.refused.contains(name));
            assert_eq!(loaded.refused, named.cloned().collect::<Vec<_>>(), "{what}");
            for (flow, expected) in scenario.flows(stage, &objects).unwrap() {
                for family in Family::BOTH {
                    let predicted = predict::verdict(&objects, &layout, &loaded.cluster, &flow, family);
                    assert_eq!(predicted, Some(expected), "{what}: {flow} ({family})");
                    checked += 1;
                }
            }
        }
    }
    summary::count(checked, "flows of scenarios: expected by hand, evaluator");
}

fn enforce_all(shape: &Shape) {
    if skip(&format!("the scenarios on {shape}")) {
        return;
    }
    let scenarios = scenario::all().unwrap();
    let mut flows = 0;
    for scenario in &scenarios {
        flows += enforce(shape, scenario);
    }
    summary::count(scenarios.len(), &format!("scenarios with real packets on {shape} ({flows} flows)"));
}

fn enforce(shape: &Shape, scenario: &Scenario) -> usize {
    let mut enforced = Enforced::without_agents(shape.clone(), "");
    if scenario.expected.agent {
        enforced.start_agents();
    }
    let mut checked = 0;
    for stage in &scenario.expected.stages {
        apply(&mut enforced.running, scenario, stage);
        enforced.wait_until_programmed();
        let flows = scenario.flows(stage, &enforced.running.cluster).unwrap();
        enforced.expect_flows(&format!("{shape}: {}, {}", scenario.name, stage.name), &flows);
        let possible = flows.iter().filter(|(flow, _)| measure::is_possible(&enforced.running, flow));
        checked += possible.count() * Family::BOTH.len();
    }
    checked
}

fn apply(running: &mut RunningCluster, scenario: &Scenario, stage: &scenario::Stage) {
    running.apply(&scenario.cluster(stage).unwrap()).unwrap();
    let policies = scenario.policies(stage).unwrap();
    running.set_policies(policies.iter().map(|(name, text)| (*name, text.as_str()))).unwrap();
}
