//! Whether new requests are wanted.

use std::sync::atomic::{AtomicBool, Ordering};

/// Ready until the end begins.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
}

impl Readiness {
    /// From now on unready. Requests that still come are answered, and their connections closed, so that the API
    /// server opens the next one elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
