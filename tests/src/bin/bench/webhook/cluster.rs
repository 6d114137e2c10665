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
use serde_json::json;

use super::objects::{NAMESPACES, namespace, pod, policy};

/// How much there is, in a hundred namespaces.
pub(crate) struct Cluster {
    pub(crate) pods: usize,
    pub(crate) policies: usize,
}

/// Requests at once while it is filled.
const WRITERS: usize = 16;

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

    /// Creates a policy and deletes it again; how long the creation took.
    pub(crate) async fn write(&self, client: &Client, namespace: &str, run: usize) -> Result<Duration> {
        let name = format!("written-{run}");
        let number: usize = namespace.trim_start_matches("team-").parse()?;
        let api = Api::<NetworkPolicy>::namespaced(client.clone(), namespace);
        let object = serde_json::from_value(policy(&name, number))?;
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
    let object = policy(&format!("policy-{number}"), number);
    let api = Api::<NetworkPolicy>::namespaced(client.clone(), &namespace(number));
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}
