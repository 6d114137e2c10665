//! Pods and the templates that they come from.

use crate::model::{ContainerPort, Labels, Pod, PortName, Protocol, WorkloadKind, WorkloadName, port_number};
use crate::source::problem::ProblemKind;
use crate::syntax::{Node, Value};

use super::address::parse_address;
use super::context::Context;
use super::metadata::{Metadata, labels_of, present};
use super::path::Path;

/// A Pod.
pub(in crate::source) fn pod(context: &mut Context, node: Node<'_>, metadata: &Metadata) -> Pod {
    let name = WorkloadName::new(metadata.namespace.clone(), WorkloadKind::Pod, metadata.name.clone());
    let mut pod = Pod::new(name, metadata.labels.clone());
    pod.created = metadata.created.clone();
    if let Some(spec) = node.get("spec") {
        pod_spec(context, &mut pod, spec, &Path::ROOT.field("spec"));
    }
    if let Some(status) = node.get("status") {
        pod.finished =
            status.get("phase").and_then(Node::as_str).is_some_and(|p| matches!(p, "Succeeded" | "Failed"));
        let listed = status.get("podIPs").into_iter().flat_map(Node::items);
        let listed = listed.filter_map(|item| item.value.get("ip")?.as_str());
        let first = status.get("podIP").and_then(Node::as_str);
        for address in listed.chain(first).filter_map(parse_address) {
            if !pod.addresses.contains(&address) {
                pod.addresses.push(address);
            }
        }
    }
    pod
}

/// The pods of a workload. `None` with a problem when it has no template.
pub(in crate::source) fn template(
    context: &mut Context,
    node: Node<'_>,
    kind: WorkloadKind,
    metadata: &Metadata,
) -> Option<Pod> {
    let path = Path::ROOT.field("spec");
    let (job, job_spec) = (path.field("jobTemplate"), "spec");
    let job = job.field(job_spec);
    let (holder, path) = match kind {
        WorkloadKind::CronJob => {
            (node.get("spec").and_then(|spec| spec.get("jobTemplate")?.get(job_spec)), &job)
        }
        _ => (node.get("spec"), &path),
    };
    let path = path.field("template");
    let Some(template) = holder.and_then(|holder| holder.get("template")).filter(|node| !node.is_null())
    else {
        let message = format!("a {} needs a pod template", kind.as_str());
        context.problem(ProblemKind::WrongType, first_key(node), &path, message);
        return None;
    };
    let labels = match template.entry("metadata") {
        Some(meta) if !meta.value.is_null() => {
            let meta_path = path.field("metadata");
            labels_of(context, meta.value.entry("labels"), &meta_path.field("labels"))
        }
        _ => Labels::new(),
    };
    let name = WorkloadName::new(metadata.namespace.clone(), kind, metadata.name.clone());
    let mut pod = Pod::new(name, labels);
    let unseen = metadata.labels.iter().filter(|(key, value)| pod.labels.get(*key) != Some(*value));
    pod.unseen_labels = unseen.map(|(key, value)| (key.clone(), value.clone())).collect();
    if let Some(spec) = template.get("spec") {
        pod_spec(context, &mut pod, spec, &path.field("spec"));
    }
    // A template's pods are not bound to one node, whatever a copied manifest says.
    pod.node = None;
    Some(pod)
}

fn pod_spec(context: &mut Context, pod: &mut Pod, spec: Node<'_>, path: &Path<'_>) {
    pod.host_network = spec.get("hostNetwork").and_then(Node::value) == Some(Value::Bool(true));
    pod.node = spec.get("nodeName").and_then(Node::as_str).filter(|name| !name.is_empty()).map(Into::into);
    for (field, every) in [("containers", true), ("initContainers", false)] {
        let Some(list) = spec.get(field) else { continue };
        let path = path.field(field);
        for (index, item) in list.items().enumerate() {
            let container = item.value;
            // An init container that restarts is a sidecar: it listens while the others run.
            let sidecar = || container.get("restartPolicy").and_then(Node::as_str) == Some("Always");
            if every || sidecar() {
                let path = path.index(index);
                container_ports(context, pod, container, &path.field("ports"));
            }
        }
    }
}

fn container_ports(context: &mut Context, pod: &mut Pod, container: Node<'_>, path: &Path<'_>) {
    for (index, item) in container.get("ports").into_iter().flat_map(Node::items).enumerate() {
        let path = path.index(index);
        let Some(number) = item.value.get("containerPort") else { continue };
        let port = match number.value() {
            Some(Value::Int(port)) => port_number(port).map_err(|error| error.to_string()),
            _ => Err("`containerPort` must be a number".to_owned()),
        };
        let port = match port {
            Ok(port) => port,
            Err(message) => {
                let path = path.field("containerPort");
                context.problem(ProblemKind::InvalidPort, number.span(), &path, message);
                continue;
            }
        };
        let protocol = protocol(item.value);
        let name = present(item.value.entry("name")).and_then(Node::as_str);
        let Some(protocol) = protocol else { continue };
        let name = name.and_then(|name| PortName::new(name).ok());
        pod.ports.push(ContainerPort { name, protocol, port });
    }
}

/// `protocol` of a port, TCP when it isn't there; `None` for one that doesn't exist.
pub(super) fn protocol(port: Node<'_>) -> Option<Protocol> {
    match present(port.entry("protocol")) {
        Some(protocol) => protocol.as_str()?.parse().ok(),
        None => Some(Protocol::Tcp),
    }
}

fn first_key(node: Node<'_>) -> crate::span::Span {
    node.entry("kind").map_or(node.span(), |entry| entry.value.span())
}
