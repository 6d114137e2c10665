//! Random clusters and policies: the data path and the evaluator must agree on every flow.

use std::time::{Duration, UNIX_EPOCH};

use netpol_tests::lab::address::Family;
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::{Between, OUTSIDE_ADDRESSES, ServiceProxy, Shape, Wiring};
use netpol_tests::probe::server::Port;
use netpol_tests::random::{self, Rng};
use netpol_tests::scenario::flow::{self, Destination, Flow, Source};
use netpol_tests::scenario::{Verdict, measure, predict};
use netpol_tests::summary;

use crate::common::{Enforced, lines};

/// How many flows a run checks at least; `NETPOL_FLOWS` asks for another number.
const FLOWS: usize = 4_000;
const POLICIES: usize = 8;

#[test]
fn the_data_path_agrees_with_the_evaluator_on_random_flows() {
    compare(Shape::two_nodes(Wiring::PointToPoint, Between::Routes, ServiceProxy::Nftables));
}

#[test]
fn the_data_path_agrees_with_the_evaluator_on_random_flows_in_vxlan() {
    let bridge = Wiring::Bridge { call_iptables: true };
    compare(Shape::two_nodes(bridge, Between::Vxlan, ServiceProxy::Iptables));
}

fn compare(shape: Shape) {
    if skip(&format!("the differential test with real packets on {shape}")) {
        return;
    }
    let kind = shape.to_string();
    let seed = number("NETPOL_SEED").unwrap_or_else(|| UNIX_EPOCH.elapsed().map_or(0, |time| time.as_secs()));
    let wanted = number("NETPOL_FLOWS").and_then(|flows| flows.try_into().ok()).unwrap_or(FLOWS);
    let mut rng = Rng::new(seed);
    let mut enforced = Enforced::without_agents(shape, "");
    enforced.start_agents();
    let (mut checked, mut closed, mut round) = (0, 0, 0);
    while checked < wanted {
        round += 1;
        let cluster = random::cluster(&mut rng);
        enforced.running.apply(&cluster).unwrap();
        let policies = random::policies(&mut rng, POLICIES);
        enforced.edit(&[("policies.json", &policies)]);
        enforced.wait_until_programmed();
        let flows = predicted(&enforced);
        let wrong = measure::disagreements_within(&enforced.running, &flows, Duration::from_secs(60));
        assert!(
            wrong.is_empty(),
            "seed {seed}, round {round}: {} of {} flows differ from the evaluator{}\npolicies: {policies}\nlabels: {cluster:#?}{}",
            wrong.len(),
            flows.len(),
            lines(&wrong[..wrong.len().min(30)]),
            enforced.explain()
        );
        checked += flows.len();
        closed += flows.iter().filter(|(_, _, verdict)| *verdict == Verdict::Closed).count();
    }
    // Neither all open nor all closed, or the comparison says little.
    assert!(
        closed > checked / 10 && closed < checked - checked / 10,
        "seed {seed}: {closed} of {checked} are closed"
    );
    summary::count(checked, &format!("random flows on {kind}: evaluator and data path agree (seed {seed})"));
}

/// From every pod and every host outside to everything, over both families, with the evaluator's verdicts.
pub(crate) fn predicted(enforced: &Enforced) -> Vec<(Flow, Family, Verdict)> {
    let running = &enforced.running;
    let loaded = predict::load(running.manifests()).unwrap();
    assert!(loaded.refused.is_empty(), "a random policy was refused: {:?}", loaded.refused);
    let mut flows = flow::between_pods(&running.cluster);
    let mut from_outside = Vec::new();
    for key in running.cluster.pods.keys() {
        for number in 1..=OUTSIDE_ADDRESSES {
            let destinations = flows.iter().map(|flow| &flow.destination);
            let to_pod = destinations.filter(|to| matches!(to, Destination::Pod(pod, _) if pod == key));
            let unique = to_pod.collect::<std::collections::BTreeSet<_>>();
            let source = Source::Outside(number);
            from_outside.extend(
                unique.into_iter().map(|to| Flow { source: source.clone(), destination: to.clone() }),
            );
            let source = Source::Pod(key.clone());
            from_outside.push(Flow { source, destination: Destination::Outside(number) });
        }
        let pings = running.cluster.pods.keys().filter(|other| *other != key);
        from_outside.extend(pings.map(|other| Flow {
            source: Source::Pod(key.clone()),
            destination: Destination::Ping(other.clone()),
        }));
    }
    flows.extend(from_outside);
    let sources = running.cluster.pods.keys().cloned().map(Source::Pod);
    for source in sources.chain((1..=OUTSIDE_ADDRESSES).map(Source::Outside)) {
        for port in running.cluster.services.values().flat_map(|service| &service.ports) {
            let number = port.node_port.expect("every random Service has node ports");
            let destination = Destination::NodePort(Port { transport: port.transport, number });
            flows.push(Flow { source: source.clone(), destination });
        }
    }
    let mut predicted = Vec::new();
    for flow in flows {
        for family in Family::BOTH {
            if let Some(verdict) =
                predict::verdict(&running.cluster, &running.layout, &loaded.cluster, &flow, family)
            {
                predicted.push((flow.clone(), family, verdict));
            }
        }
    }
    predicted
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}
