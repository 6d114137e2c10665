//! Many namespaces at once, and the leader dies in the middle.

use std::collections::HashMap;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, pin_mut, stream};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use netpol_tests::apiserver::block_on;
use netpol_tests::balancer::Balancer;
use netpol_tests::webhook::{Webhook, register};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::timeout;

use super::leaders::{self, leader};
use super::world::{LABEL, World};

/// Writers at the same time.
const WRITERS: usize = 20;

/// `NETPOL_NAMESPACES=1000` for the full number.
fn count() -> usize {
    env::var("NETPOL_NAMESPACES").ok().and_then(|count| count.parse().ok()).unwrap_or(150)
}

#[test]
fn a_burst_survives_the_leader() {
    let Some(world) = World::enter("a_burst_survives_the_leader") else { return };
    let replicas: Vec<_> = (0..3).map(|_| world.webhook(&["--default-deny", "all", "--allow-dns"])).collect();
    let ports: Vec<_> = replicas.iter().map(Webhook::port).collect();
    let authorities: String = replicas.iter().map(|replica| replica.ca().unwrap()).collect();
    let service = Balancer::new(&ports).unwrap();
    // As with the component fail-closed: what can't be labelled isn't created, and its author tries again.
    let ours = json!({"key": "burst", "operator": "Exists"});
    let registration = register(world.server, service.port(), &authorities, &ours, Some("Fail")).unwrap();
    super::labels::wait_until_asked(&world, json!({"labels": {"burst": ""}}));
    let first = leader(&replicas);
    let transitions = leaders::transitions(&world);

    let count = count();
    let victim = &replicas[first];
    let client = world.client();
    let namespaces = Api::<Namespace>::all(client.clone());
    let policies = Api::<NetworkPolicy>::all(client.clone());
    let retries = AtomicUsize::new(0);
    let created: Mutex<HashMap<String, Instant>> = Mutex::default();
    let began = Instant::now();
    let isolated = block_on(async {
        let one = ListParams::default().limit(1);
        let version = |list: kube::core::ListMeta| list.resource_version.unwrap_or_default();
        let from = version(namespaces.list(&one).await.unwrap().metadata);
        let labels = tokio::spawn(first_versions(namespaces.clone(), from, count));
        let from = version(policies.list(&one).await.unwrap().metadata);
        let isolated = tokio::spawn(isolated(policies.clone(), from, count));

        let create = |number: usize| {
            let (namespaces, created, retries) = (&namespaces, &created, &retries);
            async move {
                if number == count / 2 {
                    victim.signal(Signal::KILL).unwrap();
                }
                let name = format!("burst-{number}");
                let metadata = json!({"metadata": {"name": name, "labels": {"burst": "yes"}}});
                let namespace = serde_json::from_value(metadata).unwrap();
                while let Err(error) = namespaces.create(&PostParams::default(), &namespace).await {
                    assert!(error.to_string().contains("failed calling webhook"), "{error}");
                    retries.fetch_add(1, Ordering::Relaxed);
                }
                created.lock().unwrap().insert(name, Instant::now());
            }
        };
        stream::iter(0..count).for_each_concurrent(WRITERS, create).await;
        let labels = timeout(Duration::from_secs(60), labels).await.unwrap().unwrap();
        assert!(labels.iter().all(|label| label.as_deref() == Some("all")), "{labels:?}");
        timeout(Duration::from_secs(240), isolated).await.unwrap().unwrap()
    });
    let took = began.elapsed();

    // All of them have both in the end, and exactly so.
    let expected = ["netpol-allow-dns: Egress 1", "netpol-default-deny: Ingress,Egress 0"];
    let created = created.into_inner().unwrap();
    assert_eq!(created.len(), count);
    created.keys().for_each(|name| world.until(name, &expected));
    let mut times: Vec<_> = created
        .iter()
        .map(|(name, created)| isolated[name].saturating_duration_since(*created).as_secs_f64() * 1e3)
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let alive: Vec<_> = replicas.iter().filter(|replica| replica.port() != victim.port()).collect();
    let sum = |name: &str| alive.iter().map(|replica| replica.metric(name).unwrap()).sum::<u64>();
    println!(
        "{count} namespaces in {:.1} s, leader killed in the middle: 0 without label, 0 without policies; from creation to \
         policy p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms; {} creations tried again; {} failures, {} events dropped",
        took.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(1.0),
        retries.load(Ordering::Relaxed),
        sum("controller_failures_total"),
        sum("controller_events_dropped_total"),
    );
    assert_eq!(leaders::transitions(&world), transitions + 1);
    assert_eq!(sum("controller_leader"), 1);
    drop(registration);
    created.keys().for_each(|name| world.delete(name));
}

/// The label of so many namespaces as they were first seen.
async fn first_versions(api: Api<Namespace>, from: String, count: usize) -> Vec<Option<String>> {
    let events = api.watch(&WatchParams::default(), &from).await.unwrap();
    let added = events.try_filter_map(|event| async {
        let WatchEvent::Added(namespace) = event else { return Ok(None) };
        let labels = namespace.metadata.labels.unwrap_or_default();
        Ok(labels.contains_key("burst").then(|| labels.get(LABEL).cloned()))
    });
    added.take(count).try_collect().await.unwrap()
}

/// When default-deny came to so many namespaces.
async fn isolated(api: Api<NetworkPolicy>, from: String, count: usize) -> Arc<HashMap<String, Instant>> {
    let only = WatchParams::default().fields("metadata.name=netpol-default-deny");
    let events = api.watch(&only, &from).await.unwrap();
    pin_mut!(events);
    let mut isolated = HashMap::new();
    while isolated.len() < count {
        if let Some(WatchEvent::Added(policy)) = events.try_next().await.unwrap() {
            let namespace = policy.metadata.namespace.unwrap_or_default();
            if namespace.starts_with("burst-") {
                isolated.insert(namespace, Instant::now());
            }
        }
    }
    Arc::new(isolated)
}
