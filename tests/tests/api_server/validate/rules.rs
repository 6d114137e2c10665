//! Every rule that can refuse is refused with its code, and its repaired form accepted.

use std::time::Instant;

use netpol_lint::RULES;
use netpol_tests::apiserver::{ApiServer, TempNamespace};
use serde_json::{Value, json};

use super::{PATIENCE, Validating};

const CASES: &str = include_str!("rules.yaml");

/// A CRD that takes whatever it is given.
const ADMIN_CRD: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: clusternetworkpolicies.policy.networking.k8s.io
  annotations: {api-approved.kubernetes.io: 'unapproved, for a test'}
spec:
  group: policy.networking.k8s.io
  scope: Cluster
  names: {kind: ClusterNetworkPolicy, plural: clusternetworkpolicies, singular: clusternetworkpolicy, listKind: ClusterNetworkPolicyList}
  versions:
    - name: v1alpha2
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
";

/// Rules that never see what they look for in what an API server sends, with the reason.
const UNREACHABLE: &[(&str, &str)] = &[
    ("NP001", "JSON has lost the second key"),
    ("NP002", "unknown fields are dropped before"),
    ("NP003", "the field is unknown there, and dropped"),
    ("NP004", "refused by the API server itself"),
    ("NP005", "null becomes an empty item"),
    ("NP006", "refused by the API server itself"),
    ("NP007", "refused by the API server itself"),
    ("NP008", "refused by the API server itself"),
    ("NP009", "refused by the API server itself"),
    ("NP010", "refused by the API server itself"),
    ("NP011", "the API server doesn't have it"),
    ("NP012", "refused by the API server itself"),
    ("NP013", "refused by the API server itself"),
    ("NP014", "refused by the API server itself"),
    ("NP015", "refused by the API server itself"),
    ("NP103", "an empty list is dropped before"),
    ("NP105", "an empty list is dropped before"),
    ("NP106", "the default is filled in before"),
    ("NP108", "the default is filled in before"),
    ("NP109", "the default is filled in before"),
    ("NP111", "the default is filled in before"),
    ("NP112", "the empty selector is filled in before"),
    ("NP113", "the namespace is filled in before"),
    ("NP305", "refused by the API server itself, since it checks addresses strictly"),
    ("NP313", "the API server of the tests has no address that it could publish"),
    ("NP401", "two policies of one name are one"),
    ("NP601", "it is about workloads"),
    ("NP602", "it is about namespaces"),
    ("NP901", "suppressions don't count in a webhook"),
];

#[test]
fn every_rule_refuses_and_its_repaired_form_is_accepted() {
    if netpol_tests::apiserver::skip("every_rule_refuses_and_its_repaired_form_is_accepted") {
        return;
    }
    // Its nodes without agents are nothing for other tests.
    let server = &ApiServer::start().unwrap();
    let cases: Vec<Value> = serde_saphyr::from_str(CASES).unwrap();
    let code = |case: &Value| case["code"].as_str().unwrap().to_owned();
    let mut covered: Vec<_> = cases.iter().map(code).collect();
    covered.extend(UNREACHABLE.iter().map(|(code, _)| (*code).to_owned()));
    covered.sort();
    let mut all: Vec<_> = RULES.iter().map(|rule| rule.code.to_owned()).collect();
    all.sort();
    assert_eq!(covered, all, "each rule has a case, or a reason why it can't have one");

    server.apply("", ADMIN_CRD).unwrap();
    let namespaces: Vec<_> = cases
        .iter()
        .map(|case| {
            let prefix = code(case).to_lowercase();
            [server.namespace(&prefix).unwrap(), server.namespace(&format!("{prefix}-other")).unwrap()]
        })
        .collect();
    let names: Vec<_> = namespaces.iter().flatten().map(TempNamespace::name).collect();
    // In the namespaces of a rule, that rule alone is on.
    let entries = cases.iter().map(|case| {
        let code = code(case);
        json!({"names": [format!("{}-*", code.to_lowercase())], "effects": {"ALL": "off", code: "deny"}})
    });
    let config = json!({"dual-stack": true, "namespaces": entries.collect::<Vec<_>>()}).to_string();
    let validating = Validating::start(server, &config, &[]);
    let _registration = validating.webhook.register(server, &names).unwrap();

    let mut wrong = Vec::new();
    for (case, [own, other]) in cases.iter().zip(&namespaces) {
        let text = |value: &Value| {
            value.to_string().replace("\"NS\"", &format!("\"{}\"", own.name())).replace("OTHER", other.name())
        };
        let own = own.name();
        let apply = |objects: &Value| {
            for object in objects.as_array().into_iter().flatten() {
                server.apply(own, &text(object)).unwrap_or_else(|error| panic!("{}: {error:#}", code(case)));
            }
        };
        let policy = |spec: &Value| {
            let meta = json!({"name": "p"});
            text(
                &json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}),
            )
        };
        apply(&case["around"]);
        // What is around is known after a moment, and so is the webhook itself.
        let (refused, deadline) = (policy(&case["refused"]), Instant::now() + PATIENCE);
        let message = loop {
            match server.apply(own, &refused) {
                Err(error) => break format!("{error:#}"),
                Ok(()) if Instant::now() > deadline => break "accepted".to_owned(),
                Ok(()) => server.delete(own, &refused).unwrap(),
            }
        };
        if !message.contains(&format!("{} ", code(case))) || !message.contains("networkpolicies.netpol.dev") {
            wrong.push(format!("{} is not refused as it should be: {message}", code(case)));
            continue;
        }
        apply(&case["then"]);
        let (repaired, deadline) = (policy(&case["repaired"]), Instant::now() + PATIENCE);
        while let Err(error) = server.apply(own, &repaired) {
            let alone = case["around"].is_null() && case["then"].is_null();
            if alone || Instant::now() > deadline {
                wrong.push(format!("{} is refused when it is repaired: {error:#}", code(case)));
                break;
            }
        }
        // Nodes and the like belong to the whole cluster.
        for object in case["around"].as_array().into_iter().flatten().filter(|object| {
            matches!(
                object["kind"].as_str(),
                Some("Node" | "ClusterNetworkPolicy" | "ValidatingWebhookConfiguration" | "Pod")
            )
        }) {
            server.delete(own, &text(object)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    drop(validating.kubeconfig);
}
