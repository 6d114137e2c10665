//! The objects of a large cluster, and the policies that are reviewed beside them.

use serde_json::{Value, json};

/// All objects are in so many.
pub(crate) const NAMESPACES: usize = 100;

/// Different reviews.
const REVIEWS: usize = 1000;

/// The name of a namespace by its number.
pub(crate) fn namespace(number: usize) -> String {
    format!("team-{:02}", number % NAMESPACES)
}

/// Reviews of policies between applications that are there: no two are alike.
pub(crate) fn reviews() -> Vec<String> {
    (0..REVIEWS).map(review).collect()
}

fn review(number: usize) -> String {
    let policy = reviewed(number);
    let (name, namespace) = (&policy["metadata"]["name"], &policy["metadata"]["namespace"]);
    let kind = json!({"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"});
    let resource = json!({"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"});
    json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": format!("705ab4f5-6393-11e8-b7cc-{number:012}"), "kind": kind, "resource": resource,
            "requestKind": kind, "requestResource": resource, "name": name, "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": format!("user-{}", number % 37), "groups": ["system:authenticated"]},
            "object": policy, "oldObject": null, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    })
    .to_string()
}

/// The pod of this number.
pub(crate) fn pod(number: usize) -> Value {
    let app = app(number / NAMESPACES);
    json!({
        "metadata": {"name": format!("{app}-5d4f8c7b9-{number}"), "labels": {"app": app, "tier": "back", "pod-template-hash": "5d4f8c7b9"}},
        "spec": {"containers": [{"name": "main", "image": "example.com/app", "ports": [{"name": "http", "containerPort": 8080}]}]},
    })
}

/// Ten applications in each namespace, with as many pods each.
fn app(number: usize) -> String {
    format!("app-{}", number % 10)
}

/// One application of a namespace is reached by another one, and by one of the next namespace; it asks for names.
pub(crate) fn policy(name: &str, number: usize) -> Value {
    let (this, other, next) = (app(number / NAMESPACES), app(number / NAMESPACES + 1), namespace(number + 1));
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": this}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{
                "from": [
                    {"podSelector": {"matchLabels": {"app": other}}},
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": next}},
                        "podSelector": {"matchLabels": {"app": other}},
                    },
                ],
                "ports": [{"protocol": "TCP", "port": 8080}],
            }],
            "egress": [
                {"to": [{"podSelector": {"matchLabels": {"app": other}}}], "ports": [{"protocol": "TCP", "port": 8080}]},
                {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                 "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]},
            ],
        },
    })
}

/// A policy that is reviewed: as [`policy`], between other applications each time, and some with a named port, a further
/// label, a further peer or addresses outside.
fn reviewed(number: usize) -> Value {
    let (place, apps) = (number * 7, [number, number + 1 + number / 10 % 9, number + 2 + number / 90 % 8]);
    let [this, other, third] = apps.map(app);
    let (own, next) = (namespace(place), namespace(place + 1 + number / 100));
    let port = if number.is_multiple_of(3) { json!("http") } else { json!(8080) };
    let ports = json!([{"protocol": "TCP", "port": port}]);
    let mut labels = json!({"app": this});
    if number % 5 == 1 {
        labels["tier"] = json!("back");
    }
    let pods = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let mut elsewhere = pods(&other);
    elsewhere["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": next}});
    let mut from = vec![pods(&other), elsewhere];
    if number % 4 == 2 {
        from.push(pods(&third));
    }
    if number % 16 == 7 {
        from.push(json!({"ipBlock": {"cidr": format!("192.0.{}.{}/32", number / 256, number % 256)}}));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": format!("{this}-from-{other}-{number}"), "namespace": own},
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": from, "ports": ports}],
            "egress": [
                {"to": [pods(&other)], "ports": ports},
                {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                 "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]},
            ],
        },
    })
}
