//! Replacing an authority while every replica goes on being trusted.

mod record;
mod signer;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::authority::Authority;
use crate::bundle::Bundle;
use crate::error::Error;
use crate::lifetimes::Lifetimes;
use crate::validity::{Validity, rfc3339};

pub use signer::Signer;

/// So many authorities that are lost stay trusted, should somebody take away one after the other.
const MOST_OLD: usize = 16;

/// What all replicas of a server share: the authority that signs, the one that comes next, those that went, and when.
///
/// It goes round in four steps, each taken by whichever replica is first:
///
/// 1. [`Change::Announced`]: two thirds of the authority's life are over, so there is a next one. It signs nothing yet.
/// 2. [`Change::Published`]: the bundle with both is where clients look.
/// 3. [`Change::Promoted`]: [`Lifetimes::settle`] later, so that every client knows, the next one is the one that signs. Each
///    replica signs its leaf anew as soon as it sees that. The key of the old one is gone.
/// 4. [`Change::Dropped`]: when the last leaf that the old one can have signed is over, it is no longer trusted.
///
/// A new authority in the place of one that is lost starts at step 2: what clients trust already stays trusted, and replicas
/// keep the leaf they have until step 3's time has come.
#[derive(Debug, Clone)]
pub struct Rotation {
    current: Arc<Authority>,
    next: Option<Arc<Authority>>,
    old: Bundle,
    old_until: Option<SystemTime>,
    published: Option<SystemTime>,
    leaf_life: Duration,
}

/// A step of a [`Rotation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A next authority was made.
    Announced,
    /// Clients are told to trust the newest authority.
    Published,
    /// The next authority signs from now on.
    Promoted,
    /// Replaced authorities are no longer trusted.
    Dropped,
}

/// What clients were last seen to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Something else than the rotation's bundle.
    Outdated,
    /// The bundle, put there just now.
    Fresh,
    /// The bundle, and it was there already.
    Holding,
}

impl Rotation {
    /// The first authority, or one in the place of one that is lost; `trusted` is what clients trust now.
    ///
    /// # Errors
    /// [`Error::Sign`] when there is no randomness.
    pub fn create(
        common_name: &str,
        lifetimes: &Lifetimes,
        trusted: &Bundle,
        now: SystemTime,
    ) -> Result<Self, Error> {
        Ok(Self {
            current: Arc::new(new_authority(common_name, lifetimes, now)?),
            next: None,
            old: trusted.in_time(now).certificates().iter().take(MOST_OLD).cloned().collect(),
            old_until: None,
            published: None,
            leaf_life: lifetimes.leaf(),
        })
    }

    /// What clients are to trust.
    pub fn bundle(&self) -> Bundle {
        let authorities = self.next.iter().chain([&self.current]);
        let certificates = authorities.map(|authority| authority.certificate());
        certificates.chain(self.old.certificates()).cloned().collect()
    }

    /// The authority that signs.
    pub fn current(&self) -> &Authority {
        &self.current
    }

    /// The authority that will sign next, while it is only announced.
    pub fn next(&self) -> Option<&Authority> {
        self.next.as_deref()
    }

    /// Authorities that sign no more and are still trusted, and until when, once that is known.
    pub fn old(&self) -> (&Bundle, Option<SystemTime>) {
        (&self.old, self.old_until)
    }

    /// Since when the newest authority has been where clients look.
    pub fn published(&self) -> Option<SystemTime> {
        self.published
    }

    /// Whether every client knows the newest authority: it has been published for as long as that takes.
    pub fn is_settled(&self, lifetimes: &Lifetimes, now: SystemTime) -> bool {
        self.published.is_some_and(|published| published + lifetimes.settle() <= now)
    }

    /// Whether every client knows the authority that signs.
    pub fn is_current_known(&self, lifetimes: &Lifetimes, now: SystemTime) -> bool {
        // The next one is announced only after the current one has settled; what is published then is about the next one.
        self.next.is_some() || self.is_settled(lifetimes, now)
    }

    /// The longest life of a leaf of the current authority: what its first replica was told.
    pub fn leaf_life(&self) -> Duration {
        self.leaf_life
    }

    /// The next step, if its time has come. The caller stores the result unless another replica was quicker, and looks again.
    ///
    /// # Errors
    /// [`Error::Sign`] when there is no randomness.
    pub fn advance(
        &self,
        common_name: &str,
        seen: Seen,
        lifetimes: &Lifetimes,
        now: SystemTime,
    ) -> Result<Option<(Self, Change)>, Error> {
        let mut new = self.clone();
        let change = match seen {
            Seen::Outdated => return Ok(None),
            // Somebody may have taken it away after it had been published: then its time to settle starts anew.
            Seen::Fresh if self.published.is_none() || !self.is_steady() => {
                new.published = Some(now);
                new.old_until = None;
                Change::Published
            }
            Seen::Holding if self.published.is_none() => {
                new.published = Some(now);
                Change::Published
            }
            _ if !self.is_settled(lifetimes, now) => return Ok(None),
            _ => match (&self.next, self.old_until) {
                (Some(next), _) => {
                    new.current = Arc::clone(next);
                    new.next = None;
                    new.old = [self.current.certificate()]
                        .into_iter()
                        .chain(self.old.certificates())
                        .cloned()
                        .collect();
                    new.old_until = Some(now + self.leaf_life + lifetimes.settle());
                    new.leaf_life = lifetimes.leaf();
                    Change::Promoted
                }
                (None, _) if self.old.is_empty() => {
                    if now < self.current.validity().renewal() {
                        return Ok(None);
                    }
                    new.next = Some(Arc::new(new_authority(common_name, lifetimes, now)?));
                    new.published = None;
                    Change::Announced
                }
                // A replacement has settled just now; replicas take their leaves from it only from here on.
                (None, None) => {
                    new.old_until = Some(now + self.leaf_life + lifetimes.settle());
                    Change::Promoted
                }
                (None, Some(until)) if until <= now => {
                    new.old = Bundle::default();
                    new.old_until = None;
                    Change::Dropped
                }
                (None, Some(_)) => return Ok(None),
            },
        };
        Ok(Some((new, change)))
    }

    /// Whether there is one authority and nothing else.
    fn is_steady(&self) -> bool {
        self.next.is_none() && self.old.is_empty()
    }
}

fn new_authority(common_name: &str, lifetimes: &Lifetimes, now: SystemTime) -> Result<Authority, Error> {
    // Clients that know both find the right one by its name.
    let name = format!("{common_name} {}", rfc3339(now));
    Authority::create(&name, Validity::starting(now, lifetimes.authority()))
}
