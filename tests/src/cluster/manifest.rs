//! From manifests to objects.

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::{Cluster, ContainerPort, Labels, PodObject, ServiceObject, ServicePort, TargetPort};
use crate::lab::services::Choice;
use crate::probe::server::Transport;

/// The documents of a YAML text.
///
/// # Errors
/// When it isn't YAML.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    Ok(serde_saphyr::from_multiple::<Value>(text)?)
}

/// Adds one manifest to a cluster.
pub(super) fn add(cluster: &mut Cluster, document: Value) -> Result<()> {
    let head: Head =
        serde_json::from_value(document.clone()).context("a manifest needs kind and metadata.name")?;
    let of = || format!("{} {}", head.kind, head.metadata.name);
    match head.kind.as_str() {
        "Namespace" => {
            cluster.namespaces.insert(head.metadata.name.clone(), head.metadata.labels);
        }
        "Pod" => {
            let pod: WithSpec<PodSpec> = serde_json::from_value(document).with_context(of)?;
            insert(
                cluster,
                &head.metadata,
                head.metadata.name.clone(),
                head.metadata.labels.clone(),
                pod.spec,
            );
        }
        "Deployment" | "StatefulSet" | "ReplicaSet" => {
            let workload: WithSpec<WorkloadSpec> = serde_json::from_value(document).with_context(of)?;
            let template = workload.spec.template;
            for replica in 0..workload.spec.replicas.unwrap_or(1) {
                let name = format!("{}-{replica}", head.metadata.name);
                insert(
                    cluster,
                    &head.metadata,
                    name,
                    template.metadata.labels.clone(),
                    template.spec.clone(),
                );
            }
        }
        "Service" => {
            let service: WithSpec<ServiceSpec> = serde_json::from_value(document).with_context(of)?;
            let choice = service.spec.choice();
            let service = ServiceObject {
                namespace: head.metadata.namespace.clone(),
                name: head.metadata.name.clone(),
                selector: service.spec.selector,
                ports: service.spec.ports.into_iter().map(ServicePort::from).collect(),
                choice,
            };
            cluster.services.insert(service.key(), service);
        }
        "List" => bail!("a harness manifest is a stream of documents, not a List"),
        _ => {}
    }
    Ok(())
}

fn insert(cluster: &mut Cluster, owner: &Metadata, name: String, labels: Labels, spec: PodSpec) {
    let ports = spec.containers.into_iter().flat_map(|container| container.ports);
    let pod = PodObject {
        namespace: owner.namespace.clone(),
        name,
        labels,
        ports: ports
            .map(|port| ContainerPort {
                name: port.name,
                transport: port.protocol.into(),
                number: port.container_port,
            })
            .collect(),
        node: spec.node_name,
    };
    cluster.pods.insert(pod.key(), pod);
}

#[derive(Deserialize)]
struct Head {
    kind: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default = "default_namespace")]
    namespace: String,
    #[serde(default)]
    labels: Labels,
}

fn default_namespace() -> String {
    "default".into()
}

#[derive(Deserialize)]
struct WithSpec<S> {
    spec: S,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Deserialize, Clone)]
struct Container {
    #[serde(default)]
    ports: Vec<DeclaredPort>,
}

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct DeclaredPort {
    name: Option<String>,
    container_port: u16,
    #[serde(default)]
    protocol: Protocol,
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "UPPERCASE")]
enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

impl From<Protocol> for Transport {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
            Protocol::Sctp => Self::Sctp,
        }
    }
}

#[derive(Deserialize)]
struct WorkloadSpec {
    replicas: Option<u32>,
    template: Template,
}

#[derive(Deserialize)]
struct Template {
    metadata: Metadata,
    spec: PodSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(default)]
    selector: Labels,
    #[serde(default)]
    ports: Vec<DeclaredServicePort>,
    session_affinity: Option<String>,
    internal_traffic_policy: Option<String>,
    external_traffic_policy: Option<String>,
}

impl ServiceSpec {
    fn choice(&self) -> Choice {
        let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
        Choice {
            // The API's default: three hours.
            affinity: (self.session_affinity.as_deref() == Some("ClientIP")).then_some(10_800),
            internal_local: local(&self.internal_traffic_policy),
            external_local: local(&self.external_traffic_policy),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeclaredServicePort {
    port: u16,
    target_port: Option<IntOrString>,
    node_port: Option<u16>,
    #[serde(default)]
    protocol: Protocol,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrString {
    Int(u16),
    String(String),
}

impl From<DeclaredServicePort> for ServicePort {
    fn from(port: DeclaredServicePort) -> Self {
        let target = match port.target_port {
            None => TargetPort::Number(port.port),
            Some(IntOrString::Int(number)) => TargetPort::Number(number),
            Some(IntOrString::String(name)) => TargetPort::Name(name),
        };
        Self { transport: port.protocol.into(), number: port.port, target, node_port: port.node_port }
    }
}
