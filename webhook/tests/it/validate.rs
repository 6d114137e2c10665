//! NetworkPolicies are let in, let in with a warning, or refused with a reason.

use serde_json::{Value, json};

use crate::support::{Webhook, policy, review};

const GOOD: &str = "
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchLabels: {app: backend}}
  ports:
  - {protocol: TCP, port: 3306}
";

const BAD: &str = "
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - ipBlock: {cidr: 10.0.0.0/33}
  - ipBlock: {cidr: 10.0.0.0/8}
    podSelector: {}
";

const SPLIT: &str = "
podSelector: {matchLabels: {app: db}}
policyTypes: [Ingress]
ingress:
- from:
  - namespaceSelector: {matchLabels: {team: shop}}
  - podSelector: {matchLabels: {app: backend}}
";

fn validated(webhook: &Webhook, object: &Value, more: &Value) -> Value {
    let response = webhook.post("/validate?timeout=10s", review("the-uid", object, more)).response();
    assert_eq!(response["uid"], "the-uid");
    assert!(response["patch"].is_null());
    response
}

#[test]
fn a_policy_does_not_let_itself_in() {
    let webhook = Webhook::start(&[]);
    let mut object = policy(BAD);
    object["metadata"]["annotations"] = json!({ "netpol.dev/lint-ignore": "ALL" });
    assert_eq!(validated(&webhook, &object, &json!({}))["allowed"], false);
}

#[test]
fn a_refusal_names_code_path_and_fix() {
    let webhook = Webhook::start(&[]);
    let response = validated(&webhook, &policy(GOOD), &json!({}));
    assert_eq!(response, json!({ "uid": "the-uid", "allowed": true }));

    let response = validated(&webhook, &policy(SPLIT), &json!({}));
    assert_eq!(response["allowed"], true);
    let warning = response["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("NP101 split-peer-selectors at spec.ingress[0].from[1]: "), "{warning}");
    assert!(warning.contains("; fix: "), "{warning}");

    let response = validated(&webhook, &policy(BAD), &json!({}));
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!((&status["code"], &status["reason"]), (&403.into(), &"Forbidden".into()));
    let details = &status["details"];
    assert_eq!(details["name"], "db");
    assert_eq!((&details["group"], &details["kind"]), (&"networking.k8s.io".into(), &"NetworkPolicy".into()));
    let causes: Vec<_> = details["causes"].as_array().unwrap().iter().collect();
    let places: Vec<_> =
        causes.iter().map(|c| (c["reason"].as_str().unwrap(), c["field"].as_str().unwrap())).collect();
    assert_eq!(
        places,
        [("NP010", "spec.ingress[0].from[0].ipBlock.cidr"), ("NP004", "spec.ingress[0].from[1]")]
    );
    let message = status["message"].as_str().unwrap();
    assert!(
        message.starts_with("NetworkPolicy shop/db is refused:\n  NP010 invalid-cidr at spec.ingress[0]"),
        "{message}"
    );
    for cause in causes {
        assert!(cause["message"].as_str().unwrap().contains("; fix: "), "{cause}");
        assert!(message.contains(cause["message"].as_str().unwrap()));
    }

    let decided = webhook.log(|line| line["message"] == "decided" && line["allowed"] == false);
    assert_eq!((&decided["uid"], &decided["name"]), (&"the-uid".into(), &"db".into()));
}

#[test]
fn only_what_changes_the_meaning_of_a_policy_is_refused() {
    let webhook = Webhook::start(&[]);
    let bad = policy(BAD);
    let mut going = bad.clone();
    going["metadata"]["deletionTimestamp"] = "2025-01-01T00:00:00Z".into();
    let mut relabelled = bad.clone();
    relabelled["metadata"]["labels"] = json!({ "owner": "someone-else" });
    let pod = json!({ "group": "", "version": "v1", "kind": "Pod" });
    for (object, more, allowed, warned) in [
        (&bad, json!({}), false, false),
        (&bad, json!({ "dryRun": true }), false, false),
        (&bad, json!({ "operation": "UPDATE", "oldObject": policy(GOOD) }), false, false),
        (&policy(GOOD), json!({ "operation": "UPDATE", "oldObject": bad }), true, false),
        (&relabelled, json!({ "operation": "UPDATE", "oldObject": bad }), true, true),
        (&going, json!({ "operation": "UPDATE", "oldObject": policy(GOOD) }), true, true),
        (&bad, json!({ "operation": "UPDATE", "oldObject": null }), false, false),
        (&bad, json!({ "operation": "DELETE", "object": null, "oldObject": bad }), true, false),
        (&bad, json!({ "operation": "UPDATE", "subResource": "status" }), true, false),
        (&bad, json!({ "kind": pod }), true, false),
    ] {
        let response = validated(&webhook, object, &more);
        assert_eq!(response["allowed"], allowed, "{more}: {response}");
        assert_eq!(response["warnings"].is_array(), warned, "{more}: {response}");
    }
}

#[test]
fn an_object_is_judged_as_what_it_is_stored_as() {
    let webhook = Webhook::start(&[]);
    let kind = json!({ "group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy" });
    // Nothing that it says of itself takes it out of sight of the rules.
    let mut disguised = policy(BAD);
    disguised["kind"] = "ConfigMap".into();
    let response = validated(&webhook, &disguised, &json!({ "kind": kind }));
    assert_eq!(response["status"]["code"], 403);
    for object in [json!(null), json!([]), json!("text"), json!(7)] {
        let response = validated(&webhook, &policy(GOOD), &json!({ "object": object }));
        assert_eq!(
            (&response["allowed"], &response["status"]["code"]),
            (&false.into(), &400.into()),
            "{object}"
        );
    }
    let response = validated(&webhook, &policy(GOOD), &json!({ "object": {} }));
    assert_eq!(response["allowed"], false, "{response}");
}

#[test]
fn what_was_written_is_looked_at_where_kubectl_left_it() {
    let webhook = Webhook::start(&[]);
    // As the API server passes it on: the empty list is gone, the default is there.
    let stored = "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{protocol: TCP, port: 80}]}]}";
    let applied = |spec: &str| {
        let mut object = policy(stored);
        let written = policy(spec).to_string();
        object["metadata"]["annotations"] =
            json!({ "kubectl.kubernetes.io/last-applied-configuration": written });
        object
    };
    let open = applied("{podSelector: {}, ingress: [{from: [], ports: [{protocol: TCP, port: 80}]}]}");
    let same = applied(stored);
    let mut torn = open.clone();
    torn["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{".into();
    for (object, more, codes) in [
        (&open, json!({}), &["NP106", "NP103"][..]),
        (&open, json!({ "operation": "UPDATE", "oldObject": same }), &["NP106", "NP103"]),
        // Said when it was applied; whoever changes the object otherwise didn't write it.
        (&open, json!({ "operation": "UPDATE", "oldObject": open }), &[]),
        (&same, json!({}), &[]),
        (&torn, json!({}), &[]),
    ] {
        let response = validated(&webhook, object, &more);
        assert_eq!(response["allowed"], true, "{response}");
        let warnings =
            response["warnings"].as_array().into_iter().flatten().map(|text| text.as_str().unwrap());
        let warnings: Vec<_> = warnings.collect();
        assert_eq!(warnings.iter().map(|text| &text[..5]).collect::<Vec<_>>(), codes, "{more}: {response}");
        assert!(warnings.iter().all(|text| text.ends_with(" (in the manifest as applied)")), "{response}");
    }
}
