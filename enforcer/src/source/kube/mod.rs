//! Objects from the Kubernetes API, watched.
//!
//! A thread of its own follows six kinds with one connection each. Nothing is told before all of them were listed once;
//! from then on every change is told as it comes. While the API server is away nothing is told, and so nothing changes.

mod contact;
mod follow;
mod item;
mod kinds;
mod publish;
mod pulse;

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

use self::contact::Contact;
use self::follow::follow;
use self::kinds::{EndpointSlices, Namespaces, NetworkPolicies, Nodes, Pods, Services};
use super::{Source, Update};
use crate::pod_events::{self, Denial};
use crate::standing::Standing;
use crate::world::Change;

pub use self::publish::OwnPod;

/// The objects of a cluster, by its API.
pub struct Kube {
    runtime: Runtime,
    client: Client,
    server: String,
    node: String,
    denials: Option<Receiver<Denial>>,
    says: Option<(OwnPod, watch::Receiver<Standing>)>,
}

impl Kube {
    /// The cluster of a kubeconfig's current context; without one, the cluster that this runs in. `node` is this node's
    /// name: no other Node object is read. Nobody is asked yet.
    ///
    /// # Errors
    /// When the kubeconfig can't be used, or without one when this is no pod with a ServiceAccount.
    pub fn new(kubeconfig: Option<&Path>, node: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // What is read takes memory twice while it waits to be understood: one thread keeps up, and has one heap.
            .max_blocking_threads(1)
            .build()
            .context("starting what speaks to the API server")?;
        let config = runtime.block_on(config(kubeconfig))?;
        let server = config.cluster_url.to_string();
        let client = {
            let _inside = runtime.enter();
            Client::try_from(config).context("no client for this cluster")?
        };
        Ok(Self { runtime, client, server, node: node.to_owned(), denials: None, says: None })
    }

    /// Writes events about pods, too.
    pub fn publish(&mut self, denials: Receiver<Denial>) {
        self.denials = Some(denials);
    }

    /// Says in this pod's status how the agent stands.
    pub fn say(&mut self, pod: OwnPod, standing: watch::Receiver<Standing>) {
        self.says = Some((pod, standing));
    }
}

impl Source for Kube {
    fn run(self: Box<Self>, mut tell: Box<dyn FnMut(Update) -> bool + Send>) {
        let Self { runtime, client, server, node, denials, says } = *self;
        let contact = Arc::new(Contact::new(server));
        let (send, changes) = unbounded_channel();
        runtime.block_on(async {
            if let Some(denials) = denials {
                tokio::spawn(pod_events::publish(client.clone(), node.clone(), denials));
            }
            let of_node = Some(format!("metadata.name={node}"));
            // A pod that is over has no address any more.
            let alive = Some("status.phase!=Succeeded,status.phase!=Failed".to_owned());
            let (reports, mut pulses) = unbounded_channel();
            tokio::spawn(follow::<Namespaces>(client.clone(), None, Arc::clone(&contact), send.clone()));
            tokio::spawn(follow::<Nodes>(client.clone(), of_node, Arc::clone(&contact), send.clone()));
            tokio::spawn(follow::<Pods>(client.clone(), alive, Arc::clone(&contact), send.clone()));
            tokio::spawn(follow::<Services>(client.clone(), None, Arc::clone(&contact), send.clone()));
            tokio::spawn(follow::<EndpointSlices>(client.clone(), None, Arc::clone(&contact), send.clone()));
            tokio::spawn(follow::<NetworkPolicies>(client.clone(), None, Arc::clone(&contact), send));
            if let Some((pod, standing)) = says {
                tokio::spawn(publish::publish(client.clone(), pod, standing));
            }
            tokio::spawn(pulse::keep(client, contact, reports));
            let mut gather = Gather { changes, first: Some(Vec::new()) };
            loop {
                let update = tokio::select! {
                    Some(changes) = gather.next() => Update::Changes(changes),
                    Some(report) = pulses.recv() => Update::Contact(report),
                    else => return,
                };
                if !tell(update) {
                    return;
                }
            }
        });
    }
}

/// Holds back everything until all kinds were listed.
struct Gather {
    changes: UnboundedReceiver<Change>,
    first: Option<Vec<Change>>,
}

/// How many kinds are followed.
const KINDS: usize = 6;

impl Gather {
    /// What changed since the last time; may be dropped while it waits.
    async fn next(&mut self) -> Option<Vec<Change>> {
        loop {
            let mut some = vec![self.changes.recv().await?];
            while let Ok(change) = self.changes.try_recv() {
                some.push(change);
            }
            let Some(first) = &mut self.first else { return Some(some) };
            first.append(&mut some);
            let mut listed: Vec<_> = first
                .iter()
                .filter_map(|change| match change {
                    Change::All(kind, _) => Some(*kind),
                    _ => None,
                })
                .collect();
            listed.sort();
            listed.dedup();
            if listed.len() == KINDS {
                return self.first.take();
            }
        }
    }
}

async fn config(kubeconfig: Option<&Path>) -> Result<Config> {
    let Some(file) = kubeconfig else {
        return Config::incluster().context(
            "--source kube without --kubeconfig speaks to the API server of the pod that it runs in; this is no pod with a ServiceAccount",
        );
    };
    let kubeconfig = Kubeconfig::read_from(file)
        .with_context(|| format!("cannot read the kubeconfig {}", PathBuf::from(file).display()))?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("the kubeconfig {} doesn't do", file.display()))
}

/// A number from 0 to 1, another one each time.
fn chance() -> f64 {
    let random = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
