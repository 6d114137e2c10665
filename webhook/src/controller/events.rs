//! What the controller did, as Events of the Namespace: `kubectl describe namespace` shows them.
//!
//! They are for people and must never hold up the work: they are written one after the other beside it, a few in a
//! second, and what is too much is counted and dropped. The log has everything.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::metrics::Metrics;

/// So many at once, and one more in each interval.
const BURST: f64 = 50.0;
const INTERVAL: Duration = Duration::from_millis(200);

/// Who reports.
const CONTROLLER: &str = "netpol.dev/webhook";

#[derive(Debug)]
pub(super) struct Events {
    sender: mpsc::Sender<(Event, ObjectReference)>,
    bucket: Mutex<Bucket>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Events {
    /// And what writes them, which must be polled.
    pub(super) fn new(
        client: Client,
        identity: &str,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + use<>) {
        let (sender, mut receiver) = mpsc::channel::<(Event, ObjectReference)>(64);
        let instance = Some(identity.chars().take(128).collect());
        let recorder = Recorder::new(client, Reporter { controller: CONTROLLER.to_owned(), instance });
        let publishing = async move {
            while let Some((event, namespace)) = receiver.recv().await {
                if let Err(error) = recorder.publish(&event, &namespace).await {
                    tracing::debug!(%error, "an event can't be written");
                }
            }
        };
        let bucket = Mutex::new(Bucket { tokens: BURST, filled: Instant::now() });
        (Self { sender, bucket, metrics }, publishing)
    }

    /// Something went as it should.
    pub(super) fn normal(&self, namespace: ObjectReference, reason: &str, note: &str) {
        self.send(EventType::Normal, namespace, reason, note);
    }

    /// Something needs a person.
    pub(super) fn warning(&self, namespace: ObjectReference, reason: &str, note: &str) {
        self.send(EventType::Warning, namespace, reason, note);
    }

    fn send(&self, type_: EventType, namespace: ObjectReference, reason: &str, note: &str) {
        // The API server takes notes of up to 1,024 bytes.
        let note = note.char_indices().take_while(|(at, _)| *at < 1000).map(|(_, c)| c).collect();
        let (reason, action) = (reason.to_owned(), "Isolate".to_owned());
        let event = Event { type_, reason, note: Some(note), action, secondary: None };
        let allowed = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        if !allowed || self.sender.try_send((event, namespace)).is_err() {
            self.metrics.event_dropped();
        }
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() / INTERVAL.as_secs_f64();
        (self.tokens, self.filled) = ((self.tokens + gained).min(BURST), now);
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_trickle() {
        let start = Instant::now();
        let mut bucket = Bucket { tokens: BURST, filled: start };
        let taken = (0..1000).filter(|_| bucket.take(start)).count();
        assert_eq!(taken, 50);
        let later = start + Duration::from_secs(2);
        assert_eq!((0..1000).filter(|_| bucket.take(later)).count(), 10);
        let much_later = start + Duration::from_secs(3600);
        assert_eq!((0..1000).filter(|_| bucket.take(much_later)).count(), 50);
    }
}
