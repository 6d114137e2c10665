//! Whether the API server is there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::log;
use crate::report::SourceReport;

/// What is known of the connection. It is said when it changes, and only then.
#[derive(Debug)]
pub(super) struct Contact {
    state: Mutex<State>,
    doubt: Notify,
}

/// What kept a list or a watch from going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody answers, or no more.
    Unreachable(String),
    /// The answer is no, or makes no sense.
    Refused(String),
}

#[derive(Debug)]
struct State {
    server: String,
    connected: Option<bool>,
    since: SystemTime,
    heard: Option<SystemTime>,
    refused: BTreeMap<&'static str, String>,
}

impl Contact {
    /// With this API server, of which nothing is known yet.
    pub(super) fn new(server: String) -> Self {
        let state = State {
            server,
            connected: None,
            since: SystemTime::now(),
            heard: None,
            refused: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), doubt: Notify::new() }
    }

    /// News of a kind arrived.
    pub(super) fn heard(&self, kind: &'static str) {
        let mut state = self.lock();
        state.heard = Some(SystemTime::now());
        if state.refused.remove(kind).is_some() {
            log::info("followed again", &[("kind", &kind)]);
        }
    }

    /// A kind can't be followed for now; it will be tried again.
    pub(super) fn failed(&self, kind: &'static str, failure: &Failure) {
        if let Failure::Refused(why) = failure {
            let mut state = self.lock();
            if state.refused.get(kind) != Some(why) {
                log::error("the API server refuses", &[("kind", &kind), ("why", why)]);
                state.refused.insert(kind, why.clone());
            }
        }
        self.doubt.notify_one();
    }

    /// Returns when there is reason to ask whether the API server is there.
    pub(super) async fn doubted(&self) {
        self.doubt.notified().await;
    }

    /// It answered.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        let now = SystemTime::now();
        state.heard = Some(now);
        if state.connected != Some(true) {
            log::info("the API server answers", &[("server", &state.server)]);
            (state.connected, state.since) = (Some(true), now);
        }
    }

    /// It did not answer.
    pub(super) fn away(&self, why: &str) {
        let mut state = self.lock();
        if state.connected != Some(false) {
            let until_then = "what is programmed stays enforced";
            log::warn(
                "the API server doesn't answer",
                &[("server", &state.server), ("why", &why), ("until_then", &until_then)],
            );
            (state.connected, state.since) = (Some(false), SystemTime::now());
        }
    }

    /// Whether it answered when last asked.
    pub(super) fn is_connected(&self) -> bool {
        self.lock().connected == Some(true)
    }

    /// For the agent's report.
    pub(super) fn report(&self) -> SourceReport {
        let state = self.lock();
        SourceReport {
            server: state.server.clone(),
            connected: state.connected == Some(true),
            since: log::timestamp(state.since),
            heard: state.heard.map(log::timestamp),
            refused: state.refused.iter().map(|(kind, why)| format!("{kind}: {why}")).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
