//! Who connects to the backends of an entry point.

use std::net::IpAddr;

use netpol_policy::model::{
    Callers, LabelKey, LabelSelector, LabelValue, ObjectName, Pod, PortMatch, Requirement,
};

use crate::index::Index;
use crate::rules::far_end::FarEnd;
use crate::words;

/// Controllers of Ingresses: a part of the names of their classes, and a label of their pods.
const CONTROLLERS: [(&str, &str, &str); 8] = [
    ("nginx", "app.kubernetes.io/name", "ingress-nginx"),
    ("nginx", "app.kubernetes.io/name", "nginx-ingress"),
    ("traefik", "app.kubernetes.io/name", "traefik"),
    ("haproxy", "app.kubernetes.io/name", "kubernetes-ingress"),
    ("haproxy", "app.kubernetes.io/name", "haproxy-ingress"),
    ("kong", "app.kubernetes.io/name", "kong"),
    ("contour", "app", "envoy"),
    ("contour", "app.kubernetes.io/component", "envoy"),
];

/// The label that proxies of a Gateway carry in its namespace.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// The caller as far as it is known.
pub(super) enum Caller<'a> {
    /// The API server, at these addresses; at some address of a node when there are none.
    ApiServer(Vec<IpAddr>),
    /// Pods, of which any will do.
    Pods(Vec<&'a Pod>),
    Unknown,
}

impl<'a> Caller<'a> {
    pub(super) fn of(index: &'a Index<'a>, callers: &Callers) -> Self {
        let pods = match callers {
            Callers::ApiServer => {
                let slices = index.api_server_slices().iter();
                return Self::ApiServer(slices.flat_map(|slice| &slice.addresses).copied().collect());
            }
            Callers::IngressController(class) => controllers(index, class.as_deref()),
            Callers::Gateways(gateways) => {
                gateways.iter().flat_map(|gateway| proxies(index, gateway)).collect()
            }
        };
        if pods.is_empty() { Self::Unknown } else { Self::Pods(pods) }
    }

    /// Whether the caller may reach a pod; what isn't known may.
    pub(super) fn may_reach(&self, end: &FarEnd<'_>, port: &PortMatch) -> bool {
        match self {
            Self::ApiServer(addresses) => end.may_let_in(addresses, port),
            Self::Pods(pods) => pods.iter().any(|pod| {
                if pod.host_network {
                    end.may_let_in(&pod.addresses, port)
                } else {
                    end.may_pass(pod, Some(port))
                }
            }),
            Self::Unknown => end.opens(port),
        }
    }

    /// Who it is, and how to let it in.
    pub(super) fn describe(&self) -> (String, String) {
        match self {
            Self::ApiServer(addresses) => {
                let whose = match addresses.as_slice() {
                    [] => "the addresses of the nodes that it runs on".to_owned(),
                    some => {
                        let shown: Vec<_> = some.iter().take(3).map(ToString::to_string).collect();
                        format!("{} with an ipBlock", words::list(&shown))
                    }
                };
                let remedy = format!(
                    "the API server has the address of a node, which no selector matches; allow {whose}, or everyone: \
                     its callers are authenticated by TLS"
                );
                ("the API server".to_owned(), remedy)
            }
            Self::Pods(pods) => {
                let on_node = pods.iter().all(|pod| pod.host_network);
                let how = if on_node {
                    "it is on the network of its node: allow the addresses of the nodes with an ipBlock"
                } else {
                    "allow it with a namespaceSelector and a podSelector in one peer"
                };
                (words::pod_names(pods.iter().copied()), how.to_owned())
            }
            Self::Unknown => ("anybody".to_owned(), "allow whoever serves it".to_owned()),
        }
    }
}

/// The pods of the well-known controllers of a class; of all that are there when the class names none of them.
fn controllers<'a>(index: &'a Index<'a>, class: Option<&str>) -> Vec<&'a Pod> {
    let named = |word: &str| class.is_some_and(|class| class.contains(word));
    let recognised = CONTROLLERS.iter().any(|(word, ..)| named(word));
    let candidates = CONTROLLERS.iter().filter(|(word, ..)| !recognised || named(word));
    candidates.flat_map(|(_, key, value)| labelled(index, &[(key, value)])).collect()
}

fn proxies<'a>(index: &'a Index<'a>, gateway: &ObjectName) -> Vec<&'a Pod> {
    let mut pods = labelled(index, &[(GATEWAY_NAME, &gateway.name)]);
    pods.retain(|pod| pod.name.namespace == gateway.namespace);
    let (name, namespace) =
        ("gateway.envoyproxy.io/owning-gateway-name", "gateway.envoyproxy.io/owning-gateway-namespace");
    pods.extend(labelled(index, &[(name, &gateway.name), (namespace, &gateway.namespace)]));
    pods
}

/// The pods of all namespaces with some labels, one for each combination of labels and ports, on the network of their
/// node or not.
fn labelled<'a>(index: &'a Index<'a>, labels: &[(&str, &str)]) -> Vec<&'a Pod> {
    let requirements = labels.iter().filter_map(|(key, value)| {
        Some(Requirement::equals(LabelKey::new(key).ok()?, LabelValue::new(value).ok()?))
    });
    let selector = LabelSelector::new(requirements);
    index.everywhere_all(&selector)
}
