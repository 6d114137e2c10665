//! Objects as they come from the API server, without what nobody here looks at.
//!
//! What is not named here is skipped while the answer is read, so it never takes memory: environments, volumes, managed
//! fields. What an object means is decided where manifests are read, so both sources agree.

use std::borrow::Cow;
use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicResourceScope;
use netpol_policy::model::ObjectName;
use netpol_policy::source::{Content, Manifest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kinds::Watched;
use crate::world::{Change, Kind, Object};

/// An object of a kind, and the little of its metadata that watching needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Slim<K>", bound = "")]
pub(super) struct Item<K: Watched> {
    watching: ObjectMeta,
    slim: Slim<K>,
}

/// The fields of all kinds that say something.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", bound = "")]
struct Slim<K: Watched> {
    #[serde(default)]
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    spec: Option<K::Spec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<K::Status>,
    // An EndpointSlice has no spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    address_type: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoints: Option<Vec<SliceEndpoint>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<Value>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing)]
    resource_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Annotations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_timestamp: Option<Value>,
}

/// The annotation that says something, [`netpol_policy::model::AUDIT_ANNOTATION`].
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Annotations {
    #[serde(rename = "netpol.dev/audit", skip_serializing_if = "Option::is_none")]
    audit: Option<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SliceEndpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    addresses: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Value>,
}

impl<K: Watched> From<Slim<K>> for Item<K> {
    fn from(mut slim: Slim<K>) -> Self {
        let watching =
            ObjectMeta { resource_version: slim.metadata.resource_version.take(), ..ObjectMeta::default() };
        Self { watching, slim }
    }
}

impl<K: Watched> Resource for Item<K> {
    type DynamicType = ();
    type Scope = DynamicResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        Cow::Owned(K::KIND.to_string())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.watching
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.watching
    }
}

impl<K: Watched> Item<K> {
    /// Namespace and name; the namespace is empty where there is none.
    pub(super) fn name(&self) -> ObjectName {
        let Metadata { name, namespace, .. } = &self.slim.metadata;
        ObjectName::new(namespace.as_deref().unwrap_or_default(), name.as_deref().unwrap_or_default())
    }

    /// What it means that the object is so now.
    pub(super) fn change(&self) -> Change {
        let name = self.name();
        match self.object() {
            Ok(Some(object)) => Change::Put(name, object),
            Ok(None) => Change::Gone(K::KIND, name),
            Err(why) => Change::Unreadable(K::KIND, name, why),
        }
    }

    /// What it says; nothing for an EndpointSlice that says nothing about addresses of a Service.
    fn object(&self) -> Result<Option<Object>, Box<str>> {
        let mut manifest = Manifest::read(&self.manifest()?, "default");
        if let Some(error) = manifest.errors.first() {
            return Err(error.message.to_string().into());
        }
        let Some(object) = manifest.objects.pop() else {
            return if K::KIND == Kind::EndpointSlice {
                Ok(None)
            } else {
                Err("it is of another kind".into())
            };
        };
        Ok(Some(match (K::KIND, object.content) {
            (Kind::Pod, Content::Workload(workload)) => Object::Pod(Box::new(workload.pod)),
            (Kind::Namespace, Content::Namespace(namespace)) => Object::Namespace(namespace),
            (Kind::Node, Content::Node(node)) => Object::Node(node),
            (Kind::Service, Content::Service(service)) => Object::Service(service),
            (Kind::EndpointSlice, Content::EndpointSlice(slice)) => Object::EndpointSlice(slice),
            (Kind::NetworkPolicy, Content::Policy(policy)) => {
                let wrong = policy.problems.iter().find(|problem| problem.kind.rejects());
                let why = wrong.map(|problem| format!("{}: {}", problem.path, problem.message));
                let why = why.unwrap_or_else(|| "it can't be used".into());
                Object::NetworkPolicy(policy.model.ok_or(why)?)
            }
            (_, _) => return Err("it lacks what it takes to be one".into()),
        }))
    }

    /// As a manifest has it.
    fn manifest(&self) -> Result<String, Box<str>> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase", bound = "")]
        struct Document<'s, K: Watched> {
            api_version: &'s str,
            kind: String,
            #[serde(flatten)]
            slim: &'s Slim<K>,
        }
        let api_version = Self::api_version(&());
        let document = Document { api_version: &api_version, kind: K::KIND.to_string(), slim: &self.slim };
        serde_json::to_string(&document).map_err(|error| error.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kinds::{EndpointSlices, Namespaces, NetworkPolicies, Nodes, Pods, Services};
    use super::*;

    fn change<K: Watched>(object: &Value) -> Change {
        serde_json::from_value::<Item<K>>(object.clone()).expect("an item").change()
    }

    fn put<K: Watched>(object: &Value) -> Object {
        match change::<K>(object) {
            Change::Put(_, object) => object,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn pods() {
        let object = put::<Pods>(&json!({
            "metadata": {
                "name": "web", "namespace": "shop", "labels": {"app": "web"}, "uid": "x", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{}],
            },
            "spec": {
                "nodeName": "one", "volumes": [{}],
                "containers": [{"name": "web", "image": "x", "env": [{}], "ports": [{"name": "http", "containerPort": 80}]}],
                "initContainers": [
                    {"restartPolicy": "Always", "ports": [{"containerPort": 90}]},
                    {"ports": [{"containerPort": 91}]},
                ],
            },
            "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "conditions": [{}]},
        }));
        let Object::Pod(pod) = object else { panic!("{object:?}") };
        assert_eq!(pod.name.to_string(), "shop/Pod/web");
        assert_eq!(pod.labels.get("app").map(ToString::to_string).as_deref(), Some("web"));
        assert_eq!(
            pod.addresses,
            ["10.0.0.1", "fd00::1"].map(|a| a.parse::<std::net::IpAddr>().expect("one"))
        );
        assert_eq!(pod.ports.iter().map(|port| port.port.get()).collect::<Vec<_>>(), [80, 90]);
        assert_eq!((pod.node.as_deref(), pod.host_network, pod.finished), (Some("one"), false, false));
        assert_eq!(pod.created.as_deref(), Some("2026-01-01T00:00:00Z"));
    }

    #[test]
    fn the_other_kinds() {
        let namespace = put::<Namespaces>(
            &json!({"metadata": {"name": "shop", "labels": {"team": "a"}}, "spec": {"finalizers": []}, "status": {"phase": "Active"}}),
        );
        assert!(matches!(&namespace, Object::Namespace(namespace) if namespace.labels().iter().count() == 2));
        let audited = put::<Namespaces>(
            &json!({"metadata": {"name": "shop", "annotations": {"netpol.dev/audit": "true", "other": "x"}}}),
        );
        assert!(matches!(&audited, Object::Namespace(namespace) if namespace.audited()));
        let node = put::<Nodes>(&json!({
            "metadata": {"name": "one"}, "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24", "fd00::/64"]},
            "status": {"addresses": [{"type": "InternalIP", "address": "192.168.0.1"}, {"type": "Hostname", "address": "one"}], "images": [{}]},
        }));
        assert!(
            matches!(&node, Object::Node(node) if node.pod_cidrs.len() == 2 && node.addresses.len() == 1)
        );
        let service = put::<Services>(&json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "type": "LoadBalancer", "ports": [{"port": 80, "targetPort": "http"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}},
        }));
        assert!(
            matches!(&service, Object::Service(service) if service.cluster_addresses.len() == 1 && service.external_addresses.len() == 1)
        );
        let slice = put::<EndpointSlices>(&json!({
            "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}, {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}],
        }));
        assert!(
            matches!(&slice, Object::EndpointSlice(slice) if slice.addresses.len() == 1 && slice.ports.len() == 1)
        );
        let nobody = change::<EndpointSlices>(
            &json!({"metadata": {"name": "x", "namespace": "shop"}, "addressType": "FQDN"}),
        );
        assert_eq!(nobody, Change::Gone(Kind::EndpointSlice, ObjectName::new("shop", "x")));
    }

    #[test]
    fn policies() {
        let policy = |spec: Value| json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": spec});
        let good = put::<NetworkPolicies>(&policy(json!({"podSelector": {}, "policyTypes": ["Ingress"]})));
        assert!(
            matches!(&good, Object::NetworkPolicy(policy) if policy.ingress.is_some() && policy.egress.is_none())
        );
        let bad = change::<NetworkPolicies>(&policy(json!({"podSelector": {"matchLabels": {"app": "-x"}}})));
        let Change::Unreadable(Kind::NetworkPolicy, name, why) = bad else { panic!("{bad:?}") };
        assert_eq!(name.to_string(), "shop/db");
        assert!(why.starts_with("spec.podSelector.matchLabels"), "{why}");
    }
}
