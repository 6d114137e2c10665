//! Ingresses, routes of Gateways, webhooks and API services.

use crate::model::{Backend, BackendPort, Callers, EntryKind, EntryPoint, ObjectName, port_number};
use crate::source::manifest::EntryPointSource;
use crate::span::Span;
use crate::syntax::{Node, Value};

use super::metadata::Metadata;

/// What Ingresses named their class with before `ingressClassName`.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// The port of webhooks and API services that name none.
const HTTPS: i64 = 443;

/// An object that sends callers to Services. What isn't written as the API has it is left out.
pub(in crate::source) fn entry_point(
    node: Node<'_>,
    kind: EntryKind,
    metadata: &Metadata,
) -> EntryPointSource {
    let own = &*metadata.namespace;
    let spec = node.get("spec");
    let mut backends = Backends::default();
    let (callers, is_namespaced) = match kind {
        EntryKind::Ingress => {
            ingress_backends(spec, own, &mut backends);
            let annotation =
                metadata.source.annotations.iter().find(|(key, _)| &*key.value == CLASS_ANNOTATION);
            let class = text(spec, "ingressClassName").or(annotation.map(|(_, class)| &*class.value));
            (Callers::IngressController(class.map(Into::into)), true)
        }
        EntryKind::HttpRoute | EntryKind::GrpcRoute | EntryKind::TlsRoute | EntryKind::TcpRoute => {
            for backend in items(spec, "rules").flat_map(|rule| items(Some(rule), "backendRefs")) {
                if text(Some(backend), "kind").is_none_or(|kind| kind == "Service") {
                    let namespace = text(Some(backend), "namespace").unwrap_or(own);
                    backends.add(backend, namespace, backend.get("port").and_then(number));
                }
            }
            let parents = items(spec, "parentRefs").filter_map(|parent| {
                let is_gateway = text(Some(parent), "kind").is_none_or(|kind| kind == "Gateway");
                let namespace = text(Some(parent), "namespace").unwrap_or(own);
                is_gateway.then_some(ObjectName::new(namespace, text(Some(parent), "name")?))
            });
            (Callers::Gateways(parents.collect()), true)
        }
        EntryKind::ValidatingWebhook | EntryKind::MutatingWebhook => {
            let configs = items(Some(node), "webhooks").filter_map(|webhook| webhook.get("clientConfig"));
            configs.for_each(|config| backends.add_service(config.get("service")));
            (Callers::ApiServer, false)
        }
        EntryKind::ApiService => {
            backends.add_service(spec.and_then(|spec| spec.get("service")));
            (Callers::ApiServer, false)
        }
    };
    let (backends, places) = (backends.backends, backends.places);
    let namespace = is_namespaced.then(|| metadata.namespace.clone());
    EntryPointSource {
        entry: EntryPoint { kind, namespace, name: metadata.name.clone(), callers, backends },
        backends: places,
    }
}

#[derive(Default)]
struct Backends {
    backends: Vec<Backend>,
    places: Vec<Span>,
}

impl Backends {
    fn add(&mut self, service: Node<'_>, namespace: &str, port: Option<BackendPort>) {
        let (Some(name), Some(port)) = (service.get("name").filter(|name| name.as_str().is_some()), port)
        else {
            return;
        };
        let service = ObjectName::new(namespace, name.as_str().unwrap_or_default());
        let backend = Backend { service, port };
        if !self.backends.contains(&backend) {
            self.backends.push(backend);
            self.places.push(name.span());
        }
    }

    /// The reference of a webhook or an API service.
    fn add_service(&mut self, service: Option<Node<'_>>) {
        let Some(service) = service else { return };
        let Some(namespace) = text(Some(service), "namespace") else { return };
        let port = match service.get("port").filter(|port| !port.is_null()) {
            Some(port) => number(port),
            None => port_number(HTTPS).ok().map(BackendPort::Number),
        };
        self.add(service, namespace, port);
    }
}

fn ingress_backends(spec: Option<Node<'_>>, namespace: &str, backends: &mut Backends) {
    let default = spec.and_then(|spec| spec.get("defaultBackend"));
    let http = items(spec, "rules").filter_map(|rule| rule.get("http"));
    let paths = http.flat_map(|http| items(Some(http), "paths")).filter_map(|path| path.get("backend"));
    for service in default.into_iter().chain(paths).filter_map(|backend| backend.get("service")) {
        let port = service.get("port").and_then(|port| match port.get("number") {
            Some(port) => number(port),
            None => port.get("name")?.as_str().map(|name| BackendPort::Name(name.into())),
        });
        backends.add(service, namespace, port);
    }
}

fn items<'a>(node: Option<Node<'a>>, field: &str) -> impl Iterator<Item = Node<'a>> {
    node.and_then(|node| node.get(field)).into_iter().flat_map(Node::items).map(|item| item.value)
}

fn text<'a>(node: Option<Node<'a>>, field: &str) -> Option<&'a str> {
    node?.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn number(node: Node<'_>) -> Option<BackendPort> {
    match node.value()? {
        Value::Int(port) => port_number(port).ok().map(BackendPort::Number),
        _ => None,
    }
}
