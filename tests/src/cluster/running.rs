//! A cluster that runs: its pods in a lab, its Services in the nodes' rules, its objects in a directory.

use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result};

use super::layout::{Layout, PodPlace};
use super::{Cluster, ServiceObject, written};
use crate::lab::address::Pair;
use crate::lab::services::{self, Endpoint, Translation};
use crate::lab::state_dir::StateDir;
use crate::lab::{Lab, Pod, Shape};
use crate::probe::server::Port;

/// A cluster in a lab.
#[derive(Debug)]
pub struct RunningCluster {
    /// The objects as they run now.
    pub cluster: Cluster,
    /// The network.
    pub lab: Lab,
    /// Everything of this cluster that is a file.
    pub files: StateDir,
    /// Where its nodes, pods and Services are.
    pub layout: Layout,
    manifests: PathBuf,
    policies: Vec<PathBuf>,
}

impl RunningCluster {
    /// A cluster without pods.
    ///
    /// # Errors
    /// When the lab can't be built.
    pub fn new(shape: Shape) -> Result<Self> {
        let files = StateDir::new()?;
        let manifests = files.directory("manifests")?;
        let mut running = Self {
            cluster: Cluster::default(),
            files,
            layout: Layout::new(shape.nodes.clone(), shape.between),
            lab: Lab::new(shape)?,
            manifests,
            policies: Vec::new(),
        };
        running.apply(&Cluster::default())?;
        Ok(running)
    }

    /// The directory that the agents watch.
    #[must_use]
    pub fn manifests(&self) -> &Path {
        &self.manifests
    }

    /// Makes these the cluster's objects: pods come and go, labels change, Services are translated.
    ///
    /// # Errors
    /// When the kernel refuses something, or a file can't be written.
    pub fn apply(&mut self, cluster: &Cluster) -> Result<()> {
        let gone = self.lab.pods.keys().filter(|name| !cluster.pods.contains_key(*name)).cloned();
        for name in gone.collect::<Vec<_>>() {
            self.lab.remove_pod(&name);
        }
        for (index, (name, pod)) in cluster.pods.iter().enumerate() {
            if self.lab.pods.contains_key(name) {
                continue;
            }
            let named =
                pod.node.as_ref().and_then(|node| self.lab.nodes.iter().position(|n| n.name == *node));
            let node = named.unwrap_or(index % self.lab.nodes.len());
            let ports = pod.ports.iter().map(|port| Port { transport: port.transport, number: port.number });
            self.lab.add_pod(name, node, &ports.collect::<Vec<_>>())?;
        }
        self.cluster = cluster.clone();
        let place = |pod: &Pod| PodPlace { address: pod.address, node: pod.node };
        self.layout.pods = self.lab.pods.iter().map(|(name, pod)| (name.clone(), place(pod))).collect();
        for name in cluster.services.keys() {
            self.layout.add_service(name)?;
        }
        for (index, node) in self.lab.nodes.iter().enumerate() {
            let services = cluster.services.values();
            let translations: Vec<_> =
                services.flat_map(|service| self.translations(service, index)).collect();
            services::install(node, self.lab.shape.services, &translations)?;
        }
        let list = written::list(cluster, &self.layout);
        self.write("cluster.json", &serde_json::to_string_pretty(&list)?)
    }

    /// The cluster addresses of a Service.
    ///
    /// # Panics
    /// When there is no such Service.
    #[must_use]
    pub fn service_address(&self, key: &str) -> Pair {
        self.layout.services[key]
    }

    /// Makes these files the cluster's policies: name and text of each.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn set_policies<'p>(&mut self, files: impl IntoIterator<Item = (&'p str, &'p str)>) -> Result<()> {
        let mut kept = Vec::new();
        for (name, text) in files {
            self.write(name, text)?;
            kept.push(self.manifests.join(name));
        }
        for path in std::mem::replace(&mut self.policies, kept) {
            if !self.policies.contains(&path) {
                fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
            }
        }
        Ok(())
    }

    /// Writes one more file of manifests, which stays until it is written again.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_manifest(&self, name: &str, text: &str) -> Result<()> {
        self.write(name, text)
    }

    /// Replaces a file of the manifests' directory as a careful editor does: a reader sees the old one or the new one.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.manifests.join(name);
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            return Ok(());
        }
        let aside = self.files.path().join("being-written");
        let replace = || -> io::Result<()> {
            fs::write(&aside, text)?;
            fs::rename(&aside, &path)
        };
        replace().with_context(|| format!("writing {}", path.display()))
    }

    fn translations(&self, service: &ServiceObject, node: usize) -> Vec<Translation> {
        let cluster = self.service_address(&service.key());
        let translation = |port: &super::ServicePort| {
            let behind = self.cluster.pods_behind(service);
            Translation {
                cluster,
                transport: port.transport,
                port: port.number,
                node_port: port.node_port,
                endpoints: behind
                    .filter_map(|(key, pod)| {
                        let Pod { address, node: home, .. } = self.lab.pods[key];
                        let port = pod.target(&port.target, port.transport)?;
                        Some(Endpoint { address, port, here: home == node })
                    })
                    .collect(),
                choice: service.choice,
            }
        };
        service.ports.iter().map(translation).collect()
    }
}
