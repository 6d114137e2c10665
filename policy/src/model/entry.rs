//! What leads callers from elsewhere to Services.

use std::fmt;
use std::num::NonZeroU16;

use super::name::ObjectName;

/// An object that sends callers to Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPoint {
    /// Its kind.
    pub kind: EntryKind,
    /// Its namespace; `None` for one of the whole cluster.
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Box<str>,
    /// Who opens the connections.
    pub callers: Callers,
    /// Where they go, each Service and port once.
    pub backends: Vec<Backend>,
}

/// Kinds of objects that send callers to Services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the Kubernetes kinds")]
pub enum EntryKind {
    Ingress,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    ValidatingWebhook,
    MutatingWebhook,
    ApiService,
}

/// Who connects to the backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callers {
    /// The controller of an Ingress class; `None` for the default class.
    IngressController(Option<Box<str>>),
    /// The proxies of some Gateways.
    Gateways(Vec<ObjectName>),
    /// The API server.
    ApiServer,
}

/// A port of a Service that callers are sent to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Backend {
    /// The Service.
    pub service: ObjectName,
    /// Its port.
    pub port: BackendPort,
}

/// How a backend names the port of its Service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BackendPort {
    /// By its number.
    Number(NonZeroU16),
    /// By its name.
    Name(Box<str>),
}

impl EntryKind {
    /// The kind of a manifest.
    pub fn parse(kind: &str) -> Option<Self> {
        Some(match kind {
            "Ingress" => Self::Ingress,
            "HTTPRoute" => Self::HttpRoute,
            "GRPCRoute" => Self::GrpcRoute,
            "TLSRoute" => Self::TlsRoute,
            "TCPRoute" => Self::TcpRoute,
            "ValidatingWebhookConfiguration" => Self::ValidatingWebhook,
            "MutatingWebhookConfiguration" => Self::MutatingWebhook,
            "APIService" => Self::ApiService,
            _ => return None,
        })
    }

    /// As in a manifest's `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::ValidatingWebhook => "ValidatingWebhookConfiguration",
            Self::MutatingWebhook => "MutatingWebhookConfiguration",
            Self::ApiService => "APIService",
        }
    }

    /// The group of its `apiVersion`.
    pub fn group(self) -> &'static str {
        match self {
            Self::Ingress => "networking.k8s.io",
            Self::HttpRoute | Self::GrpcRoute | Self::TlsRoute | Self::TcpRoute => {
                "gateway.networking.k8s.io"
            }
            Self::ValidatingWebhook | Self::MutatingWebhook => "admissionregistration.k8s.io",
            Self::ApiService => "apiregistration.k8s.io",
        }
    }
}

/// `Ingress shop/web`, `APIService v1.example.com`.
impl fmt::Display for EntryPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.as_str(), self.name),
            None => write!(f, "{} {}", self.kind.as_str(), self.name),
        }
    }
}

impl fmt::Display for BackendPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}
