//! The objects of a scenario as a cluster takes them.

use std::collections::BTreeMap;

use netpol_tests::cluster::{Cluster, PodObject, ServiceObject, TargetPort};
use netpol_tests::probe::server::Transport;
use serde_json::{Value, json};

/// What every object that is made here carries.
pub(crate) const LABEL: &str = "netpol-e2e";

/// All objects but policies, the pods on these nodes. Every pod serves the ports that it declares.
pub(crate) fn of(cluster: &Cluster, placed: &BTreeMap<String, String>, image: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    for (name, labels) in cluster.namespaces.iter().filter(|(name, _)| *name != "default") {
        let mut labels = labels.clone();
        labels.insert(LABEL.into(), "true".into());
        objects.push(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}),
        );
    }
    objects.extend(cluster.pods.iter().map(|(key, object)| pod(object, &placed[key], image)));
    objects.extend(cluster.services.values().map(service));
    objects
}

/// A pod that shares its node's network: what it opens comes from the node itself.
pub(crate) fn host_pod(node: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": host_pod_name(node), "namespace": "default", "labels": {LABEL: "true"}},
        "spec": {
            "nodeName": node, "hostNetwork": true, "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "shell", "image": image, "args": ["pause"]}],
        },
    })
}

/// Its name.
pub(crate) fn host_pod_name(node: &str) -> String {
    format!("{LABEL}-host-{node}")
}

fn pod(pod: &PodObject, node: &str, image: &str) -> Value {
    let mut labels = pod.labels.clone();
    labels.insert(LABEL.into(), "true".into());
    let mut containers = pod
        .ports
        .iter()
        .enumerate()
        .map(|(index, port)| {
            let argument = match port.transport {
                Transport::Tcp => [format!("--http-port={}", port.number), "--udp-port=-1".into()],
                // It always has a port for HTTP, too: one that nobody asks.
                Transport::Udp => {
                    [format!("--http-port={}", 50_000 + index), format!("--udp-port={}", port.number)]
                }
                Transport::Sctp => {
                    [format!("--http-port={}", 50_000 + index), format!("--sctp-port={}", port.number)]
                }
            };
            let mut declared =
                json!({"containerPort": port.number, "protocol": port.transport.to_string().to_uppercase()});
            if let Some(name) = &port.name {
                declared["name"] = json!(name);
            }
            json!({
                "name": format!("port-{index}"), "image": image,
                "args": ["netexec", argument[0], argument[1]], "ports": [declared],
            })
        })
        .collect::<Vec<_>>();
    if containers.is_empty() {
        containers.push(json!({"name": "shell", "image": image, "args": ["pause"]}));
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": labels},
        "spec": {
            "nodeName": node, "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": false,
            "containers": containers,
        },
    })
}

fn service(service: &ServiceObject) -> Value {
    let ports = service.ports.iter().map(|port| {
        let mut declared = json!({
            "name": format!("port-{}", port.number),
            "protocol": port.transport.to_string().to_uppercase(),
            "port": port.number,
            "targetPort": match &port.target {
                TargetPort::Number(number) => json!(number),
                TargetPort::Name(name) => json!(name),
            },
        });
        if let Some(number) = port.node_port {
            declared["nodePort"] = json!(number);
        }
        declared
    });
    let outside = service.ports.iter().any(|port| port.node_port.is_some());
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": service.name, "namespace": service.namespace, "labels": {LABEL: "true"}},
        "spec": {
            "type": if outside { "NodePort" } else { "ClusterIP" },
            "selector": service.selector,
            "ports": ports.collect::<Vec<_>>(),
        },
    })
}
