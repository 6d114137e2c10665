//! AdmissionReviews as the API server writes them.

use netpol_policy::syntax::{self, Node, Value as Scalar};
use serde_json::{Value, json as object};

/// A review of an object; what `more` holds is added to the request, or put in the place of what is there.
pub(crate) fn review(uid: &str, object: &Value, more: &Value) -> String {
    let (group, version) = match object["apiVersion"].as_str().unwrap_or("v1").split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", "v1"),
    };
    let kind = object!({ "group": group, "version": version, "kind": object["kind"] });
    let mut request = object!({
        "uid": uid,
        "kind": kind,
        "resource": { "group": group, "version": version, "resource": "the-plural" },
        "requestKind": kind,
        "name": object["metadata"]["name"].as_str().unwrap_or_default(),
        "namespace": object["metadata"]["namespace"],
        "operation": "CREATE",
        "userInfo": { "username": "someone", "groups": ["system:authenticated"] },
        "object": object,
        "oldObject": null,
        "dryRun": false,
        "options": { "kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1" },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        request[key] = value.clone();
    }
    object!({ "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request })
        .to_string()
}

/// A Namespace with this metadata besides its name.
pub(crate) fn namespace(name: &str, metadata: &Value) -> Value {
    let mut namespace = object!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    for (key, value) in metadata.as_object().into_iter().flatten() {
        namespace["metadata"][key] = value.clone();
    }
    namespace
}

/// A policy `shop/db` with a spec in YAML.
pub(crate) fn policy(spec: &str) -> Value {
    object!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "db", "namespace": "shop" },
        "spec": json(syntax::read(spec).documents[0].root()),
    })
}

/// YAML as JSON, as a client converts it before it sends it.
pub(crate) fn json(node: Node<'_>) -> Value {
    match node.value() {
        Some(Scalar::Str(text)) => text.into(),
        Some(Scalar::Int(number)) => number.into(),
        Some(Scalar::Bool(value)) => value.into(),
        Some(Scalar::Null) => Value::Null,
        Some(Scalar::Float(number)) => number.into(),
        None if matches!(node.kind(), syntax::Kind::Sequence(_)) => {
            node.items().map(|item| json(item.value)).collect()
        }
        None => {
            let entries = node.entries().map(|entry| (entry.key.key_text().into_owned(), json(entry.value)));
            Value::Object(entries.collect())
        }
    }
}
