//! The cluster as the controller sees it: namespaces, and the policies of the two names.

use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::policies::Kind;

/// Of a namespace, its metadata says all: the label, and whether it is being deleted.
pub(super) type NamespaceMeta = PartialObjectMeta<Namespace>;

/// What is known of the cluster.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) namespaces: Store<NamespaceMeta>,
    /// In the order of [`Kind::ALL`].
    pub(super) policies: [Store<NetworkPolicy>; Kind::ALL.len()],
}

/// What has to be looked at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// One namespace: it or a policy of it has changed.
    One(Arc<str>),
    /// All of them: what this watch is about has been listed anew, and changes may have been missed.
    All(usize),
}

/// How many watches there are.
pub(super) const WATCHES: usize = 1 + Kind::ALL.len();

pub(super) type Signals = stream::SelectAll<Pin<Box<dyn Stream<Item = Signal> + Send>>>;

/// Begins to watch. Watches that break are opened again, with growing pauses while that fails.
pub(super) fn start(client: &Client) -> (Stores, Signals) {
    let mut signals = Signals::new();
    let name = |namespace: &NamespaceMeta| namespace.metadata.name.as_deref().map(Arc::from);
    let api = Api::all(client.clone());
    let namespaces = watch(api, watcher::Config::default(), name, &mut signals);
    let policies = Kind::ALL.map(|kind| {
        let config = watcher::Config::default().fields(&format!("metadata.name={}", kind.name()));
        let name = |policy: &NetworkPolicy| policy.metadata.namespace.as_deref().map(Arc::from);
        watch(Api::all(client.clone()), config, name, &mut signals)
    });
    (Stores { namespaces, policies }, signals)
}

fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    name: impl Fn(&K) -> Option<Arc<str>> + Send + 'static,
    signals: &mut Signals,
) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let number = signals.len();
    let events = watcher(api, config).default_backoff().reflect(writer);
    let changed = move |event| {
        let signal = match event {
            Ok(Event::Apply(object) | Event::Delete(object)) => name(&object).map(Signal::One),
            Ok(Event::InitDone) => Some(Signal::All(number)),
            Ok(Event::Init | Event::InitApply(_)) => None,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, kind = %K::kind(&()), "a watch broke");
                None
            }
        };
        std::future::ready(signal)
    };
    signals.push(Box::pin(events.filter_map(changed)));
    store
}
