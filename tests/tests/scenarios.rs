//! Every scenario, checked three ways: by hand (`expected.yaml`), by the evaluator, and with real packets.

use netpol_tests::cluster::running::RunningCluster;
use netpol_tests::lab::{ServiceProxy, Shape, Wiring};
use netpol_tests::scenario::{self, Verdict, measure};

/// Without any agent every flow that a scenario names is open: what closes one later is the agent alone.
#[test]
fn without_an_agent_every_flow_is_open() {
    for scenario in scenario::all().unwrap() {
        let mut running =
            RunningCluster::new(Shape::one_node(Wiring::PointToPoint, ServiceProxy::Nftables)).unwrap();
        for stage in &scenario.expected.stages {
            let cluster = scenario.cluster(stage).unwrap();
            running.apply(&cluster).unwrap();
            let flows = scenario.flows(stage, &cluster).unwrap();
            let open = flows.into_iter().map(|(flow, _)| (flow, Verdict::Open)).collect::<Vec<_>>();
            let wrong = measure::mismatches(&running, &open, measure::Patience::TEST);
            let wrong = wrong.iter().map(|each| format!("\n  {each}")).collect::<String>();
            assert!(wrong.is_empty(), "{}, {}: {wrong}", scenario.name, stage.name);
        }
    }
}
