//! Software that many clusters run, by the labels and namespaces that its own manifests and charts give it.

use netpol_policy::model::{LabelSelector, LabelValue, METADATA_NAME};

/// What it is, the namespaces that it usually runs in, and values of labels that its pods usually have.
type Known = (&'static str, &'static [&'static str], &'static [&'static str]);

const KNOWN: &[Known] = &[
    (
        "the cluster's DNS",
        &["kube-system", "openshift-dns"],
        &["kube-dns", "coredns", "node-local-dns", "dns-default"],
    ),
    ("the metrics server", &["kube-system", "metrics-server"], &["metrics-server"]),
    (
        "the ingress controller",
        &[
            "ingress-nginx",
            "nginx-ingress",
            "ingress",
            "ingress-controller",
            "openshift-ingress",
            "kube-system",
        ],
        &["ingress-nginx", "nginx-ingress", "ingress-controller", "traefik", "haproxy-ingress"],
    ),
    ("Traefik", &["traefik", "traefik-system"], &["traefik"]),
    (
        "the monitoring stack",
        &["monitoring", "prometheus", "observability", "kube-prometheus-stack", "openshift-monitoring"],
        &[
            "prometheus",
            "grafana",
            "alertmanager",
            "kube-prometheus-stack",
            "kube-state-metrics",
            "node-exporter",
        ],
    ),
    (
        "Istio",
        &["istio-system", "istio-ingress"],
        &["istiod", "pilot", "ingressgateway", "istio-ingressgateway"],
    ),
    ("cert-manager", &["cert-manager"], &["cert-manager", "webhook", "cainjector"]),
    (
        "Argo CD",
        &["argocd", "argo-cd"],
        &["argocd-server", "argocd-repo-server", "argocd-application-controller"],
    ),
];

/// Keys that name software.
const NAMING: &[&str] =
    &["app", "k8s-app", "name", "component", "istio", "app.kubernetes.io/name", "app.kubernetes.io/part-of"];

/// What a namespace selector and a pod selector mean together, when that is well known.
pub(super) fn pair(namespaces: &LabelSelector, pods: &LabelSelector) -> Option<&'static str> {
    let namespaces = values(namespaces, &[METADATA_NAME, "name"]);
    let labels = values(pods, NAMING);
    let all_in =
        |values: &[&str], known: &[&str]| !values.is_empty() && values.iter().all(|v| known.contains(v));
    KNOWN
        .iter()
        .find(|(_, in_namespaces, named)| all_in(&namespaces, in_namespaces) && all_in(&labels, named))
        .map(|(what, ..)| *what)
}

/// The values that a selector asks for under some keys.
fn values<'s>(selector: &'s LabelSelector, keys: &[&str]) -> Vec<&'s str> {
    selector
        .requirements()
        .filter(|requirement| requirement.operator() == "In" && keys.contains(&requirement.key().as_str()))
        .flat_map(|requirement| requirement.values().map(LabelValue::as_str))
        .collect()
}
