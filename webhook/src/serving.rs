//! Where the serving certificate comes from, and keeping it fresh.

mod files;
mod managed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use netpol_certs::managed::Managed;
use netpol_certs::{Authority, Directory, Error, Leaf, Resolver, Validity};
use rustls::pki_types::ServerName;
use tokio::time::{MissedTickBehavior, interval};

use self::files::Changes;
use crate::server::App;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Life of an authority that somebody keeps in files: long, for replacing it means telling every client.
pub(crate) const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Life of a leaf that is signed in memory.
const LEAF_LIFE: Duration = Duration::from_secs(30 * DAY.as_secs());

/// Gives every later leaf.
#[derive(Debug)]
pub(crate) enum Source {
    /// Files that someone else renews.
    Directory(Directory),
    /// An authority in memory, gone with the process.
    Own {
        /// Signs.
        authority: Box<Authority>,
        /// What the leaf is for.
        names: Vec<ServerName<'static>>,
    },
    /// An authority in a Secret, shared with the other replicas.
    Shared(Box<Managed>),
}

impl Source {
    /// Reads `tls.crt` and `tls.key` of a directory.
    pub(crate) fn directory(path: PathBuf) -> Result<(Self, Arc<Resolver>), Error> {
        let (directory, leaf) = Directory::open(path, SystemTime::now())?;
        Ok((Self::Directory(directory), serving(leaf)))
    }

    /// Makes an authority and a leaf for these names.
    pub(crate) fn own(names: Vec<ServerName<'static>>) -> Result<(Self, Arc<Resolver>), Error> {
        let now = SystemTime::now();
        let authority =
            Authority::create("netpol-webhook (in memory)", Validity::starting(now, AUTHORITY_LIFE))?;
        let leaf = authority.sign(&names, now, LEAF_LIFE)?;
        Ok((Self::Own { authority: Box::new(authority), names }, serving(leaf)))
    }

    /// Takes part in the authority of a Secret. The first leaf that clients trust comes later.
    pub(crate) fn shared(managed: Managed) -> (Self, Arc<Resolver>) {
        let resolver = managed.resolver();
        (Self::Shared(Box::new(managed)), resolver)
    }

    /// The authority in memory.
    pub(crate) fn authority(&self) -> Option<&Authority> {
        match self {
            Self::Directory(_) | Self::Shared(_) => None,
            Self::Own { authority, .. } => Some(authority),
        }
    }

    /// Whether clients don't trust the first leaf.
    pub(crate) fn begins_untrusted(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    /// Looks for a new leaf again and again and swaps it in. A leaf that is refused changes nothing but a metric.
    pub(crate) async fn keep_fresh(self, app: Arc<App>, every: Duration) {
        let mut source = match self {
            Self::Shared(managed) => return managed::keep_fresh(*managed, app).await,
            source => source,
        };
        let mut changes = match &source {
            Self::Directory(directory) => Changes::of(directory.path()),
            _ => Changes::none(),
        };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // A timer too: a network file system doesn't tell, and time alone makes a certificate good.
            tokio::select! {
                _ = ticks.tick() => {}
                () = changes.next() => {}
            }
            match source.next(&app.resolver, SystemTime::now()) {
                Ok(None) => {}
                Ok(Some(leaf)) => {
                    tracing::info!(names = ?leaf.names(), validity = %leaf.validity(), "new serving certificate");
                    app.metrics.certificate_changed();
                    app.resolver.swap(leaf);
                }
                Err(error) => {
                    tracing::error!(%error, "the new serving certificate is refused, the old one stays");
                    app.metrics.certificate_refused();
                }
            }
        }
    }

    fn next(&mut self, resolver: &Resolver, now: SystemTime) -> Result<Option<Leaf>, Error> {
        match self {
            Self::Directory(directory) => directory.refresh(now),
            Self::Own { .. } if now < resolver.current().validity().renewal() => Ok(None),
            Self::Own { authority, names } => authority.sign(names, now, LEAF_LIFE).map(Some),
            Self::Shared(_) => Ok(None),
        }
    }
}

fn serving(leaf: Leaf) -> Arc<Resolver> {
    tracing::info!(names = ?leaf.names(), validity = %leaf.validity(), "serving certificate");
    Arc::new(Resolver::new(leaf))
}
