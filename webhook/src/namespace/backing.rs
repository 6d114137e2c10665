//! Namespaces that the API server calls into: those of webhooks and of API services, as the cluster says at the moment.
//!
//! Isolating one of them can stop every write to the cluster, so nobody should have to remember to name it.

use std::fmt::Debug;

use futures_util::stream::{SelectAll, StreamExt};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::exemption::{Backing, Exemptions};

/// Keeps the exemptions as the cluster says, until it is dropped.
pub(crate) async fn keep(client: Client, exemptions: Exemptions) {
    let mut changes = SelectAll::new();
    let validating = watch::<ValidatingWebhookConfiguration>(&client, 0, &mut changes);
    let mutating = watch::<MutatingWebhookConfiguration>(&client, 1, &mut changes);
    let services = watch::<APIService>(&client, 2, &mut changes);
    let mut listed = [false; 3];
    while let Some((watch, whole)) = changes.next().await {
        listed[watch] |= whole;
        if listed.contains(&false) {
            continue;
        }
        let mut backing = Backing::new();
        for configuration in validating.state() {
            let hooks = configuration.webhooks.iter().flatten();
            backing.extend(hooks.filter_map(|hook| called(&hook.name, &hook.client_config)));
        }
        for configuration in mutating.state() {
            let hooks = configuration.webhooks.iter().flatten();
            backing.extend(hooks.filter_map(|hook| called(&hook.name, &hook.client_config)));
        }
        for service in services.state() {
            let name = service.metadata.name.as_deref().unwrap_or_default();
            let reference = service.spec.as_ref().and_then(|spec| spec.service.as_ref());
            let namespace = reference.and_then(|reference| reference.namespace.clone());
            backing.extend(namespace.map(|namespace| (namespace, format!("API service {name}"))));
        }
        let names: Vec<_> = backing.keys().cloned().collect();
        if exemptions.learn(backing) {
            tracing::info!(namespaces = ?names, "exempt, for the API server calls into them");
        }
    }
}

fn called(name: &str, config: &WebhookClientConfig) -> Option<(String, String)> {
    let service = config.service.as_ref()?;
    Some((service.namespace.clone(), format!("webhook {name}")))
}

type Changes = SelectAll<futures_util::stream::BoxStream<'static, (usize, bool)>>;

/// What there is; `changes` gets the number when something has changed, and whether all has been listed.
fn watch<K>(client: &Client, number: usize, changes: &mut Changes) -> reflector::Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), Config::default())
        .modify(|object| object.meta_mut().managed_fields = None)
        .default_backoff()
        .reflect(writer);
    let changed = move |event| {
        let change = match event {
            Ok(Event::InitDone) => Some((number, true)),
            Ok(Event::Apply(_) | Event::Delete(_)) => Some((number, false)),
            Ok(Event::Init | Event::InitApply(_)) => None,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, kind = %K::kind(&()), "a watch broke");
                None
            }
        };
        std::future::ready(change)
    };
    changes.push(events.filter_map(changed).boxed());
    store
}
