//! NetworkPolicies, checked with the linter's rules before they are stored.

mod verdict;
mod written;

use netpol_lint::{Finding, Selection, Settings, Severity, check_text};
use serde_json::Value;

use crate::review::{Operation, Request, Response, Status};

pub use verdict::Verdict;

/// Checks with the rules that are on.
#[derive(Debug, Clone)]
pub struct Validator {
    settings: Settings,
}

impl Default for Validator {
    /// Errors and warnings. What a policy says about its own findings doesn't count: whoever may write a policy must
    /// not be able to let it in.
    fn default() -> Self {
        Self { settings: Selection::default().disregarding_suppressions().into() }
    }
}

impl Validator {
    /// Answers a request: errors deny, warnings warn.
    ///
    /// Only a NetworkPolicy that is created or changed is looked at. A change that leaves the spec as it is passes in
    /// any case: a policy that was stored before this webhook came must still lose its finalizers and change hands.
    pub fn review(&self, request: &Request<'_>) -> Verdict {
        let subresource = request.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
        let looked_at = matches!(request.operation, Operation::Create | Operation::Update);
        if !looked_at || subresource || !request.kind.is("networking.k8s.io", "NetworkPolicy") {
            return Verdict::silent(Response::allow(&request.uid));
        }
        let bad =
            |message: String| Verdict::silent(Response::deny(&request.uid, Status::bad_request(message)));
        let object = match request.object.map(|object| serde_json::from_str(object.get())) {
            Some(Ok(Value::Object(object))) => object,
            Some(Ok(_)) => return bad("the NetworkPolicy is not a JSON object".to_owned()),
            Some(Err(error)) => return bad(format!("the NetworkPolicy cannot be read: {error}")),
            None => return bad("no object to look at".to_owned()),
        };
        let old = request.old_object.and_then(|old| serde_json::from_str::<Object>(old.get()).ok());
        let binding = request.operation == Operation::Create || changes(&object, old.as_ref());
        let written = written::manifest(&object, old.as_ref());
        let stored = self.findings(request, object);
        let mut written = written.map(|written| self.findings(request, written)).unwrap_or_default();
        written.retain(|finding| {
            !stored.iter().any(|known| known.rule == finding.rule && known.path == finding.path)
        });
        Verdict::new(request, &stored, &written, binding)
    }

    /// What the linter says about an object; the text is the one of [`document`].
    fn findings(&self, request: &Request<'_>, object: Object) -> Vec<Finding> {
        check_text("object", &document(request, object), &self.settings).findings
    }
}

type Object = serde_json::Map<String, Value>;

/// The object as a document for the linter. Whatever the object says of itself, it is judged as what the API server
/// stores it as.
fn document(request: &Request<'_>, mut object: Object) -> String {
    object.insert("apiVersion".to_owned(), request.kind.api_version().into());
    object.insert("kind".to_owned(), request.kind.kind.clone().into());
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        // Written by the API server about who wrote what: no rule looks at it, and it can be the larger part.
        metadata.remove("managedFields");
    }
    format!("{:#}", Value::Object(object))
}

/// Whether an update changes what the policy means.
fn changes(object: &Object, old: Option<&Object>) -> bool {
    let going = object.get("metadata").and_then(|metadata| metadata.get("deletionTimestamp"));
    if going.is_some_and(|at| !at.is_null()) {
        return false;
    }
    old.is_none_or(|old| old.get("spec") != object.get("spec"))
}

/// Whether a finding refuses the object.
fn refuses(finding: &Finding) -> bool {
    finding.severity == Severity::Error
}
