//! The manifest that its author wrote, where `kubectl apply` left it behind.
//!
//! Before the API server asks a webhook it has dropped unknown fields and empty lists and filled in defaults: `from: []`,
//! which lets everyone in, has become no `from`. `kubectl apply` keeps the manifest in an annotation, and there the
//! rules about what was written still find it. The annotation says nothing about what is stored, and may be an old one
//! (a backup that is restored), so it gives warnings and never a refusal.

use netpol_policy::syntax::Node;

use super::object::Object;

/// Where `kubectl apply` leaves the manifest.
pub(super) const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manifest of this request as JSON: none when there is no annotation, or when it is that of an earlier request.
pub(super) fn manifest<'o>(object: &'o Object<'_>, old: Option<&Object<'_>>) -> Option<&'o str> {
    annotation(object).filter(|text| old.and_then(annotation) != Some(*text))
}

fn annotation<'o>(object: &'o Object<'_>) -> Option<&'o str> {
    object.get(&["metadata", "annotations", ANNOTATION]).and_then(Node::as_str)
}
