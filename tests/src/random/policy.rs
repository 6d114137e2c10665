//! A random policy: every form of selector, peer and port, valid for the API server.

use serde_json::{Map, Value, json};

use super::{KEYS, NAMESPACES, Rng, VALUES};

pub(super) fn random(rng: &mut Rng, number: usize) -> Value {
    let mut spec = Map::new();
    spec.insert("podSelector".into(), selector(rng));
    match rng.below(5) {
        0 => {}
        1 => drop(spec.insert("policyTypes".into(), json!(["Egress"]))),
        2 => drop(spec.insert("policyTypes".into(), json!(["Ingress", "Egress"]))),
        _ => drop(spec.insert("policyTypes".into(), json!(["Ingress"]))),
    }
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        match rng.below(8) {
            0 => {}
            1 => drop(spec.insert(direction.into(), json!([]))),
            _ => {
                let rules = (0..=rng.below(3)).map(|_| rule(rng, peers)).collect::<Vec<_>>();
                spec.insert(direction.into(), json!(rules));
            }
        }
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": format!("policy-{number}"), "namespace": rng.pick(&NAMESPACES) },
        "spec": spec,
    })
}

fn rule(rng: &mut Rng, peers: &str) -> Value {
    let mut rule = Map::new();
    match rng.below(8) {
        0 => {}
        1 => drop(rule.insert(peers.into(), json!([]))),
        _ => {
            let list = (0..=rng.below(2)).map(|_| peer(rng)).collect::<Vec<_>>();
            rule.insert(peers.into(), json!(list));
        }
    }
    match rng.below(4) {
        0 => {}
        1 => drop(rule.insert("ports".into(), json!([]))),
        _ => {
            let list = (0..=rng.below(3)).map(|_| port(rng)).collect::<Vec<_>>();
            rule.insert("ports".into(), json!(list));
        }
    }
    Value::Object(rule)
}

fn peer(rng: &mut Rng) -> Value {
    match rng.below(7) {
        0 | 1 => json!({ "podSelector": selector(rng) }),
        2 | 3 => json!({ "namespaceSelector": namespace_selector(rng) }),
        4 => json!({ "namespaceSelector": namespace_selector(rng), "podSelector": selector(rng) }),
        _ => json!({ "ipBlock": block(rng) }),
    }
}

fn port(rng: &mut Rng) -> Value {
    match rng.below(9) {
        0 => json!({}),
        1 => json!({ "protocol": rng.pick(&["TCP", "UDP", "SCTP"]) }),
        2 => json!({ "port": "web" }),
        3 => json!({ "protocol": "UDP", "port": "dns" }),
        // A name that the destination has for another protocol only.
        4 => json!({ "protocol": "TCP", "port": "dns" }),
        5 => json!({ "protocol": "TCP", "port": 60 + rng.below(22), "endPort": 81 + rng.below(1000) }),
        6 => json!({ "protocol": "UDP", "port": 53 }),
        7 => json!({ "protocol": "SCTP", "port": 9 }),
        _ => json!({ "protocol": "TCP", "port": 80 + rng.below(2) }),
    }
}

fn selector(rng: &mut Rng) -> Value {
    let (key, value) = (*rng.pick(&KEYS), *rng.pick(&VALUES));
    match rng.below(7) {
        0 => json!({}),
        1 => json!({ "matchExpressions": [{ "key": key, "operator": "In", "values": values(rng) }] }),
        2 => json!({ "matchExpressions": [{ "key": key, "operator": "NotIn", "values": values(rng) }] }),
        3 => json!({ "matchExpressions": [{ "key": key, "operator": "Exists" }] }),
        4 => json!({ "matchExpressions": [{ "key": key, "operator": "DoesNotExist" }] }),
        5 => json!({
            "matchLabels": { key: value },
            "matchExpressions": [{ "key": rng.pick(&KEYS), "operator": "Exists" }],
        }),
        _ => json!({ "matchLabels": { key: value } }),
    }
}

fn namespace_selector(rng: &mut Rng) -> Value {
    if rng.chance(1, 3) {
        return json!({ "matchLabels": { "kubernetes.io/metadata.name": rng.pick(&NAMESPACES) } });
    }
    selector(rng)
}

fn values(rng: &mut Rng) -> Vec<&'static str> {
    let first = rng.below(VALUES.len());
    let count = 1 + rng.below(2);
    (0..count).map(|offset| VALUES[(first + offset) % VALUES.len()]).collect()
}

/// Blocks around what exists in a lab: everything, a node's pods, single pods, the hosts outside.
fn block(rng: &mut Rng) -> Value {
    const BLOCKS: [(&str, &[&str]); 10] = [
        ("0.0.0.0/0", &["10.244.0.0/16", "10.244.1.0/24", "203.0.113.10/32"]),
        ("::/0", &["fd00:10:244::/48", "fd00:10:244:2::/64", "2001:db8:71::a/128"]),
        ("10.244.0.0/16", &["10.244.1.0/24", "10.244.2.3/32", "10.244.2.4/31"]),
        ("fd00:10:244::/48", &["fd00:10:244:1::/64", "fd00:10:244:2::3/128"]),
        ("10.244.1.0/29", &["10.244.1.2/32", "10.244.1.4/30"]),
        ("fd00:10:244:1::/125", &["fd00:10:244:1::2/128"]),
        ("10.244.2.3/32", &[]),
        ("203.0.113.0/24", &["203.0.113.10/31", "203.0.113.12/32"]),
        ("2001:db8:71::/64", &["2001:db8:71::a/127", "2001:db8:71::c/128"]),
        ("203.0.113.11/32", &[]),
    ];
    let (cidr, exceptions) = rng.pick(&BLOCKS);
    let except = exceptions.iter().filter(|_| rng.chance(1, 2)).collect::<Vec<_>>();
    if except.is_empty() { json!({ "cidr": cidr }) } else { json!({ "cidr": cidr, "except": except }) }
}
