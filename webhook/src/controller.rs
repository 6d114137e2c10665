//! The policies of isolated namespaces: one replica, the leader, keeps them in place.
//!
//! The label on a Namespace says what is wanted; this is what makes it so on any cluster, with NetworkPolicy objects that
//! every network plugin knows. Nothing is remembered but what the cluster itself holds: each step compares a namespace
//! as it is with its policies as they are, so it doesn't matter which events were missed, nor who did the last step.
//!
//! [`Election`] says who works. `run` is the work, and is dropped with all its tasks in the moment that the lease is lost.

mod election;
mod events;
mod metrics;
mod policies;
mod queue;
mod reconcile;
mod watches;

use std::convert::Infallible;
use std::sync::Arc;

use futures_util::StreamExt;
use kube::Client;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::namespace::Labeler;

pub use election::{Election, Leadership};
pub(crate) use metrics::Metrics;

use events::Events;
use queue::{Outcome, Queue};
use reconcile::Reconciler;
use watches::{Signal, WATCHES};

/// Namespaces that are worked on at the same time.
const CONCURRENT: usize = 16;

/// What the controller does besides default-deny.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Namespaces whose pods are isolated for egress may still ask the cluster's DNS.
    pub allow_dns: bool,
    /// Existing namespaces get the label that they would get if they were new.
    pub label_existing: bool,
}

/// What the controller needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    /// Which namespaces are exempt, and which label an unlabelled one would get.
    pub(crate) labeler: Labeler,
    pub(crate) leadership: Leadership,
    pub(crate) metrics: Arc<Metrics>,
    /// Who reports events: this replica's identity.
    pub(crate) identity: String,
}

/// Keeps the policies in place until it is dropped.
pub(crate) async fn run(context: Context) -> Infallible {
    let metrics = Arc::clone(&context.metrics);
    metrics.queued(0);
    let mut exempt = context.labeler.exemptions().watch();
    // Without them a namespace that the cluster's life depends on could be isolated.
    let _ = exempt.wait_for(Option::is_some).await;
    let (stores, mut signals) = watches::start(&context.client);
    let (events, publishing) = Events::new(context.client.clone(), &context.identity, Arc::clone(&metrics));
    let reconciler = Arc::new(Reconciler::new(context, stores, events));
    let mut publishing = Box::pin(publishing);

    let mut queue = Queue::default();
    let mut listed = [false; WATCHES];
    let mut workers = JoinSet::new();
    let mut names = std::collections::HashMap::<Id, Arc<str>>::new();
    loop {
        // Before everything has been listed once, policies only seem to be missing.
        let synced = listed.iter().all(|listed| *listed);
        while synced && workers.len() < CONCURRENT {
            let Some(name) = queue.pop(Instant::now()) else { break };
            let reconciler = Arc::clone(&reconciler);
            let id = workers.spawn({
                let name = Arc::clone(&name);
                async move { reconciler.reconcile(&name).await }
            });
            names.insert(id.id(), name);
        }
        metrics.queued(queue.len());
        let wake = queue.next().filter(|_| synced && workers.len() < CONCURRENT);
        tokio::select! {
            signal = signals.next() => match signal {
                Some(Signal::One(name)) => queue.push(name),
                Some(Signal::All(watch)) => {
                    listed[watch] = true;
                    reconciler.namespaces().for_each(|name| queue.push(name));
                }
                None => unreachable!("a watch never ends"),
            },
            Ok(()) = exempt.changed() => {
                reconciler.namespaces().for_each(|name| queue.push(name));
            }
            Some(done) = workers.join_next_with_id() => {
                let (id, outcome) = match done {
                    Ok((id, outcome)) => (id, outcome),
                    // A fault of the program in one namespace must not end the care for the others.
                    Err(error) => (error.id(), Outcome::Retry),
                };
                if let Some(name) = names.remove(&id) {
                    queue.done(name, outcome, Instant::now());
                }
            }
            () = async { sleep_until(wake.unwrap_or_else(Instant::now)).await }, if wake.is_some() => {}
            () = &mut publishing => unreachable!("events are published as long as this runs"),
        }
    }
}
