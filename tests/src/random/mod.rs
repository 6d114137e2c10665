//! Random clusters and policies, the same ones for the same seed.

mod policy;
mod rng;

use std::collections::BTreeMap;

pub use self::rng::Rng;
use crate::cluster::{Cluster, ContainerPort, Labels, PodObject, ServiceObject, ServicePort, TargetPort};
use crate::lab::services::Choice;
use crate::probe::server::Transport;

const NAMESPACES: [&str; 3] = ["alpha", "beta", "gamma"];
const KEYS: [&str; 3] = ["app", "tier", "env"];
const VALUES: [&str; 3] = ["x", "y", ""];
const NODES: [&str; 2] = ["node-1", "node-2"];

/// Nine pods in three namespaces on two nodes, each with two TCP ports, a UDP and an SCTP port, and a few Services.
/// Which pods are there and where doesn't depend on chance: labels and names of ports do.
#[must_use]
pub fn cluster(rng: &mut Rng) -> Cluster {
    let mut cluster = Cluster::default();
    for (index, namespace) in NAMESPACES.iter().enumerate() {
        cluster.namespaces.insert((*namespace).to_owned(), labels(rng));
        for number in 0..3 {
            let pod = PodObject {
                namespace: (*namespace).to_owned(),
                name: format!("pod-{number}"),
                labels: labels(rng),
                ports: ports(rng),
                node: Some(NODES[(index + number) % NODES.len()].to_owned()),
            };
            cluster.pods.insert(pod.key(), pod);
        }
        let service = ServiceObject {
            namespace: (*namespace).to_owned(),
            name: "front".to_owned(),
            selector: BTreeMap::from([("front".to_owned(), "yes".to_owned())]),
            ports: service_ports(u16::try_from(index).expect("few namespaces")),
            choice: Choice::default(),
        };
        cluster.services.insert(service.key(), service);
        // Sometimes two pods are behind the Service.
        for _ in 0..2 {
            let front = format!("{namespace}/pod-{}", rng.below(3));
            if let Some(pod) = cluster.pods.get_mut(&front) {
                pod.labels.insert("front".to_owned(), "yes".to_owned());
            }
        }
    }
    cluster
}

/// The text of a file with this many policies for such a cluster.
#[must_use]
pub fn policies(rng: &mut Rng, count: usize) -> String {
    let items = (0..count).map(|number| policy::random(rng, number)).collect::<Vec<_>>();
    serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

fn service_ports(service: u16) -> Vec<ServicePort> {
    let port = |transport, number, target, node_port| ServicePort {
        transport,
        number,
        target: TargetPort::Number(target),
        node_port: Some(node_port + service),
    };
    vec![
        port(Transport::Tcp, 8080, 80, 30_080),
        port(Transport::Udp, 5353, 53, 30_053),
        port(Transport::Sctp, 99, 9, 30_009),
    ]
}

fn labels(rng: &mut Rng) -> Labels {
    let mut labels = Labels::new();
    for key in KEYS {
        if rng.chance(2, 3) {
            labels.insert(key.to_owned(), (*rng.pick(&VALUES)).to_owned());
        }
    }
    labels
}

fn ports(rng: &mut Rng) -> Vec<ContainerPort> {
    let mut names = [None, None];
    // `web` means another number on another pod, or nothing at all.
    if rng.chance(3, 4) {
        names[rng.below(2)] = Some("web".to_owned());
    }
    let [first, second] = names;
    let port = |name: Option<String>, transport, number| ContainerPort { name, transport, number };
    vec![
        port(first, Transport::Tcp, 80),
        port(second, Transport::Tcp, 81),
        port(Some("dns".to_owned()), Transport::Udp, 53),
        port(None, Transport::Sctp, 9),
    ]
}
