//! Admission policies say what the webhook says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use http::Request;
use kube::Client;
use kube::client::Body;
use netpol_tests::apiserver::block_on;
use netpol_tests::programs;
use netpol_tests::random::Rng;
use netpol_tests::webhook::Webhook;
use serde_json::{Value, json};

use super::world::{World, eventually};
use super::{labels, removal};

/// Rules that find less in CEL than with the linter.
const PARTIAL: [&str; 1] = ["NP101"];

/// Policies at random, after those below.
const RANDOM: usize = 100;

fn render(arguments: &[&str]) -> String {
    let mut command = Command::new(programs::webhook().unwrap());
    let output = command.arg("render").args(arguments).env_remove("POD_NAMESPACE").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The objects as they are shipped, one by one.
fn objects(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

#[test]
fn the_shipped_policies_are_what_is_rendered() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../manifests/overlays/admission-policies-only/policies.yaml");
    let shipped = fs::read_to_string(path).unwrap();
    assert!(
        shipped == render(&[]),
        "run: netpol-webhook render > manifests/overlays/admission-policies-only/policies.yaml"
    );
}

/// Specs that break a rule each, and some that come near.
const SPECS: &[&str] = &[
    "{podSelector: {}, policyTypes: [Ingress]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}}}, {podSelector: {matchLabels: {app: web}}}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {a: b}}}, {podSelector: {}}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{}, {}]}",
    "{podSelector: {}, policyTypes: [Egress], ingress: [{}]}",
    "{podSelector: {}, policyTypes: [Ingress], egress: [{ports: [{port: 53}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{protocol: UDP}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{protocol: UDP}, {protocol: TCP}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{protocol: UDP}, {port: 53}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{}, {ports: [{port: 80}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{namespaceSelector: {matchLabels: {name: shop}}}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchExpressions: [{key: name, operator: NotIn, values: [shop]}]}}]}]}",
    "{podSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}, policyTypes: [Ingress]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: Exists}]}}]}]}",
    "{podSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: DoesNotExist}]}, policyTypes: [Ingress]}",
    "{podSelector: {matchLabels: {pod-template-hash: abc}}, policyTypes: [Ingress]}",
    "{podSelector: {matchLabels: {version: v1.2.3}}, policyTypes: [Ingress]}",
    "{podSelector: {matchLabels: {version: stable}}, policyTypes: [Ingress]}",
    "{podSelector: {matchExpressions: [{key: chart, operator: In, values: [web, web-1.20.3]}]}, policyTypes: [Ingress]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: http}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: '2001:DB8::/32'}}], ports: [{port: 443}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 3306}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: '::/0'}}], ports: [{port: 443}, {port: https}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: '::/0'}}]}]}",
    "{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80, endPort: 80}, {port: 80, endPort: 81}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 443}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 160.0.0.0/4, except: [169.254.0.0/16]}}], ports: [{port: 79, endPort: 81}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 160.0.0.0/4}}, {ipBlock: {cidr: 169.254.169.254/32}}], ports: [{port: 80}]}]}",
    "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 160.0.0.0/4}}], ports: [{protocol: TCP}]}, {ports: [{port: 8080}]}]}",
];

/// A spec of parts that the rules are about.
fn random(rng: &mut Rng) -> Value {
    let own = [
        "{}",
        "{matchLabels: {app: web}}",
        "{matchLabels: {version: 1.2.3}}",
        "{matchLabels: {helm.sh/chart: web}}",
        "{matchExpressions: [{key: app, operator: In, values: [a, b]}]}",
        "{matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [a]}]}",
    ];
    let namespaces = [
        "{}",
        "{matchLabels: {name: shop}}",
        "{matchLabels: {kubernetes.io/metadata.name: shop}}",
        "{matchExpressions: [{key: name, operator: In, values: [a, b]}]}",
        "{matchExpressions: [{key: name, operator: Exists}]}",
    ];
    let cidrs = [
        "{cidr: 0.0.0.0/0}",
        "{cidr: 0.0.0.0/0, except: [169.254.169.254/32]}",
        "{cidr: '::/0'}",
        "{cidr: 10.0.0.0/8}",
        "{cidr: 169.254.0.0/16}",
        "{cidr: 128.0.0.0/1, except: [169.254.0.0/17]}",
        "{cidr: 'FD00::/8'}",
        "{cidr: 'fd00:0::/8'}",
    ];
    let ports = [
        "{port: 80}",
        "{port: 443}",
        "{port: http}",
        "{port: web}",
        "{port: db}",
        "{protocol: UDP}",
        "{}",
        "{protocol: SCTP, port: 80}",
        "{protocol: UDP, port: 53}",
        "{port: 1, endPort: 1024}",
        "{port: 80, endPort: 80}",
    ];
    fn one(rng: &mut Rng, choices: &[&str]) -> Value {
        let text: &&str = rng.pick(choices);
        serde_saphyr::from_str(text).unwrap()
    }
    let peer = |rng: &mut Rng| match rng.below(4) {
        0 => json!({"podSelector": one(rng, &own)}),
        1 => json!({"namespaceSelector": one(rng, &namespaces)}),
        2 => json!({"namespaceSelector": one(rng, &namespaces), "podSelector": one(rng, &own)}),
        _ => json!({"ipBlock": one(rng, &cidrs)}),
    };
    let rules = |rng: &mut Rng, field: &str| {
        let count = rng.below(4);
        let rules = (0..count).map(|_| {
            let peers = rng.below(3);
            let mut rule = json!({});
            if peers > 0 {
                rule[field] = (0..peers).map(|_| peer(rng)).collect();
            }
            let count = rng.below(3);
            if count > 0 {
                rule["ports"] = (0..count).map(|_| one(rng, &ports)).collect();
            }
            rule
        });
        rules.collect::<Vec<_>>()
    };
    let (ingress, egress) = (rules(rng, "from"), rules(rng, "to"));
    let types = *rng.pick(&[&["Ingress"][..], &["Egress"], &["Ingress", "Egress"], &["Ingress", "Egress"]]);
    json!({"podSelector": one(rng, &own), "policyTypes": types, "ingress": ingress, "egress": egress})
}

/// What the API server says about a policy without storing it: the object as it would be stored, and the warnings.
fn dry(client: &Client, namespace: &str, spec: &Value) -> Result<(Value, String), String> {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": namespace},
        "spec": spec,
    });
    let uri = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies?dryRun=All");
    let request = Request::post(uri).header("content-type", "application/json");
    let request = request.body(Body::from(policy.to_string().into_bytes())).unwrap();
    block_on(async {
        let response = client.send(request).await.unwrap();
        let success = response.status().is_success();
        let warnings = response.headers().get_all("warning");
        let warnings: String =
            warnings.iter().map(|value| format!("{}\n", value.to_str().unwrap())).collect();
        let body = response.into_body().collect_bytes().await.unwrap();
        let object: Value = serde_json::from_slice(&body).unwrap();
        if success { Ok((object, warnings)) } else { Err(object["message"].to_string()) }
    })
}

/// The codes of rules in a text.
fn codes(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let code = |word: &&str| {
        word.len() == 5 && word.starts_with("NP") && word[2..].bytes().all(|b| b.is_ascii_digit())
    };
    words.filter(code).map(str::to_owned).collect()
}

/// What the webhook says about a stored object that is created.
fn webhook_codes(webhook: &Webhook, namespace: &str, object: &Value) -> BTreeSet<String> {
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u",
        "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
        "name": "p",
        "namespace": namespace,
        "operation": "CREATE",
        "object": object,
    }});
    let answer = webhook.post("/validate", &review).unwrap();
    let response = &answer["response"];
    let causes = response["status"]["details"]["causes"].as_array().into_iter().flatten();
    // The code stands first; later ones are about other things.
    let said = response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let said = said.map(|text| text.split(' ').next().unwrap_or_default());
    let reasons = causes.filter_map(|cause| cause["reason"].as_str());
    said.chain(reasons).flat_map(codes).collect()
}

#[test]
fn cel_says_what_the_webhook_says() {
    let Some(world) = World::enter("cel_says_what_the_webhook_says") else { return };
    let namespace = world.namespace("agreement", json!({}));
    let webhook = Webhook::start(&world.kubeconfig, &["--drain-time=0s"]).unwrap();
    let text = render(&["--own-namespace=netpol-system"]);
    let mut rules = BTreeSet::new();
    let mut installed = Vec::new();
    for mut object in objects(&text) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if !["netpol-errors", "netpol-warnings"].contains(&name.as_str()) {
            continue;
        }
        for validation in object["spec"]["validations"].as_array().into_iter().flatten() {
            rules.insert(validation["message"].as_str().unwrap().split(' ').next().unwrap().to_owned());
        }
        // All of them are to be heard, so none may end it.
        if !object["spec"]["validationActions"].is_null() {
            object["spec"]["validationActions"] = json!(["Warn"]);
        }
        installed.push(object.to_string());
    }
    let installed = installed.join("\n---\n");
    world.server.apply("", &installed).unwrap();
    let client = world.client();
    let read = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap() };
    for breaks in [
        "{podSelector: {}, policyTypes: [Egress], ingress: [{}]}",
        "{podSelector: {}, policyTypes: [Egress], egress: [{}]}",
    ] {
        let heard = eventually(|| {
            let (_, warnings) = dry(&client, &namespace, &read(breaks)).unwrap();
            (!warnings.is_empty()).then_some(())
        });
        assert!(heard.is_some(), "{breaks}");
    }

    let mut rng = Rng::new(7);
    let specs = SPECS.iter().map(|text| read(text)).chain((0..RANDOM).map(|_| random(&mut rng)));
    let mut found = BTreeMap::<String, usize>::new();
    for spec in specs {
        // What the API server itself refuses is nobody's matter here.
        let Ok((stored, warnings)) = dry(&client, &namespace, &spec) else { continue };
        assert!(!warnings.contains("failed to evaluate"), "{spec}: {warnings}");
        let said = warnings.lines().filter(|line| line.contains("ValidatingAdmissionPolicy"));
        let cel: BTreeSet<_> = said.filter_map(|line| codes(line).into_iter().next()).collect();
        let webhook = webhook_codes(&webhook, &namespace, &stored);
        for rule in &rules {
            let (by_cel, by_webhook) = (cel.contains(rule), webhook.contains(rule));
            let agree = by_cel == by_webhook || PARTIAL.contains(&rule.as_str()) && by_webhook;
            assert!(agree, "{rule}: CEL {by_cel}, webhook {by_webhook}: {spec}\n{warnings}");
            *found.entry(rule.clone()).or_default() += usize::from(by_cel);
        }
    }
    let never: Vec<_> = found.iter().filter(|(_, count)| **count == 0).collect();
    assert!(never.is_empty(), "found by no case: {never:?}");
    println!("rules in CEL, and how often both found them: {found:?}");
    world.server.delete("", &installed).unwrap();
    assert!(webhook.stop().unwrap().success());
}

#[test]
fn a_cluster_without_a_webhook() {
    let Some(world) = World::enter("a_cluster_without_a_webhook") else { return };
    let text = render(&labels::FLAGS);
    world.server.apply("", &text).unwrap();
    let namespace = world.namespace("refused", json!({}));
    let spec: Value =
        serde_saphyr::from_str("{podSelector: {}, policyTypes: [Egress], ingress: [{}]}").unwrap();
    let refused = eventually(|| dry(&world.client(), &namespace, &spec).err()).expect("it is refused");
    assert!(refused.contains("NP107 rules-not-in-policy-types"), "{refused}");

    labels::wait_until_asked(&world, json!({"labels": {"team": "shop"}}));
    labels::creations(&world);
    labels::changes(&world);

    world.server.apply("", removal::USERS).unwrap();
    let name = world.isolated("guarded", "all");
    world.server.apply(&name, removal::TENANT).unwrap();
    let tenant = world.server.client_as("tenant", &["changers"]).unwrap();
    let guardian = world.server.client_as("guardian", &["changers"]).unwrap();
    removal::wait_until_guarded(&tenant, &name);
    removal::changes(&world, &name, &tenant, &guardian, "remove-isolation namespaces.netpol.dev");
    world.server.delete("", &text).unwrap();
    // Others come after this, and must not meet it.
    let shop = || labels::dry(&world, &json!({"name": "a", "labels": {"team": "shop"}}));
    assert!(eventually(|| shop().is_none().then_some(())).is_some());
}
