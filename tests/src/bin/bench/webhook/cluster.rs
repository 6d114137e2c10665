//! A cluster of many pods and policies in a real API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use netpol_tests::apiserver::{ApiServer, block_on};
use serde_json::{Value, json};

/// How much there is, in a hundred namespaces.
pub(crate) struct Cluster {
    pub(crate) pods: usize,
    pub(crate) policies: usize,
}

pub(crate) const NAMESPACES: usize = 100;

/// Different reviews.
const REVIEWS: usize = 1000;

/// Requests at once while it is filled.
const WRITERS: usize = 16;

/// The name of a namespace by its number.
pub(crate) fn namespace(number: usize) -> String {
    format!("team-{:02}", number % NAMESPACES)
}

impl Cluster {
    /// Writes all of it.
    pub(crate) fn create(&self, server: &ApiServer) -> Result<()> {
        let client = server.client()?;
        block_on(async {
            for number in 0..NAMESPACES {
                let name = namespace(number);
                let object =
                    json!({"metadata": {"name": name, "labels": {"team": format!("team-{}", number % 20)}}});
                Api::<Namespace>::all(client.clone())
                    .create(&PostParams::default(), &serde_json::from_value(object)?)
                    .await?;
            }
            let (next, count) = (Arc::new(AtomicUsize::new(0)), self.pods + self.policies);
            let pods = self.pods;
            let writers = (0..WRITERS).map(|_| {
                let (client, next) = (client.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok::<_, anyhow::Error>(());
                        }
                        write(&client, number, pods).await?;
                    }
                })
            });
            for writer in writers.collect::<Vec<_>>() {
                writer.await??;
            }
            Ok(())
        })
    }

    /// Reviews of policies between applications that are there: no two are alike.
    pub(crate) fn reviews(&self) -> Vec<String> {
        (0..REVIEWS).map(|number| self.review(number)).collect()
    }

    fn review(&self, number: usize) -> String {
        let policy = reviewed(number);
        let (name, namespace) = (&policy["metadata"]["name"], &policy["metadata"]["namespace"]);
        let kind = json!({"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"});
        let resource = json!({"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"});
        json!({
            "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
            "request": {
                "uid": format!("705ab4f5-6393-11e8-b7cc-{number:012}"), "kind": kind, "resource": resource,
                "requestKind": kind, "requestResource": resource, "name": name, "namespace": namespace,
                "operation": "CREATE",
                "userInfo": {"username": format!("user-{}", number % 37), "groups": ["system:authenticated"]},
                "object": policy, "oldObject": null, "dryRun": false,
                "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            },
        })
        .to_string()
    }

    /// Creates a policy and deletes it again; how long the creation took.
    pub(crate) async fn write(&self, client: &Client, namespace: &str, run: usize) -> Result<Duration> {
        let name = format!("written-{run}");
        let number: usize = namespace.trim_start_matches("team-").parse()?;
        let api = Api::<NetworkPolicy>::namespaced(client.clone(), namespace);
        let object = serde_json::from_value(policy(&name, number, self.pods))?;
        // The connection is there already when the time begins.
        let _ = api.get_opt(&name).await?;
        let start = Instant::now();
        api.create(&PostParams::default(), &object).await?;
        let time = start.elapsed();
        api.delete(&name, &DeleteParams::default()).await?;
        Ok(time)
    }
}

async fn write(client: &Client, number: usize, pods: usize) -> Result<()> {
    if let Some(number) = number.checked_sub(pods) {
        return write_policy(client, number).await;
    }
    let api = Api::<Pod>::namespaced(client.clone(), &namespace(number));
    api.create(&PostParams::default(), &serde_json::from_value(pod(number))?).await?;
    Ok(())
}

/// Writes the policy of this number.
pub(crate) async fn write_policy(client: &Client, number: usize) -> Result<()> {
    let object = policy(&format!("policy-{number}"), number, 0);
    let api = Api::<NetworkPolicy>::namespaced(client.clone(), &namespace(number));
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

/// The pod of this number.
pub(crate) fn pod(number: usize) -> Value {
    let app = app(number / NAMESPACES);
    json!({
        "metadata": {"name": format!("{app}-5d4f8c7b9-{number}"), "labels": {"app": app, "tier": "back", "pod-template-hash": "5d4f8c7b9"}},
        "spec": {"containers": [{"name": "main", "image": "example.com/app", "ports": [{"name": "http", "containerPort": 8080}]}]},
    })
}

/// Ten applications in each namespace, with as many pods each.
fn app(number: usize) -> String {
    format!("app-{}", number % 10)
}

/// One application of a namespace is reached by another one, and by one of the next namespace; it asks for names.
fn policy(name: &str, number: usize, _pods: usize) -> Value {
    let (this, other, next) = (app(number / NAMESPACES), app(number / NAMESPACES + 1), namespace(number + 1));
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": this}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{
                "from": [
                    {"podSelector": {"matchLabels": {"app": other}}},
                    {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": next}},
                        "podSelector": {"matchLabels": {"app": other}},
                    },
                ],
                "ports": [{"protocol": "TCP", "port": 8080}],
            }],
            "egress": [
                {"to": [{"podSelector": {"matchLabels": {"app": other}}}], "ports": [{"protocol": "TCP", "port": 8080}]},
                {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                 "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]},
            ],
        },
    })
}

/// A policy that is reviewed: as [`policy`], between other applications each time, and some with a named port, a further
/// label, a further peer or addresses outside.
fn reviewed(number: usize) -> Value {
    let (place, apps) = (number * 7, [number, number + 1 + number / 10 % 9, number + 2 + number / 90 % 8]);
    let [this, other, third] = apps.map(app);
    let (own, next) = (namespace(place), namespace(place + 1 + number / 100));
    let port = if number.is_multiple_of(3) { json!("http") } else { json!(8080) };
    let ports = json!([{"protocol": "TCP", "port": port}]);
    let mut labels = json!({"app": this});
    if number % 5 == 1 {
        labels["tier"] = json!("back");
    }
    let pods = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
    let mut elsewhere = pods(&other);
    elsewhere["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": next}});
    let mut from = vec![pods(&other), elsewhere];
    if number % 4 == 2 {
        from.push(pods(&third));
    }
    if number % 16 == 7 {
        from.push(json!({"ipBlock": {"cidr": format!("192.0.{}.{}/32", number / 256, number % 256)}}));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": format!("{this}-from-{other}-{number}"), "namespace": own},
        "spec": {
            "podSelector": {"matchLabels": labels},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": from, "ports": ports}],
            "egress": [
                {"to": [pods(&other)], "ports": ports},
                {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
                 "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]},
            ],
        },
    })
}
