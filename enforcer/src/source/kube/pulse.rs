//! Asks now and then whether the API server is there. A watch alone may be silent for minutes.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

use super::chance;
use super::contact::Contact;
use super::follow::innermost;
use crate::report::SourceReport;

/// How often it is asked while it is there, and while it is away.
const EVERY: Duration = Duration::from_secs(10);
const AWAY: Duration = Duration::from_secs(2);

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, for ever, at once when something makes doubt that it is there. Each answer goes to `tell`.
pub(super) async fn keep(client: Client, contact: Arc<Contact>, tell: UnboundedSender<SourceReport>) {
    loop {
        match timeout(PATIENCE, client.apiserver_version()).await {
            // An answer that refuses is an answer.
            Ok(Ok(_) | Err(kube::Error::Api(_))) => contact.answered(),
            Ok(Err(error)) => contact.away(&innermost(&error)),
            Err(_) => contact.away("it is silent"),
        }
        if tell.send(contact.report()).is_err() {
            return;
        }
        let every = if contact.is_connected() { EVERY } else { AWAY };
        let every = every.mul_f64(0.9 + 0.2 * chance());
        if contact.is_connected() {
            tokio::select! {
                () = sleep(every) => {}
                () = contact.doubted() => sleep(Duration::from_millis(200)).await,
            }
        } else {
            sleep(every).await;
        }
    }
}
