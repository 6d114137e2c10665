//! New Namespaces get their label.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::support::{Webhook, namespace, review};

const LABEL: &str = "netpol.dev/default-deny";

/// The object after the answer's patch, with the answer.
fn mutated(webhook: &Webhook, object: &Value, more: &Value) -> (Value, Value) {
    let response = webhook.post("/mutate?timeout=10s", review("the-uid", object, more)).response();
    assert_eq!(response["uid"], "the-uid");
    let mut object = object.clone();
    if let Some(patch) = response["patch"].as_str() {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch: json_patch::Patch =
            serde_json::from_slice(&BASE64_STANDARD.decode(patch).unwrap()).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
    }
    (object, response)
}

#[test]
fn each_namespace_gets_what_is_due() {
    let webhook =
        Webhook::start(&["--default-deny", "ingress", "--exempt-namespace", "netpol-system,cert-manager"]);
    let asks = |value: &str| json!({ "annotations": { LABEL: value } });
    let table = [
        ("shop", json!({}), Some("ingress"), false),
        ("shop", json!({ "labels": null }), Some("ingress"), false),
        ("shop", json!({ "labels": {} }), Some("ingress"), false),
        ("shop", json!({ "labels": { "a/b": "c" } }), Some("ingress"), false),
        ("kube-system", json!({}), None, false),
        ("kube-anything", json!({ "labels": { "a": "b" } }), None, false),
        ("netpol-system", json!({}), None, false),
        ("cert-manager", json!({}), None, false),
        ("cert-manager-2", json!({}), Some("ingress"), false),
        ("", json!({ "generateName": "preview-" }), Some("ingress"), false),
        ("", json!({ "generateName": "kube-" }), None, false),
        ("shop", asks("none"), None, false),
        ("shop", asks("egress"), Some("egress"), false),
        ("shop", asks("all"), Some("all"), false),
        ("shop", asks("None"), Some("all"), true),
        ("kube-system", asks("all"), None, false),
        ("shop", json!({ "labels": { LABEL: "none" } }), Some("none"), false),
        ("shop", json!({ "labels": { LABEL: "" } }), Some(""), true),
        (
            "shop",
            json!({ "labels": { LABEL: "egress" }, "annotations": { LABEL: "all" } }),
            Some("egress"),
            false,
        ),
        ("shop", json!({ "labels": { LABEL: "yes" } }), Some("yes"), true),
    ];
    for (name, metadata, label, warned) in table {
        let object = namespace(name, &metadata);
        let (after, response) = mutated(&webhook, &object, &json!({}));
        assert_eq!(response["allowed"], true, "{object}");
        assert_eq!(after["metadata"]["labels"][LABEL].as_str(), label, "{object}");
        assert_eq!(response["warnings"].is_array(), warned, "{object}: {response}");
        // Nothing but the label changes, and a second call changes nothing.
        let mut rest = after.clone();
        if let Some(labels) = rest["metadata"]["labels"].as_object_mut() {
            labels.remove(LABEL);
        }
        let mut before = object.clone();
        if let Some(labels) = before["metadata"]["labels"].as_object_mut() {
            labels.remove(LABEL);
        }
        for side in [&mut rest, &mut before] {
            if side["metadata"]["labels"].as_object().is_none_or(serde_json::Map::is_empty) {
                side["metadata"].as_object_mut().unwrap().remove("labels");
            }
        }
        assert_eq!(rest, before);
        let (again, response) = mutated(&webhook, &after, &json!({}));
        assert_eq!(again, after);
        assert!(response["patch"].is_null());
    }
}

#[test]
fn only_a_namespace_that_is_created_is_changed() {
    let webhook = Webhook::start(&["--default-deny", "all"]);
    let shop = namespace("shop", &json!({}));
    let mut other = shop.clone();
    other["kind"] = "Pod".into();
    let kind = json!({ "group": "example.com", "version": "v1", "kind": "Namespace" });
    for (object, more, patched) in [
        (&shop, json!({}), true),
        (&shop, json!({ "dryRun": true }), true),
        (&shop, json!({ "operation": "UPDATE", "oldObject": shop }), false),
        (&shop, json!({ "operation": "DELETE", "object": null, "oldObject": shop }), false),
        (&shop, json!({ "subResource": "finalize" }), false),
        (&shop, json!({ "kind": kind }), false),
        (&other, json!({}), false),
    ] {
        let (_, response) = mutated(&webhook, object, &more);
        assert_eq!(response["allowed"], true, "{more}");
        assert_eq!(response["patch"].is_string(), patched, "{more}");
    }
    for object in
        [json!(null), json!([]), json!({ "kind": "Namespace", "metadata": { "labels": { "a": 1 } } })]
    {
        let kind = json!({ "group": "", "version": "v1", "kind": "Namespace" });
        let (_, response) = mutated(&webhook, &shop, &json!({ "kind": kind, "object": object }));
        assert_eq!(
            (&response["allowed"], &response["status"]["code"]),
            (&false.into(), &400.into()),
            "{object}"
        );
    }
}

#[test]
fn nothing_is_isolated_unless_asked() {
    let webhook = Webhook::start(&[]);
    let (after, _) = mutated(&webhook, &namespace("shop", &json!({})), &json!({}));
    assert!(after["metadata"]["labels"].is_null());
    let asked = namespace("shop", &json!({ "annotations": { LABEL: "all" } }));
    let (after, _) = mutated(&webhook, &asked, &json!({}));
    assert_eq!(after["metadata"]["labels"][LABEL], "all");
}
