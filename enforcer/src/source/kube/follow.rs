//! Follows one kind: a list, then what changes, then, after a gap, a list again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use kube::api::Api;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, core::Status};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::contact::{Contact, Failure};
use super::item::Item;
use super::kinds::Watched;
use crate::world::Change;

/// Objects of a page of a list: each page is a question that waits for the answer to the one before. Two hundred pods
/// and their managed fields are about a megabyte.
const PAGE: u32 = 500;

/// Objects that are understood at a time, while the next page is on its way.
const BATCH: usize = 125;

/// Seconds after which a watch is asked for anew, so that a connection that died without a word is noticed.
const WATCH: u32 = 120;

/// Follows a kind, for ever: changes go to `tell`, the first of them all objects at once.
pub(super) async fn follow<K: Watched>(
    client: Client,
    fields: Option<String>,
    contact: Arc<Contact>,
    tell: UnboundedSender<Change>,
) {
    let api: Api<Item<K>> = Api::all(client);
    let config = watcher::Config { field_selector: fields, ..watcher::Config::default() };
    let events = watcher(api, config.page_size(PAGE).timeout(WATCH)).backoff(Waits::default());
    let mut events = std::pin::pin!(events);
    let mut list = List::<K>::default();
    while let Some(event) = events.next().await {
        let change = match event {
            Ok(watcher::Event::Init) => {
                list = List::default();
                // A list that only begins says nothing of the API server.
                continue;
            }
            Ok(watcher::Event::InitApply(item)) => {
                list.push(item);
                continue;
            }
            Ok(watcher::Event::InitDone) => Change::All(K::KIND, std::mem::take(&mut list).changes().await),
            Ok(watcher::Event::Apply(item)) => item.change(),
            Ok(watcher::Event::Delete(item)) => Change::Gone(K::KIND, item.name()),
            Err(error) => {
                contact.failed(K::PLURAL, &failure(&error));
                continue;
            }
        };
        contact.heard(K::PLURAL);
        if tell.send(change).is_err() {
            return;
        }
    }
}

/// A list that is being read. What its objects mean is found out on other threads.
struct List<K: Watched> {
    items: Vec<Item<K>>,
    understood: Vec<JoinHandle<Vec<Change>>>,
}

impl<K: Watched> List<K> {
    fn push(&mut self, item: Item<K>) {
        self.items.push(item);
        if self.items.len() >= BATCH {
            self.understand();
        }
    }

    fn understand(&mut self) {
        let items = std::mem::take(&mut self.items);
        let changes = move || items.iter().map(Item::change).collect();
        self.understood.push(tokio::task::spawn_blocking(changes));
    }

    /// What all of them mean, in their order.
    async fn changes(mut self) -> Vec<Change> {
        self.understand();
        let mut changes = Vec::new();
        for some in self.understood {
            changes
                .append(&mut some.await.expect("reading an object does not panic, and nothing cancels it"));
        }
        changes
    }
}

impl<K: Watched> Default for List<K> {
    fn default() -> Self {
        Self { items: Vec::new(), understood: Vec::new() }
    }
}

/// What kept a list or a watch from going on.
fn failure(error: &watcher::Error) -> Failure {
    let refused = |status: &Status| match status.code {
        // The watch fell behind what the API server remembers; a list follows.
        GONE => Failure::Unreachable(status.message.clone()),
        _ => Failure::Refused(status.message.clone()),
    };
    match error {
        watcher::Error::WatchError(status) => refused(status),
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => refused(status),
            kube::Error::SerdeError(_) => Failure::Refused(innermost(error)),
            error => Failure::Unreachable(innermost(error)),
        },
        watcher::Error::NoResourceVersion => Failure::Refused(error.to_string()),
    }
}

const GONE: u16 = 410;

/// The innermost cause of an error: the layers around it say nothing that a person needs.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// How long to wait before the next attempt: 0.2 s, doubled up to 5 s, and up to as much again by chance, so that the
/// agents of a large cluster do not all come back at once.
#[derive(Debug, Default)]
struct Waits {
    attempts: u32,
    last: Option<Instant>,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_some_and(|last| last.elapsed() > FORGET) {
            self.attempts = 0;
        }
        self.last = Some(Instant::now());
        let wait = Duration::from_millis(200 << self.attempts.min(5)).min(Duration::from_secs(5));
        self.attempts += 1;
        Some(wait + wait.mul_f64(super::chance()))
    }
}

impl Backoff for Waits {
    /// Every beginning of an attempt counts as a success here; only time makes the waits short again.
    fn reset(&mut self) {}
}

const FORGET: Duration = Duration::from_secs(30);
