//! A replica's own leaf.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, ServerName};

use super::Rotation;
use crate::authority::Authority;
use crate::error::{Error, Part};
use crate::leaf::Leaf;
use crate::lifetimes::Lifetimes;
use crate::resolver::Resolver;
use crate::validity::Validity;

/// Keeps a replica's leaf signed by an authority that its clients trust. The leaf's key is never anywhere but in memory.
#[derive(Debug)]
pub struct Signer {
    names: Vec<ServerName<'static>>,
    resolver: Arc<Resolver>,
    /// Who signed what the resolver serves; nobody that anyone knows in the beginning.
    signed_by: Option<CertificateDer<'static>>,
    /// Whether there was a moment when every client accepted it.
    was_trusted: bool,
}

impl Signer {
    /// Serves, for the time being, a leaf that no client trusts: so that whoever doesn't care, such as the kubelet's probes,
    /// gets an answer before the first authority is known.
    ///
    /// # Errors
    /// [`Error::NoNames`] without a name; [`Error::Sign`] when there is no randomness.
    pub fn new(names: Vec<ServerName<'static>>) -> Result<Self, Error> {
        if names.is_empty() {
            return Err(Error::NoNames { part: Part::Leaf });
        }
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 60 * 60));
        let nobody = Authority::create("nobody", Validity::starting(now, 365 * day))?;
        let resolver = Arc::new(Resolver::new(nobody.sign(&names, now, 365 * day)?));
        Ok(Self { names, resolver, signed_by: None, was_trusted: false })
    }

    /// What gives the leaf to rustls.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// Signs a new leaf and serves it, if the rotation, as it was read just now, and the leaf's age ask for it; says whether.
    ///
    /// # Errors
    /// [`Error::Sign`] when there is no randomness; the leaf that is served stays.
    pub fn update(
        &mut self,
        rotation: &Rotation,
        lifetimes: &Lifetimes,
        now: SystemTime,
    ) -> Result<bool, Error> {
        let held = self.resolver.current().validity();
        let wanted = match &self.signed_by {
            None => true,
            Some(signer) if signer == rotation.current().certificate() => held.renewal() <= now,
            // Of an authority that has gone: it stays until every client knows the new one.
            Some(signer) => {
                rotation.is_current_known(lifetimes, now)
                    || !self.was_trusted
                    || held.not_after() <= now
                    || !rotation.bundle().certificates().contains(signer)
            }
        };
        if wanted {
            self.sign(rotation, lifetimes, now)?;
        }
        Ok(wanted)
    }

    /// The same while the rotation can't be read, by what it was when it last could: only when the leaf is about to end. A leaf
    /// that may not be trusted is better than one that is over.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn bridge(&mut self, last: &Rotation, lifetimes: &Lifetimes, now: SystemTime) -> Result<bool, Error> {
        let held = self.resolver.current().validity();
        let life = held.not_after().duration_since(held.not_before()).unwrap_or_default();
        let wanted = held.not_after() - life / 10 <= now && last.current().validity().contains(now);
        if wanted {
            self.sign(last, lifetimes, now)?;
        }
        Ok(wanted)
    }

    /// Whether every client that follows the rotation's bundle accepts the leaf that is served.
    pub fn is_trusted(&mut self, rotation: &Rotation, lifetimes: &Lifetimes, now: SystemTime) -> bool {
        let Some(signer) = &self.signed_by else { return false };
        self.was_trusted = if signer == rotation.current().certificate() {
            // Where nothing was trusted before, no client can be behind: it is not called at all until it knows.
            let first = rotation.published().is_some() && rotation.old().0.is_empty();
            self.was_trusted || first || rotation.is_current_known(lifetimes, now)
        } else {
            self.was_trusted && rotation.bundle().certificates().contains(signer)
        };
        self.was_trusted
    }

    fn sign(&mut self, rotation: &Rotation, lifetimes: &Lifetimes, now: SystemTime) -> Result<(), Error> {
        let life = lifetimes.leaf().min(rotation.leaf_life());
        let leaf: Leaf = rotation.current().sign(&self.names, now, life)?;
        self.resolver.swap(leaf);
        let signer = rotation.current().certificate();
        // Another leaf of the same authority is as good as the one before.
        self.was_trusted &= self.signed_by.as_ref() == Some(signer);
        self.signed_by = Some(signer.clone());
        Ok(())
    }
}
