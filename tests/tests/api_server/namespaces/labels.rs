//! Which namespaces get the label, and when.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use netpol_tests::apiserver::block_on;
use netpol_tests::webhook::{Webhook, register};
use serde_json::{Value, json};

use super::world::{LABEL, World, eventually};

const LABEL_EXISTING: &str = include_str!("../../../../manifests/components/label-existing/rbac.yaml");

/// Which namespaces are to be labelled, in these tests.
pub(super) const FLAGS: [&str; 3] =
    ["--own-namespace=own", "--default-deny=ingress", "--default-deny-selector=team in (shop,bank)"];

/// The label that a namespace gets, without creating it.
pub(super) fn dry(world: &World, metadata: &Value) -> Option<String> {
    let namespace = serde_json::from_value(json!({"metadata": metadata})).unwrap();
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    let created = block_on(Api::<Namespace>::all(world.client()).create(&parameters, &namespace));
    created.ok()?.metadata.labels?.remove(LABEL)
}

/// Waits until the API server asks about such a namespace.
pub(super) fn wait_until_asked(world: &World, mut metadata: Value) {
    metadata["generateName"] = json!("dry-");
    let asked = eventually(|| dry(world, &metadata));
    assert!(asked.is_some(), "the webhook is never asked");
}

/// New namespaces; for the flags of the tests here.
pub(super) fn creations(world: &World) {
    let asks = |value: &str| json!({LABEL: value});
    let team = |name: &str| json!({"team": name});
    for (name, labels, annotations, expected) in [
        ("a", team("shop"), json!({}), Some("ingress")),
        ("a", team("garden"), json!({}), None),
        ("a", json!({}), json!({}), None),
        ("a", json!({}), asks("egress"), Some("egress")),
        ("a", team("bank"), asks("none"), None),
        ("a", json!({"team": "bank", LABEL: "all"}), json!({}), Some("all")),
        ("kube-a", team("shop"), asks("all"), None),
        ("own", team("shop"), json!({}), None),
        ("hook-to-come", team("shop"), json!({}), Some("ingress")),
    ] {
        let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        assert_eq!(dry(world, &metadata).as_deref(), expected, "{metadata}");
    }
}

/// A namespace that is there, and changes: its author's change counts, and is never turned round.
pub(super) fn changes(world: &World) {
    let asks = |value: &str| json!({LABEL: value});
    let name = world.namespace("later", json!({}));
    let change = |patch: Value| {
        world.change(&name, json!({"metadata": patch})).unwrap().metadata.labels.unwrap().remove(LABEL)
    };
    for (patch, expected) in [
        (json!({"labels": {"a": "b"}}), None),
        (json!({"labels": {"team": "shop"}}), Some("ingress")),
        (json!({"labels": {LABEL: null}}), None),
        (json!({"labels": {"a": "c"}}), None),
        (json!({"annotations": asks("egress")}), Some("egress")),
        (json!({"annotations": asks("all")}), Some("all")),
        (json!({"annotations": {LABEL: null}}), Some("all")),
        (json!({"annotations": asks("none")}), Some("none")),
        (json!({"labels": {LABEL: "egress"}, "annotations": asks("all")}), Some("egress")),
    ] {
        assert_eq!(change(patch.clone()).as_deref(), expected, "{patch}");
    }
}

#[test]
fn each_namespace_gets_the_label_that_is_due() {
    let Some(world) = World::enter("each_namespace_gets_the_label_that_is_due") else { return };
    let webhook = Webhook::start(&world.kubeconfig, &[&FLAGS[..], &["--drain-time=0s"]].concat()).unwrap();
    let ours = json!({"key": "labels-test", "operator": "DoesNotExist"});
    let registration = register(world.server, webhook.port(), &webhook.ca().unwrap(), &ours, None).unwrap();
    wait_until_asked(&world, json!({"labels": {"team": "shop"}}));

    creations(&world);

    // A namespace that the API server will call into, known from the cluster itself.
    let hook = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: to-come}\n\
                webhooks: [{name: to-come.example.com, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Ignore, \
                clientConfig: {service: {namespace: hook-to-come, name: hook}}, rules: []}]\n";
    world.server.apply("", hook).unwrap();
    let to_come = || dry(&world, &json!({"name": "hook-to-come", "labels": {"team": "shop"}}));
    assert!(eventually(|| to_come().is_none().then_some(())).is_some(), "it is exempt");
    world.server.delete("", hook).unwrap();
    assert!(eventually(to_come).is_some(), "it isn't any more");

    changes(&world);
    drop(registration);
    assert!(webhook.stop().unwrap().success());
}

#[test]
fn existing_namespaces_are_labelled_when_asked() {
    let Some(world) = World::enter("existing_namespaces_are_labelled_when_asked") else { return };
    let of = |kind: &str| world.namespace("existing", json!({"labels": {"existing": kind}}));
    let (old, left) = (of("old"), of("left"));
    let opted_out =
        world.namespace("existing", json!({"labels": {"existing": "old"}, "annotations": {LABEL: "none"}}));
    let arguments = ["--default-deny=all", "--default-deny-selector=existing=old", "--label-existing"];
    let webhook = world.webhook(&arguments);
    // Not without the right to, which the base doesn't give.
    let failed = eventually(|| (webhook.metric("controller_failures_total").unwrap() > 0).then_some(()));
    assert!(failed.is_some());
    world.server.apply("", LABEL_EXISTING).unwrap();
    let deny = ["netpol-default-deny: Ingress,Egress 0"];
    world.until(&old, &deny);
    let labels = world.change(&old, json!({})).unwrap().metadata.labels.unwrap();
    assert_eq!(labels.get(LABEL).map(String::as_str), Some("all"));
    for name in [&left, &opted_out] {
        let labels = world.change(name, json!({})).unwrap().metadata.labels.unwrap();
        assert!(!labels.contains_key(LABEL), "{name}");
    }
    // The value none opts out.
    world.label(&old, Some("none"));
    world.until(&old, &[]);
    world.server.delete("", LABEL_EXISTING).unwrap();
    assert!(webhook.stop().unwrap().success());
}
