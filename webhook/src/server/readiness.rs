//! Whether new requests are wanted.

use std::sync::atomic::{AtomicBool, Ordering};

/// Ready until the end begins.
#[derive(Debug, Default)]
pub struct Readiness {
    draining: AtomicBool,
    waits_for_cluster: AtomicBool,
    /// Clients don't trust the serving certificate yet.
    untrusted: AtomicBool,
}

impl Readiness {
    /// From now on unready. Requests that still come are answered, and their connections closed, so that the API
    /// server opens the next one elsewhere.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// From now on not ready before the cluster is known.
    pub fn wait_for_cluster(&self) {
        self.waits_for_cluster.store(true, Ordering::Release);
    }

    /// Whether it isn't ready before the cluster is known.
    pub(crate) fn waits_for_cluster(&self) -> bool {
        self.waits_for_cluster.load(Ordering::Acquire)
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Not ready before [`Self::certified`].
    pub(crate) fn await_certificate(&self) {
        self.untrusted.store(true, Ordering::Release);
    }

    /// From now on clients trust the serving certificate; says whether that is new.
    pub(crate) fn certified(&self) -> bool {
        self.untrusted.swap(false, Ordering::AcqRel)
    }

    /// Whether clients don't trust the serving certificate yet.
    pub(crate) fn is_uncertified(&self) -> bool {
        self.untrusted.load(Ordering::Acquire)
    }
}
