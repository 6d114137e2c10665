//! What is compiled agrees with the evaluator, look-up by look-up as the programs do it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnet::IpNet;
use netpol_policy::evaluate::{Endpoint as Side, Evaluator, Flow};
use netpol_policy::model::*;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::{
    Clauses, Compiler, Desired, Entry, Identity, LocalNode, Numbered, TrafficPrefix, compile, entries,
};
use crate::compile::Isolation;
use crate::world::{Change, Object, World};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn agrees_with_the_evaluator(cluster in cluster(), flows in prop::collection::vec(flow(), 40)) {
        let mut clauses = Clauses::default();
        let node = LocalNode { name: "here".into(), ..LocalNode::default() };
        let desired = compile(&cluster, &node, &mut clauses);
        let tables = Tables::new(&desired);
        let evaluator = Evaluator::new(&cluster);
        for (source, destination, traffic) in flows {
            let at = |address| Side::at(&cluster, address);
            let verdict = evaluator.verdict(&Flow::new(at(source), at(destination), traffic));
            for (direction, near, far, expected) in [
                (Direction::Egress, source, destination, verdict.egress.allows()),
                (Direction::Ingress, destination, source, verdict.ingress.allows()),
            ] {
                if let Some(allowed) = tables.decide(&desired, &cluster, direction, near, far, traffic) {
                    prop_assert_eq!(
                        allowed, expected,
                        "{} of {} with {} over {}", direction, near, far, traffic
                    );
                }
            }
        }
    }

    #[test]
    fn only_pods_of_this_node_are_endpoints(cluster in cluster()) {
        let node = LocalNode { name: "here".into(), ..LocalNode::default() };
        let desired = compile(&cluster, &node, &mut Clauses::default());
        for (name, endpoint) in &desired.endpoints {
            for address in &endpoint.addresses {
                let owner = cluster.owner(*address).expect("an endpoint's address has an owner");
                prop_assert_eq!(&owner.name, name);
                prop_assert_eq!(owner.node.as_deref(), Some("here"));
            }
        }
    }
}

/// A change of a world: one object, or everything.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    cluster: usize,
    kind: u8,
    object: usize,
    how: u8,
    pub(crate) node: usize,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    (0..3_usize, 0..6_u8, 0..20_usize, 0..8_u8, 0..3_usize)
        .prop_map(|(cluster, kind, object, how, node)| Step { cluster, kind, object, how, node })
}

pub(crate) fn take(world: &mut World, step: &Step, clusters: &[Cluster]) {
    let cluster = &clusters[step.cluster % clusters.len()];
    if step.how == 0 {
        world.become_cluster(cluster.clone());
        return;
    }
    let named = |name: &str| ObjectName::new("", name);
    let mut objects: Vec<(ObjectName, Object)> = match step.kind {
        0 => cluster.namespaces.values().map(|n| (named(n.name()), Object::Namespace(n.clone()))).collect(),
        1 => {
            cluster.services.iter().map(|s| (s.name.clone(), Object::Service(Box::new(s.clone())))).collect()
        }
        2 | 3 => {
            let name = |policy: &NetworkPolicy| policy.name.clone();
            let policies = cluster.policies.iter();
            policies.map(|p| (name(p), Object::NetworkPolicy(p.clone()))).collect()
        }
        _ => {
            let name = |pod: &Pod| ObjectName::new(pod.name.namespace.clone(), pod.name.name.clone());
            cluster.pods.iter().map(|pod| (name(pod), Object::Pod(Box::new(pod.clone())))).collect()
        }
    };
    if objects.is_empty() {
        return;
    }
    let (name, object) = objects.swap_remove(step.object % objects.len());
    world.apply(if step.how < 3 { Change::Gone(object.kind(), name) } else { Change::Put(name, object) });
}

/// Three states of one node: nothing known of its links, addresses behind them, and what a network plugin said.
pub(crate) fn nodes(clusters: &[Cluster]) -> [LocalNode; 3] {
    let node = LocalNode { name: "here".into(), ..LocalNode::default() };
    let pods = || clusters.iter().flat_map(|cluster| &cluster.pods);
    let addresses = pods().step_by(3).flat_map(|pod| pod.addresses.clone()).collect();
    let attached = pods().step_by(4).map(|pod| (pod.name.clone(), pod.addresses.iter().copied().collect()));
    [
        node.clone(),
        LocalNode { pod_addresses: addresses, ..node.clone() },
        LocalNode { attached: attached.collect(), ..node },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// Whatever happens in whatever order: what is compiled change by change is what is compiled from scratch.
    #[test]
    fn change_by_change_is_as_from_scratch(
        clusters in prop::collection::vec(cluster(), 1..4),
        steps in prop::collection::vec(step(), 1..25),
        strict in any::<bool>(),
        room in prop::option::of(0..6_usize),
    ) {
        let mut world = if strict { World::with_all_namespaces() } else { World::default() };
        let mut compiler = room.map_or_else(Compiler::default, Compiler::with_room);
        let nodes = nodes(&clusters);
        for step in steps {
            take(&mut world, &step, &clusters);
            let (node, touched) = (&nodes[step.node], world.take_touched());
            let before = compiler.desired().clone();
            let changed = compiler.update(&world, &touched, node);
            let expected = compile(&world.cluster(), node, &mut compiler.clauses().clone());
            prop_assert_eq!(compiler.desired(), &expected, "{:?} {:?}", step, touched);
            prop_assert_eq!(changed, before != expected);
        }
    }
}

#[test]
fn an_attached_address_belongs_to_whom_it_was_given() {
    let pod = |name: &str, node: Option<&str>, addresses: &[&str], created: &str| Pod {
        node: node.map(Into::into),
        addresses: addresses.iter().map(|address| address.parse().expect("an address")).collect(),
        created: Some(created.into()),
        ..Pod::new(WorkloadName::new("shop", WorkloadKind::Pod, name), Labels::new())
    };
    let cluster = Cluster {
        pods: vec![
            pod("starting", Some("here"), &[], "2026-01-01T00:00:00Z"),
            pod("ending", Some("here"), &["10.0.0.2", "10.0.0.3"], "2026-01-02T00:00:00Z"),
            // Its sandbox was made anew; the cluster says its former address.
            pod("renewed", None, &["10.0.0.4"], "2026-01-01T00:00:00Z"),
        ],
        ..Cluster::default()
    };
    let name = |pod: &str| WorkloadName::new("shop", WorkloadKind::Pod, pod);
    let addresses = |list: &[&str]| list.iter().map(|address| address.parse().expect("an address")).collect();
    let node = LocalNode {
        name: "here".into(),
        attached: BTreeMap::from([
            (name("starting"), addresses(&["10.0.0.2"])),
            (name("renewed"), addresses(&["10.0.0.5"])),
            (name("unheard-of"), addresses(&["10.0.0.6"])),
        ]),
        ..LocalNode::default()
    };
    let desired = compile(&cluster, &node, &mut Clauses::default());
    let endpoints = desired.endpoints.into_iter().map(|(name, endpoint)| (name, endpoint.addresses));
    let expected = [
        (name("ending"), addresses(&["10.0.0.3"])),
        (name("renewed"), addresses(&["10.0.0.5"])),
        (name("starting"), addresses(&["10.0.0.2"])),
    ];
    assert_eq!(endpoints.collect::<BTreeMap<_, _>>(), BTreeMap::from(expected));
}

/// The tables as the kernel has them.
struct Tables {
    classes: BTreeMap<IpNet, Identity>,
    numbers: Numbered,
}

impl Tables {
    fn new(desired: &Desired) -> Self {
        let mut numbers = BTreeMap::new();
        let mut by_signature = BTreeMap::from([(Arc::default(), Identity::ANY)]);
        let mut classes = BTreeMap::new();
        for (net, signature) in desired.classes.iter() {
            let next = Identity(u32::try_from(by_signature.len()).expect("few"));
            let identity = *by_signature.entry(signature.clone()).or_insert(next);
            if identity != Identity::ANY {
                numbers.insert(identity, signature.clone());
            }
            classes.insert(*net, identity);
        }
        Self { classes, numbers: numbers.into_iter().collect() }
    }

    /// What an endpoint's hook says; `None` if the near end is no endpoint of this node.
    fn decide(
        &self,
        desired: &Desired,
        cluster: &Cluster,
        direction: Direction,
        near: IpAddr,
        far: IpAddr,
        traffic: Traffic,
    ) -> Option<bool> {
        let endpoint = desired.endpoints.values().find(|endpoint| endpoint.addresses.contains(&near))?;
        let own_node = cluster.node_at(far).is_some_and(|node| *node.name == *"here");
        if own_node || endpoint.addresses.contains(&far) {
            return Some(true);
        }
        Some(endpoint.isolation(direction).is_none_or(|isolation| self.asks(isolation, far, traffic)))
    }

    fn asks(&self, isolation: &Isolation, peer: IpAddr, traffic: Traffic) -> bool {
        let identity = self
            .classes
            .iter()
            .filter(|(net, _)| net.contains(&peer))
            .max_by_key(|(net, _)| net.prefix_len())
            .map_or(Identity::ANY, |(_, identity)| *identity);
        entries(&isolation.set, &self.numbers).iter().any(|entry| {
            (entry.identity == identity || entry.identity == Identity::ANY) && matches(entry, traffic)
        })
    }
}

fn matches(entry: &Entry, traffic: Traffic) -> bool {
    match (entry.traffic, traffic) {
        (TrafficPrefix::All, _) => true,
        (TrafficPrefix::Protocol(number), Traffic::Port(protocol, _)) => protocol.number() == number,
        (TrafficPrefix::Ports { protocol: number, port, bits }, Traffic::Port(protocol, wanted)) => {
            let mask = u16::try_from((0xffff_0000_u32 >> bits) & 0xffff).expect("16 bits");
            protocol.number() == number && wanted.get() & mask == port & mask
        }
        _ => false,
    }
}

// Few names and few addresses, so that things meet.

const ADDRESSES: [&str; 12] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.130",
    "10.0.1.1",
    "10.0.1.2",
    "10.9.9.9",
    "fd00::1",
    "fd00::2",
    "fd00:1::1",
    // Nodes, and something outside.
    "192.168.0.1",
    "192.168.0.2",
    "203.0.113.7",
];
const BLOCKS: [&str; 9] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/16",
    "10.0.0.0/24",
    "10.0.0.128/25",
    "10.0.0.1/32",
    "192.168.0.0/31",
    "::/0",
    "fd00::/16",
];

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    let namespaces = prop::collection::vec((select(&["a", "b"][..]), labels(), default_deny()), 0..3);
    let pods = prop::collection::vec(pod(), 1..8);
    let policies = prop::collection::vec(policy().prop_map(Arc::new), 0..5);
    (namespaces, pods, policies).prop_map(|(namespaces, pods, policies)| {
        let mut cluster = Cluster { policies, ..Cluster::default() };
        for (name, mut labels, deny) in namespaces {
            labels.extend(
                deny.map(|value| (key(DEFAULT_DENY_LABEL), LabelValue::new(value).expect("a value"))),
            );
            cluster.add_namespace(Namespace::new(name, labels));
        }
        for (number, (mut pod, namespace)) in pods.into_iter().enumerate() {
            pod.name = WorkloadName::new(namespace, WorkloadKind::Pod, format!("pod-{number}"));
            cluster.pods.push(pod);
        }
        for (name, address) in [("here", "192.168.0.1"), ("there", "192.168.0.2")] {
            let addresses = vec![address.parse().expect("an address")];
            cluster.nodes.push(Node { name: name.into(), addresses, pod_cidrs: vec![] });
        }
        cluster
    })
}

fn default_deny() -> impl Strategy<Value = Option<&'static str>> {
    select(&[None, None, None, Some("ingress"), Some("egress"), Some("all")][..])
}

fn pod() -> impl Strategy<Value = (Pod, &'static str)> {
    let addresses = subsequence(ADDRESSES[..9].to_vec(), 1..3);
    let ports = prop::collection::vec((select(&["http", "dns"][..]), protocol(), select(&PORTS[..])), 0..4);
    let rest =
        (select(&["here", "here", "there"][..]), 0..10_u8, select(&[None, Some("2026-01-01T00:00:00Z")][..]));
    (labels(), addresses, ports, rest, select(&["a", "b"][..])).prop_map(
        |(labels, addresses, ports, (node, special, created), namespace)| {
            let mut pod = Pod::new(WorkloadName::new(namespace, WorkloadKind::Pod, "x"), labels);
            pod.addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
            pod.ports = ports
                .into_iter()
                .map(|(name, protocol, port)| ContainerPort {
                    name: PortName::new(name).ok(),
                    protocol,
                    port: NonZeroU16::new(port).expect("not 0"),
                })
                .collect();
            pod.node = Some(node.into());
            pod.finished = special == 0;
            pod.host_network = special == 1;
            if pod.host_network {
                let address = if node == "here" { "192.168.0.1" } else { "192.168.0.2" };
                pod.addresses = vec![address.parse().expect("an address")];
            }
            pod.created = created.map(Into::into);
            (pod, namespace)
        },
    )
}

fn policy() -> impl Strategy<Value = NetworkPolicy> {
    let rules = || prop::option::of(prop::collection::vec(rule(), 0..3));
    (select(&["a", "b"][..]), selector(), rules(), rules(), any::<u32>()).prop_map(
        |(namespace, pod_selector, ingress, egress, number)| NetworkPolicy {
            name: ObjectName::new(namespace, format!("policy-{number}")),
            pod_selector,
            ingress,
            egress,
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let peers = prop_oneof![
        1 => Just(Peers::All),
        4 => prop::collection::vec(peer(), 1..3).prop_map(Peers::Only),
    ];
    let ports = prop_oneof![
        1 => Just(Ports::All),
        3 => prop::collection::vec(port(), 1..3).prop_map(Ports::Only),
    ];
    (peers, ports).prop_map(|(peers, ports)| Rule { peers, ports })
}

fn peer() -> impl Strategy<Value = Peer> {
    let namespaces = prop_oneof![
        Just(PodNamespaces::Own),
        selector().prop_map(PodNamespaces::Selected),
        select(&["a", "b"][..]).prop_map(|name| {
            let value = LabelValue::new(name).expect("a value");
            PodNamespaces::Selected(LabelSelector::new([Requirement::equals(key(METADATA_NAME), value)]))
        }),
    ];
    let block = (select(&BLOCKS[..]), subsequence(BLOCKS.to_vec(), 0..4)).prop_map(|(cidr, except)| {
        let cidr: IpNet = cidr.parse().expect("a block");
        let inside = |net: &IpNet| {
            net.addr().is_ipv4() == cidr.addr().is_ipv4()
                && cidr.contains(net)
                && net.prefix_len() > cidr.prefix_len()
        };
        let except = except.iter().map(|net| net.parse().expect("a block")).filter(inside);
        Peer::Block(IpBlock::new(cidr, except).expect("exceptions are inside"))
    });
    prop_oneof![
        (namespaces, selector()).prop_map(|(namespaces, pods)| Peer::Pods { namespaces, pods }),
        block,
    ]
}

const PORTS: [u16; 6] = [53, 80, 81, 443, 8080, 65535];

fn port() -> impl Strategy<Value = PortMatch> {
    let number = |port| NonZeroU16::new(port).expect("not 0");
    prop_oneof![
        protocol().prop_map(PortMatch::Every),
        (protocol(), select(&PORTS[..]))
            .prop_map(move |(protocol, port)| PortMatch::number(protocol, number(port))),
        (protocol(), 1..=8081_u16, 0..9000_u16).prop_map(move |(protocol, first, more)| {
            PortMatch::range(protocol, number(first), number(first.saturating_add(more)))
                .expect("not inverted")
        }),
        (protocol(), select(&["http", "dns", "none"][..]))
            .prop_map(|(protocol, name)| PortMatch::Named(protocol, PortName::new(name).expect("a name"))),
    ]
}

pub(crate) fn flow() -> impl Strategy<Value = (IpAddr, IpAddr, Traffic)> {
    let address =
        || select(&ADDRESSES[..]).prop_map(|address| address.parse::<IpAddr>().expect("an address"));
    let traffic = prop_oneof![
        6 => (protocol(), select(&PORTS[..]))
            .prop_map(|(protocol, port)| Traffic::port(protocol, port.into()).expect("a port")),
        1 => Just(Traffic::Icmp),
        1 => Just(Traffic::Other(47)),
    ];
    (address(), address(), traffic)
        .prop_filter("one family", |(source, destination, _)| source.is_ipv4() == destination.is_ipv4())
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(&[Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Sctp][..])
}

fn labels() -> impl Strategy<Value = Labels> {
    subsequence(vec![("app", "x"), ("app", "y"), ("tier", "db"), ("tier", "")], 0..3).prop_map(|pairs| {
        pairs.into_iter().map(|(name, value)| (key(name), LabelValue::new(value).expect("a value"))).collect()
    })
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let requirement = (
        select(&["app", "tier"][..]),
        select(&["In", "In", "NotIn", "Exists", "DoesNotExist"][..]),
        subsequence(vec!["x", "y", "db", ""], 1..3),
    )
        .prop_map(|(name, operator, values)| {
            let values = values.into_iter().map(|value| LabelValue::new(value).expect("a value"));
            let values = values.take(if operator.ends_with("In") { 9 } else { 0 });
            Requirement::new(key(name), operator, values).expect("a requirement")
        });
    prop::collection::vec(requirement, 0..2).prop_map(LabelSelector::new)
}

fn key(name: &str) -> LabelKey {
    LabelKey::new(name).expect("a key")
}
