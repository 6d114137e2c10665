//! The objects: few pods of this node, which run, and very many of others, which are only known.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use netpol_tests::apiserver::{ApiServer, block_on};
use netpol_tests::lab::address::Pair;
use serde_json::json;

use super::pinger::PORT;
use crate::webhook::cluster::write_policy;
use crate::webhook::objects::{self as large, namespace};

pub(crate) use crate::webhook::objects::NAMESPACES;

/// The pod whose address is said late.
pub(crate) const LATE: &str = "team-00/late";

/// Peers of a rule.
pub(crate) const FEW: &str = r#"[{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]"#;
/// Half of the applications of each namespace, and the one that asks.
pub(crate) const HALF: &str = r#"[{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}, "podSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["client", "app-0", "app-2", "app-4", "app-6", "app-8"]}]}}]}]"#;
/// Nobody else asks this of anybody, so it changes the class of every address.
pub(crate) const ALL: &str = r#"[{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}, "podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}]}]"#;

/// Requests at once while it is filled.
const WRITERS: usize = 16;

/// Manifests of this node's pods: three to measure with, and others in as many namespaces, under the policies there.
pub(crate) fn local(pods: usize) -> String {
    let mut text = String::new();
    let mut pod = |namespace: &str, name: &str, app: &str| {
        let _ = writeln!(
            text,
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{namespace: {namespace}, name: {name}, labels: {{app: {app}}}}}, \
             spec: {{containers: [{{name: main, image: x, ports: [{{containerPort: {PORT}, protocol: UDP}}]}}]}}}}"
        );
    };
    for name in ["client", "server", "late"] {
        pod(&namespace(0), name, name);
    }
    for number in 3..pods {
        pod(&namespace(number), &format!("local-{number}"), &format!("app-{}", number % 10));
    }
    for number in 0..NAMESPACES {
        let _ = writeln!(
            text,
            "---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {}, labels: {{team: team-{}}}}}}}",
            namespace(number),
            number % 20
        );
    }
    text
}

/// Writes the pods of other nodes, and the policies.
pub(crate) fn fill(server: &ApiServer, pods: usize, policies: usize) -> Result<()> {
    let client = server.client()?;
    block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let writers = (0..WRITERS).map(|_| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= pods + policies {
                        return anyhow::Ok(());
                    }
                    if number < pods {
                        remote(&client, number).await?;
                    } else {
                        write_policy(&client, number - pods).await?;
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await??;
        }
        Ok(())
    })
}

async fn remote(client: &Client, number: usize) -> Result<()> {
    let mut pod = large::pod(number);
    let name = pod["metadata"]["name"].as_str().context("a pod has a name")?.to_owned();
    pod["spec"]["nodeName"] = json!(format!("far-{}", number / 100));
    let api = Api::<Pod>::namespaced(client.clone(), &namespace(number));
    api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let (high, low) = (number / 250, number % 250 + 1);
    let addresses =
        [format!("10.{}.{}.{low}", 128 + high / 250, high % 250), format!("fd00:128::{high:x}:{low:x}")];
    say(&api, &name, &addresses).await
}

async fn say(api: &Api<Pod>, name: &str, addresses: &[String; 2]) -> Result<()> {
    let list = addresses.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>();
    let status = json!({"status": {"phase": "Running", "podIP": addresses[0], "podIPs": list}});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// The policy about the server, with these rules.
pub(crate) fn toggle(ingress: &str) -> String {
    format!(
        r#"{{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {{"name": "toggle", "namespace": "team-00"}},
            "spec": {{"podSelector": {{"matchLabels": {{"app": "server"}}}}, "policyTypes": ["Ingress"], "ingress": {ingress}}}}}"#
    )
}

/// Makes a pod one that has no address yet.
pub(crate) fn forget_address(server: &ApiServer, pod: &str) -> Result<()> {
    let (client, (namespace, name)) = (server.client()?, pod.split_once('/').context("a pod's name")?);
    block_on(async {
        let api = Api::<Pod>::namespaced(client, namespace);
        let mut object = api.get(name).await?;
        api.delete(name, &DeleteParams::default().grace_period(0)).await?;
        (object.status, object.metadata.resource_version, object.metadata.uid) = (None, None, None);
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    })
}

/// Pods that a node is to start, under the policies of their namespace: known, without an address.
pub(crate) fn schedule(server: &ApiServer, node: &str, names: &[String]) -> Result<()> {
    let client = server.client()?;
    block_on(async {
        for name in names {
            let (namespace, name) = name.split_once('/').context("a pod's name")?;
            let mut pod = large::pod(0);
            (pod["metadata"]["name"], pod["spec"]["nodeName"]) = (name.into(), node.into());
            let api = Api::<Pod>::namespaced(client.clone(), namespace);
            api.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        }
        Ok(())
    })
}

/// Says the address of a pod.
pub(crate) fn say_address(server: &ApiServer, pod: &str, address: Pair) -> Result<()> {
    let (client, (namespace, name)) = (server.client()?, pod.split_once('/').context("a pod's name")?);
    block_on(async {
        let api = Api::<Pod>::namespaced(client, namespace);
        say(&api, name, &address.both().map(|address| address.to_string())).await
    })
}
