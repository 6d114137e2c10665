//! The harness proves itself first: without an agent, everything reaches everything, and closed ports refuse.

use std::time::{Duration, Instant};

use netpol_tests::lab::address::{self, Family, Pair};
use netpol_tests::lab::requirements::skip;
use netpol_tests::lab::services::{self, Choice, Endpoint, Translation};
use netpol_tests::lab::{Between, Lab, OUTSIDE_PORT, ServiceProxy, Shape, Wiring};
use netpol_tests::probe::server::{Port, Transport};
use netpol_tests::probe::{self, Outcome, Probe, Target};

const PATIENCE: Duration = Duration::from_secs(5);

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    let bridge = |call_iptables| Wiring::Bridge { call_iptables };
    for wiring in [bridge(true), bridge(false), Wiring::PointToPoint] {
        for services in [ServiceProxy::Nftables, ServiceProxy::Iptables] {
            shapes.push(Shape::one_node(wiring, services));
            shapes.push(Shape::two_nodes(wiring, Between::Routes, services));
        }
        shapes.push(Shape::two_nodes(wiring, Between::Vxlan, ServiceProxy::Nftables));
    }
    shapes
}

#[test]
fn everything_reaches_everything_without_policies() {
    if skip("the lab without policies") {
        return;
    }
    for shape in shapes() {
        let started = Instant::now();
        let mut lab = Lab::new(shape.clone()).unwrap();
        let last = lab.nodes.len() - 1;
        lab.add_pod("client", 0, &[Port::tcp(80)]).unwrap();
        lab.add_pod("near", 0, &[Port::tcp(80), Port::udp(53), Port::sctp(9)]).unwrap();
        lab.add_pod("far", last, &[Port::tcp(80), Port::udp(53), Port::sctp(9)]).unwrap();
        let translations = service_of(&lab, "far");
        for node in &lab.nodes {
            services::install(node, shape.services, &translations).unwrap();
        }
        let built = started.elapsed();

        let mut probes = Vec::new();
        let mut expected = Vec::new();
        let client = &lab.pods["client"].namespace;
        let mut expect = |from, to, outcome| {
            probes.push(Probe::new(from, to, PATIENCE));
            expected.push(outcome);
        };
        for family in Family::BOTH {
            for name in ["near", "far"] {
                let address = lab.pods[name].address.of(family);
                let by = || Outcome::Connected(Some(name.to_owned()));
                for from in [client, &lab.nodes[0].namespace, &lab.outside] {
                    expect(from, Target::Port(address, Port::tcp(80)), by());
                    expect(from, Target::Port(address, Port::udp(53)), by());
                    expect(from, Target::Port(address, Port::sctp(9)), Outcome::Connected(None));
                    expect(from, Target::Echo(address), Outcome::Connected(None));
                    expect(from, Target::Port(address, Port::tcp(81)), Outcome::Refused);
                    expect(from, Target::Port(address, Port::udp(54)), Outcome::Refused);
                    expect(from, Target::Port(address, Port::sctp(10)), Outcome::Refused);
                }
            }
            let outside = Target::Port(address::outside(10).of(family), Port::tcp(OUTSIDE_PORT));
            expect(client, outside, Outcome::Connected(Some("outside".into())));
            if shape.translates_on_one_node() || last > 0 {
                let far = || Outcome::Connected(Some("far".to_owned()));
                let cluster = Target::Port(address::service(1).of(family), Port::tcp(8080));
                expect(client, cluster, far());
                expect(&lab.nodes[0].namespace, cluster, far());
                let node_port = Target::Port(lab.nodes[0].address().of(family), Port::tcp(30_001));
                expect(client, node_port, far());
                expect(&lab.outside, node_port, far());
                // Through its own Service back to itself.
                expect(&lab.pods["far"].namespace, cluster, far());
            }
        }
        let outcomes = probe::run(&probes);
        for ((probe, expected), outcome) in probes.iter().zip(&expected).zip(&outcomes) {
            assert_eq!(outcome, expected, "{shape}: {} -> {:?}", probe.from.name(), probe.to);
        }
        println!("{shape}: built in {built:?}, {} probes in {:?}", probes.len(), started.elapsed() - built);
    }
}

fn service_of(lab: &Lab, pod: &str) -> Vec<Translation> {
    let cluster: Pair = address::service(1);
    vec![Translation {
        cluster,
        transport: Transport::Tcp,
        port: 8080,
        node_port: Some(30_001),
        endpoints: vec![Endpoint { address: lab.pods[pod].address, port: 80, here: true }],
        choice: Choice::default(),
    }]
}
