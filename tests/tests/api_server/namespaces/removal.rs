//! To take isolation away takes a right.

use kube::Client;
use netpol_tests::webhook::Webhook;
use serde_json::{Value, json};

use netpol_policy::model::AUDIT_ANNOTATION as AUDIT;

use super::world::{LABEL, World, change, eventually};

/// May change namespaces, and nothing more; and who has the right beside it.
pub(super) const USERS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: change-namespaces}
rules: [{apiGroups: [''], resources: [namespaces], verbs: [get, patch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: change-namespaces}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: change-namespaces}
subjects: [{kind: Group, name: changers, apiGroup: rbac.authorization.k8s.io}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: remove-isolation}
rules: [{apiGroups: [netpol.dev], resources: [namespaces], verbs: [remove-isolation]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: remove-isolation}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: remove-isolation}
subjects: [{kind: User, name: guardian, apiGroup: rbac.authorization.k8s.io}]
";

/// A tenant that holds every right inside the namespace.
pub(super) const TENANT: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: User, name: tenant, apiGroup: rbac.authorization.k8s.io}]
";

fn labelled(mode: Option<&str>) -> Value {
    json!({"metadata": {"labels": {LABEL: mode}}})
}

fn label(world: &World, name: &str) -> Option<String> {
    world.change(name, json!({})).unwrap().metadata.labels?.remove(LABEL)
}

/// Waits until the API server asks before it lets the label go.
pub(super) fn wait_until_guarded(user: &Client, name: &str) {
    let refused = eventually(|| {
        let dry = kube::api::PatchParams { dry_run: true, ..Default::default() };
        let api = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(user.clone());
        let patch = kube::api::Patch::Merge(labelled(None));
        netpol_tests::apiserver::block_on(api.patch(name, &dry, &patch)).err()
    });
    let message = refused.expect("it is asked").to_string();
    assert!(message.contains("remove-isolation"), "{message}");
}

/// Changes by somebody without the right and by somebody with it; `said` is in every refusal.
pub(super) fn changes(world: &World, name: &str, tenant: &Client, guardian: &Client, said: &str) {
    let annotated = |value: &str| json!({"metadata": {"annotations": {LABEL: value}}});
    let audited = |value: Option<&str>| json!({"metadata": {"annotations": {AUDIT: value}}});
    for (patch, fine) in [
        (labelled(None), false),
        (labelled(Some("none")), false),
        (labelled(Some("ingress")), false),
        (annotated("none"), false),
        (annotated("egress"), false),
        (json!({"metadata": {"labels": null}}), false),
        (audited(Some("true")), false),
        (json!({"metadata": {"labels": {LABEL: "ingress"}, "annotations": {AUDIT: "true"}}}), false),
        // It enforces.
        (audited(Some("yes")), true),
        (audited(Some("true")), false),
        (audited(None), true),
        // What isn't known isolates both directions, as `all` does.
        (labelled(Some("isolate")), true),
        (labelled(Some("")), true),
        (labelled(Some("all")), true),
        (json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"a": "b"}}}), true),
    ] {
        let changed = change(tenant, name, patch.clone());
        assert_eq!(changed.is_ok(), fine, "{patch}: {changed:?}");
        if let Err(kube::Error::Api(status)) = changed {
            assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"), "{status:?}");
            let text = format!("{} {:?}", status.message, status.details);
            assert!(text.contains(said), "{text}");
            assert_eq!(label(world, name).as_deref(), Some("all"), "{patch}");
        }
    }
    for mode in [Some("ingress"), Some("all"), None] {
        change(guardian, name, labelled(mode)).unwrap();
        assert_eq!(label(world, name).as_deref(), mode);
    }
    // Who has the right may have policies only audited; others may change the rest then, and end it.
    change(guardian, name, audited(Some("true"))).unwrap();
    change(tenant, name, json!({"metadata": {"labels": {"team": "shop"}, "annotations": {"a": "c"}}}))
        .unwrap();
    change(tenant, name, audited(None)).unwrap();
    change(tenant, name, audited(Some("true"))).unwrap_err();
    // The annotation brings it back, and takes it away for who has the right.
    change(tenant, name, annotated("egress")).unwrap();
    assert_eq!(label(world, name).as_deref(), Some("egress"));
    change(guardian, name, annotated("none")).unwrap();
    assert_eq!(label(world, name).as_deref(), Some("none"));
}

#[test]
fn to_remove_isolation_takes_a_right() {
    let Some(world) = World::enter("to_remove_isolation_takes_a_right") else { return };
    world.server.apply("", USERS).unwrap();
    let name = world.isolated("guarded", "all");
    world.server.apply(&name, TENANT).unwrap();
    let webhook =
        Webhook::start(&world.kubeconfig, &["--own-namespace=netpol-system", "--drain-time=0s"]).unwrap();
    let registration = webhook.register(world.server, &[&name, "asks-alone"]).unwrap();
    let tenant = world.server.client_as("tenant", &["changers"]).unwrap();
    let guardian = world.server.client_as("guardian", &["changers"]).unwrap();
    wait_until_guarded(&tenant, &name);

    changes(&world, &name, &tenant, &guardian, "IsolationRemoval");

    // While nobody answers: the label can't go and audit can't begin, all else goes on.
    change(&tenant, &name, labelled(Some("all"))).unwrap();
    assert!(webhook.stop().unwrap().success());
    let refused = change(&guardian, &name, labelled(None)).unwrap_err().to_string();
    assert!(refused.contains("failed calling webhook"), "{refused}");
    let audit = json!({"metadata": {"annotations": {AUDIT: "true"}}});
    let refused = change(&guardian, &name, audit).unwrap_err().to_string();
    assert!(refused.contains("failed calling webhook"), "{refused}");
    let other =
        json!({"metadata": {"labels": {"team": "bank"}, "annotations": {"a": "c"}, "finalizers": ["a/b"]}});
    change(&tenant, &name, other).unwrap();
    world.delete(&name);
    change(&tenant, &name, json!({"metadata": {"finalizers": null, "labels": {LABEL: null}}})).unwrap();

    // What asks for isolation is never created without its label; who doesn't ask doesn't wait.
    let asks = json!({"name": "asks-alone", "annotations": {LABEL: "all"}});
    let refused = world.create(&asks).unwrap_err().to_string();
    assert!(refused.contains("asking.namespaces.netpol.dev"), "{refused}");
    world.create(&json!({"name": "asks-alone"})).unwrap();
    world.delete("asks-alone");
    drop(registration);
}

#[test]
fn the_right_can_be_left_out() {
    let Some(world) = World::enter("the_right_can_be_left_out") else { return };
    world.server.apply("", USERS).unwrap();
    let (name, probe) = (world.isolated("open", "all"), world.isolated("open", "all"));
    let arguments = ["--isolation-removal=anybody", "--default-deny=all", "--drain-time=0s"];
    let webhook = Webhook::start(&world.kubeconfig, &arguments).unwrap();
    let registration = webhook.register(world.server, &[&name, &probe]).unwrap();
    let tenant = world.server.client_as("tenant", &["changers"]).unwrap();
    // It is asked, as the annotation shows, and what was removed stays removed.
    let asked = eventually(|| {
        change(&tenant, &probe, json!({"metadata": {"annotations": {LABEL: null}}})).unwrap();
        change(&tenant, &probe, json!({"metadata": {"annotations": {LABEL: "egress"}}})).unwrap();
        (label(&world, &probe).as_deref() == Some("egress")).then_some(())
    });
    assert!(asked.is_some());
    change(&tenant, &name, labelled(None)).unwrap();
    change(&tenant, &name, json!({"metadata": {"labels": {"team": "shop"}}})).unwrap();
    assert_eq!(label(&world, &name), None);
    drop(registration);
    assert!(webhook.stop().unwrap().success());
}
