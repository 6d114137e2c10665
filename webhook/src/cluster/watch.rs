//! Follows the API server.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, future};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use netpol_lint::live::{KINDS, Kind, Piece};

use super::Watch;
use super::store::{Key, State};

/// How often the API server is asked whether it is there. A watch alone may be silent for minutes.
const ASK: Duration = Duration::from_secs(5);

/// How long it may take to answer that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Objects of a page of the first list.
const PAGE: u32 = 500;

/// Follows every kind.
pub(super) async fn all(watch: Arc<Watch>, client: Client) {
    let kinds = KINDS.iter().enumerate();
    future::join_all(kinds.map(|(number, kind)| follow(&watch, number, kind, &client))).await;
}

/// Notes that the API server answers.
pub(super) async fn keep_in_contact(watch: Arc<Watch>, client: Client) {
    let mut ticks = tokio::time::interval(ASK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // An answer that refuses is an answer.
        match tokio::time::timeout(PATIENCE, client.apiserver_version()).await {
            Ok(Ok(_) | Err(kube::Error::Api(_))) => watch.in_contact(),
            Ok(Err(error)) => tracing::warn!(error = %error, "the API server doesn't answer"),
            Err(_) => tracing::warn!("the API server doesn't answer in time"),
        }
    }
}

/// Lists and watches one kind, with back-off, for ever.
async fn follow(watch: &Watch, number: usize, kind: &'static Kind, client: &Client) {
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", kind.api_version));
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.kind), kind.plural);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut read = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // A list that only begins says nothing of the API server.
                if !matches!(event, watcher::Event::Init) {
                    watch.in_contact();
                }
                match event {
                    watcher::Event::Init => read = HashMap::new(),
                    watcher::Event::InitApply(object) => {
                        if let Some((key, piece)) = piece(kind, object) {
                            read.insert(key, Arc::new(piece));
                        }
                    }
                    watcher::Event::InitDone => watch.store.replace(number, std::mem::take(&mut read)),
                    watcher::Event::Apply(object) => {
                        if let Some((key, piece)) = piece(kind, object) {
                            watch.store.put(number, key, piece);
                        }
                    }
                    watcher::Event::Delete(object) => watch.store.remove(number, &key(&object)),
                }
            }
            Err(error) => failed(watch, number, kind, &error),
        }
    }
}

fn failed(watch: &Watch, number: usize, kind: &Kind, error: &watcher::Error) {
    let code = match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code,
        _ => 0,
    };
    match code {
        403 => watch.store.unreadable(number, State::Forbidden),
        404 => watch.store.unreadable(number, State::Absent),
        _ => {}
    }
    if code == 404 && kind.optional {
        return;
    }
    tracing::warn!(kind = kind.plural, error = %error, "can't follow");
}

fn piece(kind: &Kind, mut object: DynamicObject) -> Option<(Key, Piece)> {
    let key = key(&object);
    object.metadata.managed_fields = None;
    match serde_json::to_value(object) {
        Ok(value) => Some((key, Piece::read(kind, value))),
        Err(error) => {
            tracing::warn!(kind = kind.plural, namespace = %key.0, name = %key.1, error = %error, "left out");
            None
        }
    }
}

fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default().into(), object.name_any().into())
}
