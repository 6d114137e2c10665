//! The label on a Namespace, set in the write that asks for it.

use std::collections::BTreeMap;

use clap::ValueEnum;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{Selector, SelectorExt};
use netpol_policy::model::{DEFAULT_DENY_LABEL, DefaultDeny, LabelKey, LabelValue, Labels, Namespace};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::exemption::Exemptions;
use crate::review::{Operation, Raw, Request, Response, Status};

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
    /// Only namespaces with these labels get the configured mode; all, when there is none.
    selector: Option<Selector>,
    exemptions: Exemptions,
}

impl Labeler {
    /// Isolates every new namespace that is not exempt in this way.
    pub fn new(mode: Mode, exemptions: Exemptions) -> Self {
        Self { mode, selector: None, exemptions }
    }

    /// Isolates only those that a selector matches; an annotation still decides for the others.
    #[must_use]
    pub fn selecting(self, selector: Option<Selector>) -> Self {
        Self { selector, ..self }
    }

    /// Which namespaces are left alone.
    pub fn exemptions(&self) -> &Exemptions {
        &self.exemptions
    }

    /// Answers a request: a patch for a Namespace that is being created, or whose labels or annotation now ask for
    /// isolation; nothing for anything else.
    ///
    /// # Errors
    /// Those of [`Response::with_patch`].
    pub fn review(&self, request: &Request<'_>) -> serde_json::Result<Response> {
        let allow = Response::allow(&request.uid);
        let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
        let looked_at = matches!(request.operation, Operation::Create | Operation::Update);
        if !request.kind.is("", "Namespace") || !looked_at || subresource {
            return Ok(allow);
        }
        let read = |object: Option<Raw<'_>>| match object.map(|object| metadata(object.get())) {
            Some(Ok(metadata)) => Ok(metadata),
            Some(Err(error)) => Err(format!("the Namespace cannot be read: {error}")),
            None => Err(format!("{:?} without an object", request.operation)),
        };
        let old = (request.operation == Operation::Update).then(|| read(request.old_object())).transpose();
        let (old, new) = match (old, read(request.object())) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(error), _) | (_, Err(error)) => {
                return Ok(Response::deny(&request.uid, Status::bad_request(error)));
            }
        };
        let decision = match &old {
            None => self.decide(&request.name, &new),
            Some(old) => self.decide_change(&request.name, old, &new),
        };
        let response = match decision.mode {
            Some(mode) => allow.with_patch(&patch(&new, mode))?,
            None => allow,
        };
        Ok(response.with_warnings(decision.warning))
    }

    /// The label that a namespace without one gets, if any.
    pub(crate) fn due(&self, name: &str, metadata: &ObjectMeta) -> Option<Mode> {
        self.decide(name, metadata).mode
    }

    fn decide(&self, requested_name: &str, metadata: &ObjectMeta) -> Decision {
        let name = [Some(requested_name), metadata.name.as_deref(), metadata.generate_name.as_deref()];
        let name = name.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default();
        if let Some(value) = label(metadata) {
            // The author has spoken. A value that means nothing isolates both directions, so it is said.
            let unknown = Mode::from_str(value, false).is_err();
            return Decision { mode: None, warning: unknown.then(|| unknown_value("label", value)) };
        }
        if self.exemptions.contains(name) {
            return Decision::default();
        }
        let (mode, warning) = match annotation(metadata) {
            None if self.selects(metadata) => (self.mode, None),
            None => (Mode::None, None),
            Some(value) => mode_of_annotation(value),
        };
        Decision { mode: (mode != Mode::None).then_some(mode), warning }
    }

    /// A change of what exists is never turned round: only what this very change asks for is done.
    fn decide_change(&self, name: &str, old: &ObjectMeta, new: &ObjectMeta) -> Decision {
        if new.deletion_timestamp.is_some() || self.exemptions.contains(name) {
            return Decision::default();
        }
        if label(old) != label(new) {
            let warning = label(new).and_then(|_| self.decide(name, new).warning);
            return Decision { mode: None, warning };
        }
        match (annotation(new), label(new)) {
            // Its author sets the annotation now: the label follows, also one that the annotation once brought.
            (Some(value), label) if annotation(old) != Some(value) => {
                let (mode, warning) = mode_of_annotation(value);
                let same = label.unwrap_or(Mode::None.as_str()) == mode.as_str();
                Decision { mode: (!same).then_some(mode), warning }
            }
            // Its labels are selected now, and weren't before.
            (None, None) if !self.selects(old) => self.decide(name, new),
            _ => Decision::default(),
        }
    }

    fn selects(&self, metadata: &ObjectMeta) -> bool {
        let none = BTreeMap::new();
        let labels = metadata.labels.as_ref().unwrap_or(&none);
        self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
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

#[derive(Default)]
struct Decision {
    /// The label to set, if any.
    mode: Option<Mode>,
    warning: Option<String>,
}

/// The directions that a value of the label isolates.
pub(crate) fn default_deny(value: Option<&str>) -> DefaultDeny {
    let (Ok(key), Some(value)) = (LabelKey::new(DEFAULT_DENY_LABEL), value) else {
        return DefaultDeny::default();
    };
    match LabelValue::new(value) {
        Ok(value) => Namespace::new("", Labels::from([(key, value)])).default_deny(),
        // The API server lets no such label in; closed rather than open.
        Err(_) => DefaultDeny { ingress: true, egress: true },
    }
}

/// A Namespace's metadata.
pub(super) fn metadata(text: &str) -> serde_json::Result<ObjectMeta> {
    let mut object: Map<String, Value> = serde_json::from_str(text)?;
    let metadata = object.remove("metadata").unwrap_or_default();
    ObjectMeta::deserialize(serde_json::from_value::<Map<String, Value>>(metadata)?)
}

/// The value of the label.
pub(super) fn label(metadata: &ObjectMeta) -> Option<&str> {
    metadata.labels.as_ref()?.get(DEFAULT_DENY_LABEL).map(String::as_str)
}

fn annotation(metadata: &ObjectMeta) -> Option<&str> {
    metadata.annotations.as_ref()?.get(DEFAULT_DENY_LABEL).map(String::as_str)
}

fn mode_of_annotation(value: &str) -> (Mode, Option<String>) {
    match Mode::from_str(value, false) {
        Ok(mode) => (mode, None),
        Err(_) => (Mode::All, Some(unknown_value("annotation", value))),
    }
}

fn unknown_value(place: &str, value: &str) -> String {
    format!(
        "{place} {DEFAULT_DENY_LABEL}={value}: not one of none, ingress, egress, all; both directions are isolated"
    )
}

/// One operation, whether or not there are labels: `add` to a map that is missing is an error (RFC 6902, 4.1).
fn patch(metadata: &ObjectMeta, mode: Mode) -> Patch {
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
