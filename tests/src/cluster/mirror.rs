//! A running cluster's objects in a real API server, so that agents can read them there.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::running::RunningCluster;
use crate::apiserver::{ApiServer, block_on};
use crate::lab::address::SERVICE_RANGE;

/// A copy of a cluster in an API server.
#[derive(Debug, Default)]
pub struct Mirror {
    /// What the API server has, by kind, namespace and name.
    there: BTreeMap<Name, Value>,
}

type Name = (String, String, String);

/// The arguments of an API server that takes the addresses of a lab's Services.
#[must_use]
pub fn arguments() -> Vec<String> {
    vec!["--service-cluster-ip-range".into(), format!("{},{}", SERVICE_RANGE.0, SERVICE_RANGE.1)]
}

impl Mirror {
    /// Writes what is other than the last time, one object at a time. Returns how many writes that took.
    ///
    /// # Errors
    /// When the API server refuses something.
    pub fn write(&mut self, server: &ApiServer, running: &RunningCluster) -> Result<usize> {
        let wanted = objects(running.manifests())?;
        let mut writes = 0;
        let gone = self.there.keys().filter(|name| !wanted.contains_key(*name)).cloned();
        for name in gone.collect::<Vec<_>>() {
            self.delete(server, &name)?;
            writes += 1;
        }
        // Namespaces before what is in them.
        let mut order: Vec<_> = wanted.into_iter().collect();
        order.sort_by_key(|((kind, ..), _)| (kind != "Node", kind != "Namespace", kind != "Service"));
        for (name, object) in order {
            match self.there.get(&name) {
                Some(there) if *there == object => continue,
                // Most of a pod and of a slice can't be changed.
                Some(there) if there["spec"] != object["spec"] && name.0 == "Pod" => {
                    self.delete(server, &name)?;
                }
                _ => {}
            }
            server.apply("default", &object.to_string()).with_context(|| format!("{name:?}"))?;
            self.there.insert(name, object);
            writes += 1;
        }
        Ok(writes)
    }

    fn delete(&mut self, server: &ApiServer, name: &Name) -> Result<()> {
        let object = self.there.remove(name).context("an object that is there")?;
        // Nobody here would ever finish the end of a namespace.
        if name.0 == "Namespace" {
            let labels = json!({"metadata": {"name": name.1}, "apiVersion": "v1", "kind": "Namespace"});
            return server.apply("default", &labels.to_string());
        }
        server.delete("default", &object.to_string()).with_context(|| format!("{name:?}"))
    }
}

/// All objects of a directory of manifests.
fn objects(manifests: &Path) -> Result<BTreeMap<Name, Value>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(manifests)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    let mut objects = BTreeMap::new();
    for path in paths {
        let text = fs::read_to_string(&path)?;
        for mut document in serde_saphyr::from_multiple::<Value>(&text)? {
            let items = match document.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => items,
                _ => vec![document],
            };
            for mut item in items.into_iter().filter(|item| !item.is_null()) {
                let text = |item: &Value, path: &str| {
                    item.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                let kind = text(&item, "/kind");
                ensure!(!kind.is_empty(), "an object without a kind in {}", path.display());
                if !["Node", "Namespace"].contains(&kind.as_str()) && item["metadata"]["namespace"].is_null()
                {
                    item["metadata"]["namespace"] = json!("default");
                }
                let name = (kind, text(&item, "/metadata/namespace"), text(&item, "/metadata/name"));
                objects.insert(name, item);
            }
        }
    }
    Ok(objects)
}

/// A way for a node to an API server on this machine's loopback: the same address on the node's loopback leads there.
#[derive(Debug)]
pub struct Passage {
    task: JoinHandle<()>,
}

impl Passage {
    /// From a node to the API server of a kubeconfig.
    ///
    /// # Errors
    /// When the kubeconfig names no port of 127.0.0.1, or the node can't listen there.
    pub fn new(running: &RunningCluster, node: usize, kubeconfig: &Path) -> Result<Self> {
        let config: Value = serde_saphyr::from_str(&fs::read_to_string(kubeconfig)?)?;
        let server = config["clusters"][0]["cluster"]["server"].as_str().unwrap_or_default();
        let port = server.strip_prefix("https://127.0.0.1:").with_context(|| format!("at {server}"))?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port.trim_end_matches('/').parse()?));
        let namespace = &running.lab.nodes[node].namespace;
        namespace.ip(&["link set lo up".into()])?;
        let listener = namespace.run(|| std::net::TcpListener::bind(to))?;
        listener.set_nonblocking(true)?;
        let task = block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            anyhow::Ok(tokio::spawn(async move {
                while let Ok((mut here, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        // When either side breaks off, the other sees it.
                        let Ok(mut there) = TcpStream::connect(to).await else { return };
                        // What one side sends at once must not wait here for the other's acknowledgement.
                        if here.set_nodelay(true).and(there.set_nodelay(true)).is_ok() {
                            let _ = copy_bidirectional(&mut here, &mut there).await;
                        }
                    });
                }
            }))
        })?;
        Ok(Self { task })
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.task.abort();
    }
}
