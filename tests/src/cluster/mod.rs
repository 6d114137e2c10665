//! A cluster's objects as the harness needs them: which pods to run, where, on which ports, behind which Services.
//!
//! This is read on purpose by other code than the programs under test use; policies are not read here at all.

pub mod layout;
pub mod manifest;
pub mod mirror;
pub mod running;
pub mod written;

use std::collections::BTreeMap;

use anyhow::Result;

use crate::lab::services::Choice;
use crate::probe::server::Transport;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// The objects of a cluster, policies aside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cluster {
    /// Namespaces with their labels. One that only pods mention is here too, without labels.
    pub namespaces: BTreeMap<String, Labels>,
    /// Pods by `namespace/name`; the pods of Deployments are named `deployment-0`, `deployment-1` and so on.
    pub pods: BTreeMap<String, PodObject>,
    /// Services by `namespace/name`.
    pub services: BTreeMap<String, ServiceObject>,
}

/// A pod that shall run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodObject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// The ports it declares, and serves.
    pub ports: Vec<ContainerPort>,
    /// `spec.nodeName`, where the manifest says it.
    pub node: Option<String>,
}

/// A port that a pod declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name, for named ports.
    pub name: Option<String>,
    /// Its protocol.
    pub transport: Transport,
    /// Its number.
    pub number: u16,
}

/// A Service that shall work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceObject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Labels of the pods behind it.
    pub selector: Labels,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Which of its pods a client gets.
    pub choice: Choice,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its protocol.
    pub transport: Transport,
    /// The port at the Service's address.
    pub number: u16,
    /// Where it leads on the pods.
    pub target: TargetPort,
    /// The port on every node, for the type NodePort.
    pub node_port: Option<u16>,
}

/// A port on a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// By number.
    Number(u16),
    /// By the name of a declared port.
    Name(String),
}

impl Cluster {
    /// Reads manifests; kinds that the harness doesn't run are passed over.
    ///
    /// # Errors
    /// When a text isn't YAML, or an object lacks what is needed to run it.
    pub fn read<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self> {
        let mut cluster = Self::default();
        for text in texts {
            for document in manifest::documents(text)? {
                manifest::add(&mut cluster, document)?;
            }
        }
        for namespace in cluster.pods.values().map(|pod| pod.namespace.clone()).collect::<Vec<_>>() {
            cluster.namespaces.entry(namespace).or_default();
        }
        Ok(cluster)
    }

    /// The pods behind a Service, with their keys.
    pub fn pods_behind<'c>(
        &'c self,
        service: &'c ServiceObject,
    ) -> impl Iterator<Item = (&'c str, &'c PodObject)> {
        let selected = |pod: &PodObject| {
            pod.namespace == service.namespace
                && !service.selector.is_empty()
                && service.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        self.pods.iter().filter(move |(_, pod)| selected(pod)).map(|(key, pod)| (key.as_str(), pod))
    }
}

impl PodObject {
    /// `namespace/name`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The number of the port that a Service's target means here.
    #[must_use]
    pub fn target(&self, target: &TargetPort, transport: Transport) -> Option<u16> {
        match target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => self
                .ports
                .iter()
                .find(|port| port.transport == transport && port.name.as_ref() == Some(name))
                .map(|port| port.number),
        }
    }
}

impl ServiceObject {
    /// `namespace/name`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
