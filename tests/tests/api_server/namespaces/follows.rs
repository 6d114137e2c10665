//! The policies follow the label, and nothing else.

use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use netpol_tests::apiserver::block_on;
use serde_json::{Value, json};

use super::world::{World, eventually};

const BOTH: [&str; 2] = ["netpol-allow-dns: Egress 1", "netpol-default-deny: Ingress,Egress 0"];

fn patch(world: &World, namespace: &str, patch: Value) {
    let api = world.policies(namespace);
    block_on(api.patch("netpol-default-deny", &PatchParams::default(), &Patch::Merge(patch))).unwrap();
}

#[test]
fn policies_follow_the_label() {
    let Some(world) = World::enter("policies_follow_the_label") else { return };
    // One that is labelled already, and one whose owner has a policy of that name.
    let (old, taken) = (world.isolated("old", "egress"), world.isolated("taken", "all"));
    let theirs = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: netpol-default-deny}\n\
                  spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{}]}\n";
    world.server.apply(&taken, theirs).unwrap();
    let webhook = world.webhook(&["--allow-dns"]);
    world.until(&old, &["netpol-allow-dns: Egress 1", "netpol-default-deny: Egress 0"]);

    let name = world.isolated("shop", "all");
    world.until(&name, &BOTH);
    world.label(&name, Some("ingress"));
    world.until(&name, &["netpol-default-deny: Ingress 0"]);
    for open in [Some("none"), None] {
        world.label(&name, open);
        world.until(&name, &[]);
        world.label(&name, Some("all"));
        world.until(&name, &BOTH);
    }

    // Deleted, changed, and made to look like somebody else's: it is as it was again.
    let uid = world.policy(&name, "netpol-default-deny").unwrap().metadata.uid;
    block_on(world.policies(&name).delete("netpol-default-deny", &DeleteParams::default())).unwrap();
    world.until(&name, &BOTH);
    assert_ne!(world.policy(&name, "netpol-default-deny").unwrap().metadata.uid, uid);
    patch(&world, &name, json!({"spec": {"ingress": [{}], "podSelector": {"matchLabels": {"app": "web"}}}}));
    world.until(&name, &BOTH);
    patch(&world, &name, json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}));
    let labelled = eventually(|| {
        let policy = world.policy(&name, "netpol-default-deny")?;
        let labels = policy.metadata.labels?;
        assert_eq!(policy.spec?.pod_selector, Some(Default::default()));
        labels.get("app.kubernetes.io/managed-by").filter(|value| *value == "netpol-webhook").map(drop)
    });
    assert!(labelled.is_some(), "the label is back");
    // What others add beside it stays.
    patch(&world, &name, json!({"metadata": {"annotations": {"note": "ours"}}}));

    // Somebody else's is left alone, and goes on after the label.
    let found = world.policy(&taken, "netpol-default-deny").unwrap();
    assert_eq!(found.spec.unwrap().ingress.map(|rules| rules.len()), Some(1));
    assert!(webhook.metric("controller_name_taken_total").unwrap() > 0);
    world.label(&taken, None);
    world.until(&taken, &["netpol-default-deny: Ingress 1"]);

    // It is said where people look.
    let events = Api::<Event>::namespaced(world.client(), "default");
    for (namespace, reason) in
        [(&name, "PolicyCreated"), (&name, "PolicyRepaired"), (&name, "PolicyDeleted"), (&taken, "NameTaken")]
    {
        let said = eventually(|| {
            let events = block_on(events.list(&ListParams::default())).unwrap().items;
            let about = |event: &Event| {
                let regarding = event.regarding.as_ref().and_then(|regarding| regarding.name.as_ref());
                regarding == Some(namespace) && event.reason.as_deref() == Some(reason)
            };
            events.iter().any(about).then_some(())
        });
        assert!(said.is_some(), "{reason} of {namespace}");
    }
    assert_eq!(webhook.metric("controller_failures_total").unwrap(), 0);
    assert!(webhook.stop().unwrap().success());
}

#[test]
fn a_namespace_that_goes_is_let_go() {
    let Some(world) = World::enter("a_namespace_that_goes_is_let_go") else { return };
    let webhook = world.webhook(&["--allow-dns"]);
    let (name, other) = (world.isolated("going", "all"), world.isolated("staying", "all"));
    world.until(&name, &BOTH);
    world.until(&other, &BOTH);
    let created = webhook.metric("controller_writes_total{operation=\"create\"}").unwrap();

    // Nothing but the deletion happens here: this cluster has no controller that would finish it.
    world.delete(&name);
    for policy in ["netpol-default-deny", "netpol-allow-dns"] {
        block_on(world.policies(&name).delete(policy, &DeleteParams::default())).unwrap();
    }
    // What comes later is done later: everything about the one that goes has been looked at by then.
    block_on(world.policies(&other).delete("netpol-default-deny", &DeleteParams::default())).unwrap();
    world.until(&other, &BOTH);
    assert_eq!(world.shape(&name), [""; 0]);
    let idle = eventually(|| (webhook.metric("controller_queue_depth").unwrap() == 0).then_some(()));
    assert!(idle.is_some());
    assert_eq!(webhook.metric("controller_writes_total{operation=\"create\"}").unwrap(), created + 1);
    assert_eq!(webhook.metric("controller_failures_total").unwrap(), 0);
    // Three events of the one, two of the other.
    let looks = webhook.metric("controller_looks_total").unwrap();
    world.label(&other, Some("ingress"));
    world.until(&other, &["netpol-default-deny: Ingress 0"]);
    let more = webhook.metric("controller_looks_total").unwrap() - looks;
    assert!(more < 10, "{more} looks for one change");
    assert!(webhook.stop().unwrap().success());
}

#[test]
fn what_the_cluster_depends_on_is_exempt() {
    let Some(world) = World::enter("what_the_cluster_depends_on_is_exempt") else { return };
    let webhook = world.webhook(&["--exempt-namespace", "exempt-by-flag"]);
    let labelled = |name: &str| json!({"name": name, "labels": {super::world::LABEL: "all"}});
    for name in ["kube-exempt", "exempt-by-flag"] {
        world.create(&labelled(name)).unwrap();
    }
    let (hook, service) = (world.isolated("hook", "all"), world.isolated("service", "all"));
    let deny = ["netpol-default-deny: Ingress,Egress 0"];
    let backs = [
        (
            &hook,
            format!(
                "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {{name: hook}}\n\
             webhooks: [{{name: hook.example.com, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Ignore, \
             clientConfig: {{service: {{namespace: {hook}, name: hook}}}}, rules: []}}]\n"
            ),
        ),
        (
            &hook,
            format!(
                "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: hook}}\n\
             webhooks: [{{name: hook.example.com, sideEffects: None, admissionReviewVersions: [v1], failurePolicy: Ignore, \
             clientConfig: {{service: {{namespace: {hook}, name: hook}}}}, rules: []}}]\n"
            ),
        ),
        (
            &service,
            format!(
                "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {{name: v1.example.com}}\n\
             spec: {{group: example.com, version: v1, groupPriorityMinimum: 100, versionPriority: 100, \
             insecureSkipTLSVerify: true, service: {{namespace: {service}, name: api}}}}\n"
            ),
        ),
    ];
    for (namespace, object) in backs {
        world.until(namespace, &deny);
        world.server.apply("", &object).unwrap();
        world.until(namespace, &[]);
        world.server.delete("", &object).unwrap();
        world.until(namespace, &deny);
    }
    for name in ["kube-exempt", "exempt-by-flag"] {
        assert_eq!(world.shape(name), [""; 0], "{name}");
    }
    assert!(webhook.stop().unwrap().success());
}
