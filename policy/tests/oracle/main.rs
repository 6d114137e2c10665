//! The evaluator against a second one that shares nothing with it but the documentation.

mod address;
mod cover;
mod generate;
mod naive;

use std::collections::BTreeSet;

use netpol_policy::evaluate::{Decision, Endpoint, Evaluator, Flow, Isolation};
use netpol_policy::model::{Cluster, Direction, Traffic, WorkloadKind, WorkloadName};
use netpol_policy::source::load;
use proptest::prelude::*;
use serde_json::{Value, json};

use address::Address;
use generate::Objects;
use naive::{Ask, End, Naive};

/// Traffic at and around every number that the random policies name.
const ASKS: [Ask; 26] = [
    ("TCP", 1),
    ("TCP", 2),
    ("TCP", 53),
    ("TCP", 79),
    ("TCP", 80),
    ("TCP", 81),
    ("TCP", 443),
    ("TCP", 444),
    ("TCP", 500),
    ("TCP", 8079),
    ("TCP", 8080),
    ("TCP", 8300),
    ("TCP", 65534),
    ("TCP", 65535),
    ("UDP", 1),
    ("UDP", 53),
    ("UDP", 80),
    ("UDP", 443),
    ("UDP", 8080),
    ("UDP", 65535),
    ("SCTP", 53),
    ("SCTP", 80),
    ("SCTP", 8080),
    ("ICMP", 0),
    ("47", 0),
    ("2", 0),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every flow of a random cluster: the same verdict, and reasons that hold.
    #[test]
    fn same_verdict_as_the_naive_one(Objects(objects) in generate::objects()) {
        let cluster = lowered(&objects);
        let naive = Naive::new(&objects);
        let evaluator = Evaluator::new(&cluster);
        let ends = ends(&naive, &cluster);
        let universe: Vec<End> = ends.iter().map(|(end, _)| *end).collect();
        let all_pairs = evaluator.reachability(ends.iter().map(|(_, endpoint)| *endpoint).collect());
        for (source_index, (from, source)) in ends.iter().enumerate() {
            let leaving = naive.side(&universe, &ASKS, *from, "Egress");
            for (destination_index, (to, destination)) in ends.iter().enumerate() {
                if !same_family(*from, *to) {
                    continue;
                }
                let entering = naive.side(&universe, &ASKS, *to, "Ingress");
                let connections = evaluator.connections(*source, *destination);
                prop_assert_eq!(&all_pairs.connections(source_index, destination_index), &connections);
                for direction in Direction::ALL {
                    let rules = evaluator.matching_rules(*source, *destination, direction);
                    let (side, far) = match direction {
                        Direction::Ingress => (&entering, *from),
                        Direction::Egress => (&leaving, *to),
                    };
                    if let Some(miss) = evaluator.closest_rule(*source, *destination, direction) {
                        prop_assert!(!miss.lacks.is_empty());
                        prop_assert!(rules.iter().all(|rule| (rule.policy, rule.rule) != (miss.at.policy, miss.at.rule)));
                    }
                    for ((end, _), reasons) in side.iter().flat_map(|side| &side.allowed) {
                        let known = |(policy, rule, ..): &(String, usize, _, _)| {
                            rules.iter().any(|r| *r.policy.name.name == **policy && r.rule == *rule)
                        };
                        let exempt = matches!(direction, Direction::Ingress) && naive.exempt(*to, *from)
                            || matches!(direction, Direction::Egress) && naive.exempt(*from, *to);
                        prop_assert!(*end != far || exempt || reasons.iter().all(known));
                    }
                }
                for ask in ASKS {
                    let flow = Flow::new(*source, *destination, traffic(ask));
                    let verdict = evaluator.verdict(&flow);
                    let what = format!("{source} to {destination} {}", flow.traffic);
                    let expected = [
                        (&verdict.egress, Direction::Egress, &leaving, naive.exempt(*from, *to), *to),
                        (&verdict.ingress, Direction::Ingress, &entering, naive.exempt(*to, *from), *from),
                    ];
                    let mut passes = true;
                    for (decision, direction, side, exempt, far) in expected {
                        let allowed = exempt || side.as_ref().is_none_or(|side| side.allowed.contains_key(&(far, ask)));
                        prop_assert_eq!(decision.allows(), allowed, "{} {}: {:?}", what, direction, decision);
                        reasons_hold(decision, direction, side.as_ref(), exempt, (far, ask), &what)?;
                        passes &= allowed;
                    }
                    prop_assert_eq!(verdict.allowed(), passes, "{}", what);
                    prop_assert_eq!(connections.contains(flow.traffic), passes, "{}: {}", what, connections);
                }
            }
        }
    }

    /// Pods without a chosen address: what passes over any family that both have.
    #[test]
    fn pods_reach_each_other_over_any_family(Objects(objects) in generate::objects()) {
        let cluster = lowered(&objects);
        let evaluator = Evaluator::new(&cluster);
        let all_pairs = evaluator.reachability(cluster.pods.iter().map(Endpoint::pod).collect());
        for (i, from) in cluster.pods.iter().enumerate() {
            for (j, to) in cluster.pods.iter().enumerate() {
                let found = evaluator.connections(Endpoint::pod(from), Endpoint::pod(to));
                prop_assert_eq!(&all_pairs.connections(i, j), &found);
                let addresses = from.addresses.iter().flat_map(|x| to.addresses.iter().map(move |y| (*x, *y)));
                let ways: Vec<_> = addresses
                    .filter(|(x, y)| x.is_ipv4() == y.is_ipv4())
                    .map(|(x, y)| evaluator.connections(Endpoint::pod_at(from, x), Endpoint::pod_at(to, y)))
                    .collect();
                for traffic in ASKS.map(traffic) {
                    let some = ways.iter().any(|way| way.contains(traffic));
                    prop_assert!(ways.is_empty() || found.contains(traffic) == some, "{} to {}: {}", from.name, to.name, found);
                }
            }
        }
    }

    /// Where Services lead.
    #[test]
    fn same_endpoints_as_the_naive_one(Objects(objects) in generate::objects()) {
        let cluster = lowered(&objects);
        let naive = Naive::new(&objects);
        for (name, number, expected) in naive.services() {
            let service = cluster.services.iter().find(|service| service.name.to_string() == name).unwrap();
            let port = service.ports.iter().find(|port| u64::from(port.port.get()) == number).unwrap();
            let found: BTreeSet<_> = cluster.service_endpoints(service, port).into_iter().map(|endpoint| {
                let name = endpoint.pod.unwrap().name.to_string();
                let index = naive.workloads.iter().position(|w| format!("{}/{}/{}", w.namespace, w.kind, w.name) == name);
                (index.unwrap(), endpoint.address.map(|a| Address::parse(&a.to_string())), endpoint.port.get())
            }).collect();
            prop_assert_eq!(found, expected, "{}", name);
        }
    }
}

/// The random clusters must reach every outcome, or the comparison above says little.
#[test]
fn random_clusters_are_varied() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut allowed, mut denied, mut open, mut exempt, mut partial) = (0, 0, 0, 0, 0);
    for _ in 0..60 {
        let Objects(objects) = generate::objects().new_tree(&mut runner).unwrap().current();
        let cluster = lowered(&objects);
        let evaluator = Evaluator::new(&cluster);
        let ends = ends(&Naive::new(&objects), &cluster);
        for ((from, source), (to, destination)) in ends.iter().flat_map(|a| ends.iter().map(move |b| (a, b)))
        {
            if !same_family(*from, *to) {
                continue;
            }
            let connections = evaluator.connections(*source, *destination);
            partial += u32::from(!connections.is_none() && !connections.is_all());
            for ask in ASKS {
                let verdict = evaluator.verdict(&Flow::new(*source, *destination, traffic(ask)));
                for decision in [verdict.egress, verdict.ingress] {
                    match decision {
                        Decision::Allowed { .. } => allowed += 1,
                        Decision::Denied { .. } => denied += 1,
                        Decision::NotIsolated => open += 1,
                        Decision::Exempt(_) => exempt += 1,
                    }
                }
            }
        }
    }
    for (what, count) in
        [("allowed", allowed), ("denied", denied), ("open", open), ("exempt", exempt), ("partial", partial)]
    {
        assert!(count > 150, "only {count} {what}");
    }
}

/// Whether the reasons of a decision are those that the naive evaluator finds.
fn reasons_hold(
    decision: &Decision<'_>,
    direction: Direction,
    side: Option<&naive::Side>,
    exempt: bool,
    key: (End, Ask),
    what: &str,
) -> Result<(), TestCaseError> {
    let isolation: BTreeSet<_> = decision
        .isolation()
        .iter()
        .map(|isolation| match isolation {
            Isolation::Policy(policy) => policy.name.name.to_string(),
            Isolation::NamespaceLabel => String::new(),
        })
        .collect();
    prop_assert_eq!(matches!(decision, Decision::Exempt(_)), exempt, "{}", what);
    if exempt {
        return Ok(());
    }
    prop_assert_eq!(matches!(decision, Decision::NotIsolated), side.is_none(), "{}", what);
    let Some(side) = side else { return Ok(()) };
    prop_assert_eq!(&isolation, &side.isolation, "{}", what);
    match decision {
        Decision::Allowed { by, .. } => {
            let reason = (by.policy.name.name.to_string(), by.rule, by.peer, by.port);
            let reasons = &side.allowed[&key];
            prop_assert!(reasons.contains(&reason), "{}: {:?} is not among {:?}", what, reason, reasons);
            prop_assert_eq!(by.direction, direction);
        }
        Decision::Denied { closest, .. } => {
            prop_assert_eq!(closest.is_none(), side.rules == 0, "{}", what);
            if let Some(miss) = closest {
                prop_assert!(!miss.lacks.is_empty(), "{}", what);
                let rules = miss.at.policy.rules(direction).unwrap();
                prop_assert!(miss.at.peer.is_none_or(|peer| peer < rules[miss.at.rule].peers.items().len()));
                prop_assert!(miss.at.port.is_none_or(|port| port < rules[miss.at.rule].ports.items().len()));
                prop_assert!(side.isolation.contains(&*miss.at.policy.name.name));
            }
        }
        Decision::Exempt(_) | Decision::NotIsolated => {}
    }
    Ok(())
}

/// Every end: pods by their addresses or, where they have none, by name; host network pods by name as well; nodes and
/// addresses outside.
fn ends<'c>(naive: &Naive, cluster: &'c Cluster) -> Vec<(End, Endpoint<'c>)> {
    let mut addresses: BTreeSet<String> =
        generate::OUTSIDE.iter().map(|&address| address.to_owned()).collect();
    addresses.extend(cluster.pods.iter().flat_map(|pod| &pod.addresses).map(ToString::to_string));
    addresses.extend(cluster.nodes.iter().flat_map(|node| &node.addresses).map(ToString::to_string));
    let by_address =
        addresses.iter().map(|a| (naive.at(Address::parse(a)), Endpoint::at(cluster, a.parse().unwrap())));
    let mut ends: Vec<_> = by_address.collect();
    for (index, workload) in naive.workloads.iter().enumerate() {
        let kind = WorkloadKind::parse(&workload.kind).unwrap();
        let name = WorkloadName::new(&*workload.namespace, kind, &*workload.name);
        let pod = cluster.pod(&name).expect("every workload is lowered");
        if workload.addresses.is_empty() && !workload.finished {
            ends.push((End { workload: Some(index), address: None }, Endpoint::pod(pod)));
        } else if workload.host && !workload.finished {
            let at = |(address, text): (&Address, &std::net::IpAddr)| {
                (End { workload: Some(index), address: Some(*address) }, Endpoint::pod_at(pod, *text))
            };
            ends.extend(workload.addresses.iter().zip(&pod.addresses).map(at));
        }
    }
    ends
}

/// An address never opens a connection to one of the other family.
fn same_family(a: End, b: End) -> bool {
    a.address.zip(b.address).is_none_or(|(a, b)| a.bits == b.bits)
}

fn traffic((protocol, number): Ask) -> Traffic {
    match protocol {
        "ICMP" => Traffic::Icmp,
        "47" => Traffic::Other(47),
        "2" => Traffic::Other(2),
        _ => Traffic::port(protocol.parse().unwrap(), number.into()).unwrap(),
    }
}

/// What the crate makes of the objects; the reader must have nothing to say against them.
fn lowered(objects: &[Value]) -> Cluster {
    let text = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let loaded = load([("objects", text)], "default");
    for (_, manifest) in &loaded.manifests {
        assert!(manifest.errors.is_empty(), "{:?}", manifest.errors);
        for policy in manifest.policies() {
            assert!(policy.model.is_some(), "{:?}", policy.problems);
        }
    }
    loaded.cluster
}
