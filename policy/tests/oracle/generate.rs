//! Random clusters as the JSON that the API server would give.
//!
//! Everything comes from small pools, so that selectors, blocks and ports often meet, and often just miss.

use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

const NAMESPACES: [&str; 3] = ["one", "two", "three"];
const KEYS: [&str; 3] = ["app", "tier", "example.org/zone"];
const VALUES: [&str; 4] = ["a", "b", "c", ""];
const PORT_NAMES: [&str; 3] = ["web", "db", "dns"];
const PORTS: [u16; 6] = [1, 53, 80, 443, 8080, 65535];
/// Last ports of ranges; each of them and its neighbour are asked for.
const RANGE_ENDS: [u16; 6] = [1, 79, 80, 443, 8079, 65534];
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
const BLOCKS: [(&str, &[&str]); 9] = [
    ("0.0.0.0/0", &["10.0.0.0/8", "10.0.1.0/24", "10.0.0.2/32", "203.0.113.0/24"]),
    ("10.0.0.0/16", &["10.0.0.0/24", "10.0.1.3/32", "10.0.0.0/30"]),
    ("10.0.1.9/24", &["10.0.1.0/29", "10.0.1.4/30"]),
    ("10.0.0.2/32", &[]),
    ("203.0.113.0/24", &["203.0.113.128/25", "203.0.113.7/32"]),
    ("::/0", &["fd00::/16", "fd00::1:0/112", "2001:db8::/32"]),
    ("fd00::/64", &["fd00::1:0/112", "fd00::2/128"]),
    ("fd00::2/128", &[]),
    ("2001:db8::/32", &["2001:db8:1::/48"]),
];
/// Nodes' addresses and addresses outside; the first two are nodes'.
const NODES: [(&str, &str, &str); 2] =
    [("left", "192.168.0.1", "fd01::1"), ("right", "192.168.0.2", "fd01::2")];
pub(crate) const OUTSIDE: [&str; 6] =
    ["203.0.113.7", "203.0.113.200", "10.0.0.1", "10.0.1.200", "2001:db8::9", "fd00::1:9"];

/// The objects of a cluster; shown as manifests when a case fails.
#[derive(Clone)]
pub(crate) struct Objects(pub(crate) Vec<Value>);

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|object| write!(f, "\n---\n{object}"))
    }
}

pub(crate) fn objects() -> impl Strategy<Value = Objects> {
    let namespaces = subsequence(&NAMESPACES, 0..=3).prop_flat_map(|names| {
        let each: Vec<_> = names.into_iter().map(namespace).collect();
        each
    });
    let pods = vec(any::<prop::sample::Index>(), 2..6).prop_flat_map(|slots| {
        slots.iter().enumerate().map(|(i, slot)| pod(i, slot.index(4))).collect::<Vec<_>>()
    });
    let deployments = (0usize..2).prop_flat_map(|n| (0..n).map(deployment).collect::<Vec<_>>());
    let policies = (1usize..8).prop_flat_map(|n| (0..n).map(policy).collect::<Vec<_>>());
    let services = (0usize..5).prop_flat_map(|n| (0..n).map(service).collect::<Vec<_>>());
    let nodes = subsequence(&NODES, 0..=2).prop_map(|nodes| nodes.into_iter().map(node).collect::<Vec<_>>());
    (namespaces, pods, deployments, policies, services, nodes)
        .prop_map(|(a, b, c, d, e, f)| Objects([a, b, c, d, e, f].concat()))
}

fn namespace(name: &'static str) -> impl Strategy<Value = Value> {
    let deny = option::weighted(0.3, select(&["none", "ingress", "egress", "all"]));
    (labels(), deny).prop_map(move |(mut labels, deny)| {
        labels.extend(deny.map(|deny| ("netpol.dev/default-deny".to_owned(), json!(deny))));
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    })
}

fn node((name, four, six): (&str, &str, &str)) -> Value {
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": [
        {"type": "Hostname", "address": name},
        {"type": "InternalIP", "address": four},
        {"type": "InternalIP", "address": six},
    ]}})
}

/// A pod. Addresses come from few slots, so that two pods may have had the same one after each other.
fn pod(index: usize, slot: usize) -> impl Strategy<Value = Value> {
    let phase =
        prop_oneof![6 => Just("Running"), 1 => Just("Pending"), 1 => Just("Succeeded"), 1 => Just("Failed")];
    let families = prop_oneof![3 => Just((true, true)), 2 => Just((true, false)), 1 => Just((false, true)), 1 => Just((false, false))];
    let node = option::weighted(0.7, select(&NODES));
    (home(), labels(), containers(), phase, families, prop::bool::weighted(0.15), node, 0..6u32).prop_map(
        move |(namespace, labels, mut spec, phase, (four, six), host, node, shared)| {
            // Mostly an address of its own.
            let slot = if shared == 0 { slot } else { 10 + index };
            let (mut v4, mut v6) =
                (format!("10.0.{}.{}", slot % 2, slot + 2), format!("fd00::{}:{}", slot % 2, slot + 2));
            // On the host network a pod runs on a node, and its addresses are the node's.
            let node = if host { Some(node.unwrap_or(NODES[0])) } else { node };
            if host && let Some((_, four, six)) = node {
                (v4, v6) = (four.to_owned(), six.to_owned());
                spec["hostNetwork"] = json!(true);
            }
            if let Some((name, ..)) = node {
                spec["nodeName"] = json!(name);
            }
            let addresses = [four.then_some(v4), six.then_some(v6)];
            let addresses: Vec<_> = addresses.into_iter().flatten().map(|ip| json!({"ip": ip})).collect();
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "namespace": namespace, "name": format!("pod-{index}"), "labels": labels,
                    "creationTimestamp": format!("2024-05-0{}T10:00:00Z", 1 + (index * 5) % 7),
                },
                "spec": spec,
                "status": {"phase": phase, "podIPs": addresses},
            })
        },
    )
}

fn deployment(index: usize) -> impl Strategy<Value = Value> {
    (home(), labels(), containers()).prop_map(move |(namespace, labels, spec)| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"namespace": namespace, "name": format!("deployment-{index}"), "labels": {"app": "c"}},
            "spec": {"selector": {}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        })
    })
}

fn containers() -> impl Strategy<Value = Value> {
    let port = || {
        (option::weighted(0.8, select(&PORT_NAMES)), option::of(select(&PROTOCOLS)), select(&PORTS)).prop_map(
            |(name, protocol, number)| {
                let mut port = json!({"containerPort": number});
                insert(&mut port, "name", name.map(Value::from));
                insert(&mut port, "protocol", protocol.map(Value::from));
                port
            },
        )
    };
    let initial = option::weighted(0.3, (vec(port(), 1..3), any::<bool>()));
    (vec(vec(port(), 0..4), 1..3), initial).prop_map(|(containers, initial)| {
        let containers: Vec<_> =
            containers.into_iter().map(|ports| json!({"name": "c", "ports": ports})).collect();
        let mut spec = json!({"containers": containers});
        if let Some((ports, sidecar)) = initial {
            let mut container = json!({"name": "i", "ports": ports});
            insert(&mut container, "restartPolicy", sidecar.then(|| json!("Always")));
            spec["initContainers"] = json!([container]);
        }
        spec
    })
}

fn service(index: usize) -> impl Strategy<Value = Value> {
    let target = option::weighted(
        0.8,
        prop_oneof![select(&PORTS).prop_map(Value::from), select(&PORT_NAMES).prop_map(Value::from)],
    );
    let key = select(&KEYS[..2]);
    (home(), vec((key, select(&VALUES[..2])), 0..2), option::of(select(&PROTOCOLS)), select(&PORTS), target)
        .prop_map(move |(namespace, selector, protocol, number, target)| {
            let mut port = json!({"port": number});
            insert(&mut port, "protocol", protocol.map(Value::from));
            insert(&mut port, "targetPort", target);
            let selector: Map<_, _> = selector.into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect();
            json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"namespace": namespace, "name": format!("service-{index}")},
                "spec": {"selector": selector, "ports": [port]},
            })
        })
}

fn policy(index: usize) -> impl Strategy<Value = Value> {
    let types = prop_oneof![
        2 => Just(None),
        1 => Just(Some(json!([]))),
        1 => Just(Some(json!(null))),
        2 => Just(Some(json!(["Ingress"]))),
        2 => Just(Some(json!(["Egress"]))),
        3 => Just(Some(json!(["Ingress", "Egress"]))),
    ];
    (home(), absent_or(selector()), types, rules("from"), rules("to")).prop_map(
        move |(namespace, selector, types, ingress, egress)| {
            let mut spec = json!({});
            insert(&mut spec, "podSelector", selector);
            insert(&mut spec, "policyTypes", types);
            insert(&mut spec, "ingress", ingress);
            insert(&mut spec, "egress", egress);
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"namespace": namespace, "name": format!("policy-{index}")},
                "spec": spec,
            })
        },
    )
}

fn rules(peers: &'static str) -> impl Strategy<Value = Option<Value>> {
    let rule =
        (nothing_or(vec(peer(), 0..4)), nothing_or(vec(port(), 0..3))).prop_map(move |(who, ports)| {
            let mut rule = json!({});
            insert(&mut rule, peers, who);
            insert(&mut rule, "ports", ports);
            rule
        });
    nothing_or(vec(rule, 0..4))
}

fn peer() -> impl Strategy<Value = Value> {
    let block = select(&BLOCKS).prop_flat_map(|(cidr, inside)| {
        let most = inside.len().min(2);
        (subsequence(inside, 0..=most), any::<bool>()).prop_map(move |(except, empty)| {
            let mut block = json!({"cidr": cidr});
            insert(&mut block, "except", (empty || !except.is_empty()).then(|| json!(except)));
            json!({"ipBlock": block})
        })
    });
    prop_oneof![
        2 => selector().prop_map(|pods| json!({"podSelector": pods})),
        2 => selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces})),
        1 => selector().prop_map(|namespaces| json!({"namespaceSelector": namespaces, "podSelector": null})),
        3 => (selector(), selector()).prop_map(|(n, p)| json!({"namespaceSelector": n, "podSelector": p})),
        3 => block,
    ]
}

fn port() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        1 => Just((None, None)),
        1 => Just((Some(json!(null)), None)),
        2 => select(&PORT_NAMES).prop_map(|name| (Some(json!(name)), None)),
        2 => select(&PORTS).prop_map(|port| (Some(json!(port)), None)),
        2 => (select(&PORTS), select(&RANGE_ENDS))
            .prop_map(|(port, end)| (Some(json!(port)), Some(json!(port.max(end))))),
    ];
    (option::of(select(&PROTOCOLS)), number).prop_map(|(protocol, (port, end))| {
        let mut item = json!({});
        insert(&mut item, "protocol", protocol.map(Value::from));
        insert(&mut item, "port", port);
        insert(&mut item, "endPort", end);
        item
    })
}

fn selector() -> impl Strategy<Value = Value> {
    let expression = prop_oneof![
        (key(), select(&["In", "NotIn"]), subsequence(&VALUES, 1..3))
            .prop_map(|(key, operator, values)| json!({"key": key, "operator": operator, "values": values})),
        (key(), select(&["Exists", "DoesNotExist"]))
            .prop_map(|(key, operator)| json!({"key": key, "operator": operator})),
        select(&NAMESPACES).prop_map(
            |name| json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [name, "none"]})
        ),
    ];
    let pairs = vec((key(), select(&VALUES)), 1..3)
        .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect()));
    prop_oneof![
        3 => Just(json!({})),
        3 => pairs.clone().prop_map(|pairs| json!({"matchLabels": pairs})),
        3 => vec(expression.clone(), 0..3).prop_map(|list| json!({"matchExpressions": list})),
        1 => (pairs, expression).prop_map(|(p, e)| json!({"matchLabels": p, "matchExpressions": [e]})),
    ]
}

/// Where an object lives: mostly together.
fn home() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(NAMESPACES[0]), 2 => Just(NAMESPACES[1]), 1 => Just(NAMESPACES[2])]
}

fn key() -> impl Strategy<Value = &'static str> + Clone {
    select(&KEYS)
}

fn labels() -> impl Strategy<Value = Map<String, Value>> {
    vec((key(), select(&VALUES)), 0..4)
        .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), json!(v))).collect())
}

/// Not written, null, or a value.
fn absent_or(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![1 => Just(None), 1 => Just(Some(json!(null))), 12 => value.prop_map(Some)]
}

/// Not written, null, or a list, which may be empty.
fn nothing_or(list: impl Strategy<Value = Vec<Value>>) -> impl Strategy<Value = Option<Value>> {
    absent_or(list.prop_map(Value::Array))
}

fn insert(object: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[key] = value;
    }
}
