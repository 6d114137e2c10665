//! The label on a Namespace that is being created.

use std::collections::BTreeMap;

use clap::ValueEnum;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use netpol_policy::model::DEFAULT_DENY_LABEL;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::exemption::Exemptions;
use crate::review::{Operation, Request, Response, Status};

/// Which directions a namespace's pods are isolated in by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Neither.
    None,
    /// Into its pods.
    Ingress,
    /// Out of its pods.
    Egress,
    /// Both.
    All,
}

/// Sets the label by configuration, by annotation, and not on those that are exempt.
#[derive(Debug, Clone)]
pub struct Labeler {
    mode: Mode,
    exemptions: Exemptions,
}

impl Labeler {
    /// Isolates every new namespace that is not exempt in this way.
    pub fn new(mode: Mode, exemptions: Exemptions) -> Self {
        Self { mode, exemptions }
    }

    /// Answers a request: a patch for a Namespace that is being created, nothing for anything else.
    ///
    /// # Errors
    /// Those of [`Response::with_patch`].
    pub fn review(&self, request: &Request<'_>) -> serde_json::Result<Response> {
        let allow = Response::allow(&request.uid);
        let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
        if !request.kind.is("", "Namespace") || request.operation != Operation::Create || subresource {
            return Ok(allow);
        }
        let metadata = match request.object.map(|object| Metadata::of_namespace(object.get())) {
            Some(Ok(metadata)) => metadata,
            Some(Err(error)) => {
                let status = Status::bad_request(format!("the Namespace cannot be read: {error}"));
                return Ok(Response::deny(&request.uid, status));
            }
            None => return Ok(Response::deny(&request.uid, Status::bad_request("CREATE without an object"))),
        };
        let decision = self.decide(&request.name, &metadata);
        let response = match decision.mode {
            Some(mode) => allow.with_patch(&patch(&metadata, mode))?,
            None => allow,
        };
        Ok(response.with_warnings(decision.warning))
    }

    fn decide(&self, requested_name: &str, metadata: &Metadata) -> Decision {
        let named = [requested_name, metadata.name.as_str(), metadata.generate_name.as_str()];
        let name = named.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        let labels = metadata.labels.as_ref();
        if let Some(value) = labels.and_then(|labels| labels.get(DEFAULT_DENY_LABEL)) {
            // The author has spoken. A value that means nothing isolates both directions, so it is said.
            let unknown = !value.is_empty() && Mode::from_str(value, false).is_err();
            return Decision { mode: None, warning: unknown.then(|| unknown_value("label", value)) };
        }
        if self.exemptions.contains(name) {
            return Decision { mode: None, warning: None };
        }
        let asked = metadata.annotations.as_ref().and_then(|annotations| annotations.get(DEFAULT_DENY_LABEL));
        let (mode, warning) = match asked.map(|value| (value, Mode::from_str(value, false))) {
            None => (self.mode, None),
            Some((_, Ok(mode))) => (mode, None),
            Some((value, Err(_))) => (Mode::All, Some(unknown_value("annotation", value))),
        };
        Decision { mode: (mode != Mode::None).then_some(mode), warning }
    }
}

impl Mode {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::All => "all",
        }
    }
}

struct Decision {
    /// The label to set, if any.
    mode: Option<Mode>,
    warning: Option<String>,
}

/// The part of a Namespace that counts here.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    generate_name: String,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Metadata {
    fn of_namespace(text: &str) -> serde_json::Result<Self> {
        let mut object: Map<String, Value> = serde_json::from_str(text)?;
        let metadata = object.remove("metadata").unwrap_or_default();
        Self::deserialize(serde_json::from_value::<Map<String, Value>>(metadata)?)
    }
}

fn unknown_value(place: &str, value: &str) -> String {
    format!(
        "{place} {DEFAULT_DENY_LABEL}={value}: not one of none, ingress, egress, all; both directions are isolated"
    )
}

/// One operation, whether or not there are labels: `add` to a map that is missing is an error (RFC 6902, 4.1).
fn patch(metadata: &Metadata, mode: Mode) -> Patch {
    let operation = match metadata.labels {
        Some(_) => AddOperation {
            path: PointerBuf::from_tokens(["metadata", "labels", DEFAULT_DENY_LABEL]),
            value: mode.as_str().into(),
        },
        None => AddOperation {
            path: PointerBuf::from_tokens(["metadata", "labels"]),
            value: serde_json::json!({ DEFAULT_DENY_LABEL: mode.as_str() }),
        },
    };
    Patch(vec![PatchOperation::Add(operation)])
}
