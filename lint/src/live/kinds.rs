//! What is read.

use std::collections::HashSet;

/// A kind of objects that says something about who may connect to whom.
#[derive(Debug)]
pub struct Kind {
    /// Its name.
    pub kind: &'static str,
    /// Its plural in lower case, as in the API.
    pub plural: &'static str,
    /// Group and version, as objects write them.
    pub api_version: &'static str,
    /// Clusters without it are fine.
    pub optional: bool,
    /// It is also read from files; else it only says something about the cluster.
    pub(super) is_manifest: bool,
}

impl Kind {
    const fn of(api_version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { kind, plural, api_version, optional: false, is_manifest: true }
    }

    const fn about_the_cluster(api_version: &'static str, kind: &'static str, plural: &'static str) -> Self {
        Self { optional: true, is_manifest: false, ..Self::of(api_version, kind, plural) }
    }

    /// The path of its list in all namespaces.
    pub(super) fn path(&self) -> String {
        let root = if self.api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{}/{}", self.api_version, self.plural)
    }

    /// Whether an API server with these groups has it, or may have it.
    pub(super) fn is_served(&self, groups: &Option<HashSet<String>>) -> bool {
        !self.optional || groups.as_ref().is_none_or(|groups| groups.contains(self.api_version))
    }
}

/// Every kind, in the order of reading. ReplicaSets and Jobs say nothing that their pods and owners don't.
pub static KINDS: &[Kind] = &[
    Kind::of("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind::of("v1", "Namespace", "namespaces"),
    Kind::of("v1", "Node", "nodes"),
    Kind::of("v1", "Pod", "pods"),
    Kind::of("apps/v1", "DaemonSet", "daemonsets"),
    Kind::of("apps/v1", "Deployment", "deployments"),
    Kind::of("apps/v1", "StatefulSet", "statefulsets"),
    Kind::of("batch/v1", "CronJob", "cronjobs"),
    Kind::of("v1", "Service", "services"),
    Kind::of("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    Kind::of("networking.k8s.io/v1", "Ingress", "ingresses"),
    Kind::of(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
    ),
    Kind::of(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
    ),
    Kind::of("apiregistration.k8s.io/v1", "APIService", "apiservices"),
    Kind { optional: true, ..Kind::of("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes") },
    Kind { optional: true, ..Kind::of("gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes") },
    // Served since 1.33.
    Kind::about_the_cluster("networking.k8s.io/v1", "ServiceCIDR", "servicecidrs"),
    Kind::about_the_cluster(
        "policy.networking.k8s.io/v1alpha1",
        "AdminNetworkPolicy",
        "adminnetworkpolicies",
    ),
    Kind::about_the_cluster(
        "policy.networking.k8s.io/v1alpha2",
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
    ),
];
