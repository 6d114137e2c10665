//! Namespaces and nodes.

use crate::model;
use crate::syntax::Node;

use super::address::{parse_address, parse_cidr};
use super::metadata::Metadata;

/// A Namespace.
pub(in crate::source) fn namespace(metadata: &Metadata) -> model::Namespace {
    let annotations = &metadata.source.annotations;
    let audit = annotations.iter().rfind(|(key, _)| &*key.value == model::AUDIT_ANNOTATION);
    model::Namespace::new(metadata.name.clone(), metadata.labels.clone())
        .with_audit_annotation(audit.map(|(_, value)| &*value.value))
}

/// A Node.
pub(in crate::source) fn node(node: Node<'_>, metadata: &Metadata) -> model::Node {
    let of_status = node.get("status").and_then(|status| status.get("addresses"));
    let addresses = of_status.into_iter().flat_map(Node::items).filter_map(|item| {
        let kind = item.value.get("type")?.as_str()?;
        if !matches!(kind, "InternalIP" | "ExternalIP") {
            return None;
        }
        parse_address(item.value.get("address")?.as_str()?)
    });
    let spec = node.get("spec");
    let listed = spec.and_then(|spec| spec.get("podCIDRs")).into_iter().flat_map(Node::items);
    let listed = listed.filter_map(|item| item.value.as_str());
    let one = spec.and_then(|spec| spec.get("podCIDR")?.as_str());
    let mut pod_cidrs: Vec<_> = listed.chain(one).filter_map(parse_cidr).collect();
    pod_cidrs.sort();
    pod_cidrs.dedup();
    model::Node { name: metadata.name.clone(), addresses: addresses.collect(), pod_cidrs }
}
