//! Calls that must not fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::PostParams;
use netpol_tests::apiserver::{ApiServer, block_on};

/// Creates of a NetworkPolicy, by several clients at a time, none of which is stored. With `failurePolicy: Fail`, a call of the
/// webhook that fails is a create that fails.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<BTreeMap<String, usize>>>,
}

impl Load {
    pub(crate) fn start(server: &ApiServer, namespace: &str, clients: usize) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let clients = (0..clients).map(|_| {
            let (stop, done) = (stop.clone(), done.clone());
            let api = Api::<NetworkPolicy>::namespaced(server.client().unwrap(), namespace);
            thread::spawn(move || block_on(create(&api, &stop, &done)))
        });
        let clients = clients.collect();
        Self { stop, done, clients }
    }

    /// How many calls were made up to now.
    pub(crate) fn calls(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Ends it: how many calls were made, and what the failed ones failed of, with how often.
    pub(crate) fn end(self) -> (usize, BTreeMap<String, usize>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = BTreeMap::new();
        for client in self.clients {
            for (failure, count) in client.join().unwrap() {
                *failures.entry(failure).or_default() += count;
            }
        }
        (self.done.load(Ordering::Relaxed), failures)
    }
}

async fn create(api: &Api<NetworkPolicy>, stop: &AtomicBool, done: &AtomicUsize) -> BTreeMap<String, usize> {
    let policy = serde_json::json!({
        "metadata": {"generateName": "load-"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    });
    let policy = serde_json::from_value(policy).unwrap();
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let mut failures = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = api.create(&dry_run, &policy).await {
            *failures.entry(error.to_string()).or_default() += 1;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    failures
}
