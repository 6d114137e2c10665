//! A running webhook, a client, and reviews to send.

mod client;
mod process;
mod review;

use std::time::{Duration, Instant};

pub(crate) use client::{Answer, Client};
pub(crate) use process::{Webhook, command};
pub(crate) use review::{json, namespace, policy, review};

/// Waits for a condition; fails when it doesn't come about.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: did not happen in 20 s");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
