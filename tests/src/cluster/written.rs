//! The cluster's objects as the API server would show them, with nodes and addresses, for the programs under test.

use serde_json::{Value, json};

use super::layout::{Layout, PodPlace};
use super::{Cluster, PodObject, ServiceObject, TargetPort};
use crate::lab::address::{Family, Pair};

/// All objects of a running cluster as one `List`.
#[must_use]
pub fn list(cluster: &Cluster, layout: &Layout) -> Value {
    let mut items = Vec::new();
    items.extend(layout.nodes.iter().enumerate().map(|(node, name)| {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": { "name": name },
            "spec": { "podCIDR": layout.pod_ranges(node)[0], "podCIDRs": layout.pod_ranges(node) },
            "status": { "addresses": layout.node_address(node).both().map(|a| json!({ "type": "InternalIP", "address": a })) },
        })
    }));
    items.extend(cluster.namespaces.iter().map(|(name, labels)| {
        let mut labels = labels.clone();
        labels.insert("kubernetes.io/metadata.name".into(), name.clone());
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
    }));
    items.extend(cluster.pods.iter().map(|(key, object)| pod(object, layout.pods[key], layout)));
    for (key, object) in &cluster.services {
        items.push(service(object, layout.services[key]));
        items.extend(Family::BOTH.map(|family| endpoint_slice(cluster, object, layout, family)));
    }
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn pod(object: &PodObject, place: PodPlace, layout: &Layout) -> Value {
    let ports = object.ports.iter().map(|port| {
        let mut declared =
            json!({ "containerPort": port.number, "protocol": port.transport.to_string().to_uppercase() });
        if let Some(name) = &port.name {
            declared["name"] = json!(name);
        }
        declared
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": object.name, "namespace": object.namespace, "labels": object.labels },
        "spec": {
            "nodeName": layout.nodes[place.node],
            "containers": [{ "name": "main", "image": "registry.k8s.io/pause:3.10", "ports": ports.collect::<Vec<_>>() }],
        },
        "status": {
            "phase": "Running",
            "hostIP": layout.node_address(place.node).v4,
            "podIP": place.address.v4,
            "podIPs": place.address.both().map(|ip| json!({ "ip": ip })),
        },
    })
}

fn service(object: &ServiceObject, address: Pair) -> Value {
    let ports = object.ports.iter().map(|port| {
        let mut declared = json!({
            "name": port_name(port.number),
            "protocol": port.transport.to_string().to_uppercase(),
            "port": port.number,
            "targetPort": match &port.target {
                TargetPort::Number(number) => json!(number),
                TargetPort::Name(name) => json!(name),
            },
        });
        if let Some(node_port) = port.node_port {
            declared["nodePort"] = json!(node_port);
        }
        declared
    });
    let external = object.ports.iter().any(|port| port.node_port.is_some());
    let policy = |local: bool| if local { "Local" } else { "Cluster" };
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": object.name, "namespace": object.namespace },
        "spec": {
            "type": if external { "NodePort" } else { "ClusterIP" },
            "clusterIP": address.v4,
            "clusterIPs": address.both(),
            "ipFamilies": ["IPv4", "IPv6"],
            "ipFamilyPolicy": "RequireDualStack",
            "selector": object.selector,
            "ports": ports.collect::<Vec<_>>(),
            "sessionAffinity": if object.choice.affinity.is_some() { "ClientIP" } else { "None" },
            "internalTrafficPolicy": policy(object.choice.internal_local),
        },
    });
    if external {
        service["spec"]["externalTrafficPolicy"] = json!(policy(object.choice.external_local));
    }
    service
}

fn endpoint_slice(cluster: &Cluster, object: &ServiceObject, layout: &Layout, family: Family) -> Value {
    // A named target port may differ between pods; real clusters then have a slice per number. Nobody here needs that.
    let first = cluster.pods_behind(object).next().map(|(_, pod)| pod);
    let ports = object.ports.iter().filter_map(|port| {
        let number = first?.target(&port.target, port.transport)?;
        let protocol = port.transport.to_string().to_uppercase();
        Some(json!({ "name": port_name(port.number), "protocol": protocol, "port": number }))
    });
    let endpoints = cluster.pods_behind(object).map(|(key, pod)| {
        let place = layout.pods[key];
        json!({
            "addresses": [place.address.of(family)],
            "conditions": { "ready": true, "serving": true, "terminating": false },
            "nodeName": layout.nodes[place.node],
            "targetRef": { "kind": "Pod", "namespace": pod.namespace, "name": pod.name },
        })
    });
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-{}", object.name, family.to_string().to_lowercase()),
            "namespace": object.namespace,
            "labels": { "kubernetes.io/service-name": object.name },
        },
        "addressType": family.to_string(),
        "ports": ports.collect::<Vec<_>>(),
        "endpoints": endpoints.collect::<Vec<_>>(),
    })
}

fn port_name(number: u16) -> String {
    format!("port-{number}")
}
