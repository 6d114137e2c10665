//! The kinds that are watched, and which of their fields say something.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::world::Kind;

/// A kind as the API server has it.
pub(super) trait Watched: Clone + Debug + Send + Sync + 'static {
    const KIND: Kind;
    const GROUP: &'static str;
    const PLURAL: &'static str;
    type Spec: Clone + Debug + Send + Sync + Serialize + DeserializeOwned;
    type Status: Clone + Debug + Send + Sync + Serialize + DeserializeOwned;
}

macro_rules! watched {
    ($($name:ident: $kind:ident, $group:literal, $plural:literal, $spec:ty, $status:ty;)*) => {
        $(
            #[derive(Clone, Debug)]
            pub(super) struct $name;

            impl Watched for $name {
                const KIND: Kind = Kind::$kind;
                const GROUP: &'static str = $group;
                const PLURAL: &'static str = $plural;
                type Spec = $spec;
                type Status = $status;
            }
        )*
    };
}

watched! {
    Namespaces: Namespace, "", "namespaces", Nothing, Nothing;
    Nodes: Node, "", "nodes", NodeSpec, NodeStatus;
    Pods: Pod, "", "pods", PodSpec, PodStatus;
    Services: Service, "", "services", Value, Value;
    EndpointSlices: EndpointSlice, "discovery.k8s.io", "endpointslices", Nothing, Nothing;
    NetworkPolicies: NetworkPolicy, "networking.k8s.io", "networkpolicies", Value, Nothing;
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Nothing {}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NodeSpec {
    #[serde(rename = "podCIDR", skip_serializing_if = "Option::is_none")]
    pod_cidr: Option<Value>,
    #[serde(rename = "podCIDRs", skip_serializing_if = "Option::is_none")]
    pod_cidrs: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NodeStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    node_name: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_network: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<Vec<Container>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init_containers: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_policy: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PodStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<Value>,
    #[serde(rename = "podIP", skip_serializing_if = "Option::is_none")]
    pod_ip: Option<Value>,
    #[serde(rename = "podIPs", skip_serializing_if = "Option::is_none")]
    pod_ips: Option<Value>,
}
