//! The leaf of the moment, for rustls.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::leaf::Leaf;

/// Gives every new connection the current leaf. A swap leaves open connections alone: TLS looks at the
/// certificate once, in the handshake.
#[derive(Debug)]
pub struct Resolver {
    leaf: RwLock<Arc<Leaf>>,
}

impl Resolver {
    /// Serves this leaf until another is swapped in.
    pub fn new(leaf: Leaf) -> Self {
        Self { leaf: RwLock::new(Arc::new(leaf)) }
    }

    /// Serves another leaf from the next handshake on.
    pub fn swap(&self, leaf: Leaf) {
        // The lock guards one assignment, which can't be left half done: a poisoned lock is still good.
        *self.leaf.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(leaf);
    }

    /// The leaf that is served now, for its names and its end.
    pub fn current(&self) -> Arc<Leaf> {
        Arc::clone(&self.leaf.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Whatever name the client asks for: there is one certificate, and the client is the one who checks it.
        Some(self.current().certified_key())
    }
}
