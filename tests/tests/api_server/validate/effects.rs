//! What findings do, by namespace; the way round; repairs; previews; what is never looked at.

use std::fs;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use netpol_tests::apiserver::{ApiServer, TempNamespace, block_on};
use serde_json::json;

use super::{Validating, eventually, policy};

/// Rules of a direction that `policyTypes` leaves out: NP107, an error. NP301 is a warning.
const BAD: &str = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}";
const WORSE: &str = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchExpressions: [{key: app, operator: In, values: [a]}, {key: app, operator: In, values: [b]}]}}]}], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}";
const LESS_BAD: &str = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}]}]}";
const GOOD: &str = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: api}}}], ports: [{protocol: TCP, port: 5432}]}]}";

fn refusal(server: &ApiServer, namespace: &str, text: &str) -> Option<String> {
    server.apply(namespace, text).err().map(|error| format!("{error:#}"))
}

/// Waits until the API server asks the webhook about a namespace in which errors deny.
fn wait_until_asked(server: &ApiServer, namespace: &str) {
    eventually("the API server asks", || {
        let refused = refusal(server, namespace, &policy(BAD, "")).is_some();
        if !refused {
            server.delete(namespace, &policy(BAD, "")).unwrap();
        }
        refused
    });
}

#[test]
fn effects_are_those_of_the_namespace() {
    let Some(server) = ApiServer::shared("effects_are_those_of_the_namespace") else { return };
    let [deny, warn, audit, off] =
        ["eff-deny", "eff-warn", "eff-audit", "eff-off"].map(|prefix| server.namespace(prefix).unwrap());
    let config = "
namespaces:
  - {names: [eff-warn-*], effects: {NP107: warn}}
  - {selector: {matchLabels: {stage: test}}, effects: {rules-not-in-policy-types: audit}}
  - {names: [eff-off-*], effects: {NP1: off}}
";
    let labels = format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {}, labels: {{stage: test}}}}}}",
        audit.name()
    );
    server.apply("", &labels).unwrap();
    let validating = Validating::start(server, config, &[]);
    let webhook = &validating.webhook;
    let names = [&deny, &warn, &audit, &off].map(TempNamespace::name);
    let _registration = webhook.register(server, &names).unwrap();
    wait_until_asked(server, deny.name());
    let message = refusal(server, deny.name(), &policy(BAD, "")).unwrap();
    assert!(message.contains("NP107"), "{message}");

    let decided = |namespace: &str| {
        webhook.log(|line| line["message"] == "decided" && line["namespace"] == namespace).unwrap()
    };
    for (namespace, warnings) in [(&warn, true), (&audit, false), (&off, false)] {
        assert_eq!(refusal(server, namespace.name(), &policy(BAD, "")), None, "{}", namespace.name());
        assert_eq!(
            decided(namespace.name())["warnings"].as_u64() > Some(0),
            warnings,
            "{}",
            namespace.name()
        );
    }

    // A new file counts from then on; one that can't be used doesn't.
    fs::write(validating.config.path(), "efects: {}").unwrap();
    let refused = webhook
        .log(|line| line["error"].as_str().is_some_and(|error| error.contains("did you mean `effects`")));
    refused.unwrap();
    assert!(refusal(server, deny.name(), &policy(BAD, "")).is_some());
    fs::write(validating.config.path(), "effects: {NP107: warn}").unwrap();
    eventually("the new configuration counts", || refusal(server, deny.name(), &policy(BAD, "")).is_none());
}

#[test]
fn a_reason_breaks_the_glass() {
    let Some(server) = ApiServer::shared("a_reason_breaks_the_glass") else { return };
    let namespace = server.namespace("glass").unwrap();
    let name = namespace.name();
    let validating = Validating::start(server, "break-glass: {groups: ['system:masters', sre]}", &[]);
    let webhook = &validating.webhook;
    let _registration = webhook.register(server, &[name]).unwrap();
    wait_until_asked(server, name);
    let message = refusal(server, name, &policy(BAD, "netpol.dev/break-glass: why not")).unwrap();
    assert!(message.contains("needs a reason of at least 10 characters"), "{message}");
    assert_eq!(
        refusal(server, name, &policy(BAD, "netpol.dev/break-glass: 'incident 4711, shop is down'")),
        None
    );
    let line = webhook.log(|line| line["message"] == "break-glass").unwrap();
    let note = line["note"].as_str().unwrap();
    assert!(note.contains("codes=NP107") && note.contains("incident 4711"), "{note}");
    assert_eq!(webhook.metric("verdicts_total{verdict=\"break_glass\"}").unwrap(), 1);
}

#[test]
fn repairs_and_what_is_no_content_are_let_through() {
    let Some(server) = ApiServer::shared("repairs_and_what_is_no_content_are_let_through") else { return };
    let namespace = server.namespace("repair").unwrap();
    let name = namespace.name();
    // Stored before the webhook came.
    server.apply(name, &policy(BAD, "")).unwrap();
    let other = policy(GOOD, "").replace("name: db", "name: probe");
    let validating = Validating::start(server, "", &[]);
    let _registration = validating.webhook.register(server, &[name]).unwrap();
    let probe = policy(BAD, "").replace("name: db", "name: probe");
    eventually("the API server asks", || {
        let refused = refusal(server, name, &probe).is_some();
        if !refused {
            server.delete(name, &probe).unwrap();
        }
        refused
    });
    // Better, but not good; labels; finalizers; a second thing that is wrong.
    assert_eq!(refusal(server, name, &policy(LESS_BAD, "")), None);
    assert_eq!(refusal(server, name, &policy(LESS_BAD, "owner: shop")), None);
    let message = refusal(server, name, &policy(WORSE, "")).unwrap();
    assert!(message.contains("NP201") && !message.contains("NP107"), "{message}");
    assert_eq!(refusal(server, name, &policy(GOOD, "")), None);
    // Once repaired it may not go back.
    assert!(refusal(server, name, &policy(BAD, "")).unwrap().contains("NP107"));
    server.apply(name, &other).unwrap();

    let api = Api::<NetworkPolicy>::namespaced(server.client().unwrap(), name);
    block_on(async {
        let finalizer = json!({"metadata": {"finalizers": ["example.com/wait"]}});
        api.patch("db", &PatchParams::default(), &Patch::Merge(&finalizer)).await.unwrap();
        api.delete("db", &DeleteParams::default()).await.unwrap();
        let none = json!({"metadata": {"finalizers": null}});
        api.patch("db", &PatchParams::default(), &Patch::Merge(&none)).await.unwrap();
        assert!(api.get_opt("db").await.unwrap().is_none());
    });
}

#[test]
fn an_update_tells_its_effect() {
    let Some(server) = ApiServer::shared("an_update_tells_its_effect") else { return };
    let namespace = server.namespace("preview").unwrap();
    let name = namespace.name();
    let pod = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {name}}}}}, spec: {{containers: [{{name: a, image: example.com/a, ports: [{{containerPort: 5432}}]}}]}}}}\n"
        )
    };
    for app in ["db", "api", "web"] {
        server.apply(name, &pod(app)).unwrap();
    }
    let validating = Validating::start(server, "", &[]);
    let webhook = &validating.webhook;
    let _registration = webhook.register(server, &[name]).unwrap();
    wait_until_asked(server, name);
    server.apply(name, &policy(GOOD, "")).unwrap();
    let told = |what: &str| {
        let decided = webhook.log(|line| {
            line["message"] == "decided"
                && line["effect"].as_str().is_some_and(|effect| effect.contains(what))
        });
        decided.unwrap()["effect"].as_str().unwrap().to_owned()
    };
    told("isolates 1 pod for ingress");
    let effect = told(&format!("{name}/web -> {name}/db"));
    assert!(effect.contains("close"), "{effect}");
    server.apply(name, &policy(&GOOD.replace("app: api", "app: web"), "")).unwrap();
    let effect = told("1 flow that was closed opens");
    assert!(effect.contains(&format!("closes: {name}/api -> {name}/db (TCP 5432)")), "{effect}");
    assert!(effect.contains(&format!("opens: {name}/web -> {name}/db (TCP 5432)")), "{effect}");
}

#[test]
fn it_resumes_after_the_api_server() {
    if netpol_tests::apiserver::skip("it_resumes_after_the_api_server") {
        return;
    }
    let server = ApiServer::start().unwrap();
    let namespace = server.namespace("resume").unwrap();
    let name = namespace.name().to_owned();
    let validating = Validating::start(&server, "", &[]);
    let webhook = &validating.webhook;
    let pods = || webhook.metric("cluster_objects{kind=\"pods\"}").unwrap();
    assert_eq!(pods(), 0);
    server.stop().unwrap();
    eventually("it notices", || {
        let page = webhook.get("/metrics").unwrap();
        let age = page.lines().find_map(|line| line.strip_prefix("netpol_webhook_cluster_age_seconds "));
        age.is_some_and(|age| age.parse::<f64>().unwrap() > 6.0)
    });
    // It goes on with what it knows.
    webhook.get("/readyz").unwrap();
    server.restart().unwrap();
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: example.com/a}]}}";
    server.apply(&name, pod).unwrap();
    eventually("it knows what is new", || pods() == 1);
}
