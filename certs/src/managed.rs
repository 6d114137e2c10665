//! An authority that the replicas of a webhook share through a Secret, and its bundle in their webhook configurations.
//!
//! [`Managed::run`] does everything: it makes the Secret if there is none, signs this replica's leaf, tells the API server by
//! `caBundle` what to trust, and takes the steps of the [`Rotation`] when their time comes. It needs no leader: whoever is first
//! does a step, and the API server refuses those who come second (`resourceVersion`).
//!
//! # Rights
//!
//! | resource | verbs | names |
//! |---|---|---|
//! | `secrets`, in the Secret's namespace | `create` | any: the API server doesn't know the name when it decides |
//! | `secrets`, in the Secret's namespace | `get`, `update` | the Secret's |
//! | `validatingwebhookconfigurations`, `mutatingwebhookconfigurations` | `get`, `patch` | those of [`Options::configurations`] |
//!
//! # When things go wrong
//!
//! - The API server is away: what is served stays; it is asked again, ever more slowly up to [`Lifetimes::refresh`].
//! - The Secret is deleted or damaged: a new authority is made. What clients trust at that moment stays trusted as long as a
//!   leaf of it can be in use, and replicas keep their leaf until clients know the new authority.
//! - The Secret is of another type: it belongs to somebody else and isn't touched.
//! - The authority isn't valid yet: clocks differ, and nothing is made anew by a clock that may be wrong.

mod configuration;
mod error;
mod secret;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use rustls::pki_types::ServerName;
use tokio::time::{sleep, timeout};

use self::configuration::{Configuration, Publisher};
pub use self::error::ManagedError;
pub use self::secret::SECRET_TYPE;
use self::secret::{Store, Stored};
use crate::bundle::Bundle;
use crate::error::Error;
use crate::lifetimes::Lifetimes;
use crate::resolver::Resolver;
use crate::rotation::{Change, Rotation, Seen, Signer};
use crate::validity::Validity;

/// The pause after the first failure; each further one doubles it, up to [`Lifetimes::refresh`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The pause while there is no configuration.
const NOWHERE_PAUSE: Duration = Duration::from_secs(1);

/// How often another replica may be quicker in one pass before that counts as a failure.
const ROUNDS: usize = 8;

/// No pass takes longer; none may take longer than the time to settle either.
const LONGEST_PASS: Duration = Duration::from_secs(10);

/// What is managed, and for whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The name of the Secret.
    pub secret: String,
    /// What the leaf is for, such as `my-webhook.my-namespace.svc`.
    pub names: Vec<ServerName<'static>>,
    /// Names of the ValidatingWebhookConfigurations and MutatingWebhookConfigurations whose `caBundle` is written, of all their
    /// webhooks. Of each name, one kind or both may exist.
    pub configurations: Vec<String>,
    /// The first part of the common name of each authority; the second is the time it was made.
    pub common_name: String,
    /// The name under which fields are owned (`metadata.managedFields`).
    pub field_manager: String,
    /// How long things live.
    pub lifetimes: Lifetimes,
}

/// What happened, for logs and metrics. Nothing in it is secret.
#[derive(Debug)]
pub enum Event<'e> {
    /// A new leaf is served.
    Leaf(Validity),
    /// The rotation took a step, by this replica; the validity is that of the authority that signs.
    Changed(Change, Validity),
    /// There was no Secret; this replica made it.
    Created(Validity),
    /// The Secret was unusable, for this reason; this replica put a new authority in its place.
    Replaced(&'e Error),
    /// The bundle was written to a configuration.
    Published(&'e str),
    /// None of the configurations exists.
    Nowhere(&'e [String]),
    /// A pass went through.
    Looked {
        /// The authority that signs.
        authority: Validity,
        /// Whether clients that follow the bundle accept this replica's leaf.
        trusted: bool,
    },
    /// A pass failed; what is served stays.
    Failed {
        /// Why.
        error: &'e ManagedError,
        /// The next attempt.
        again_in: Duration,
    },
}

/// A replica's share in the authority.
#[derive(Debug)]
pub struct Managed {
    options: Options,
    store: Store,
    publisher: Publisher,
    signer: Signer,
    /// The rotation as it was last read.
    last: Option<Rotation>,
}

/// What a pass came to.
struct Looked {
    rotation: Rotation,
    nowhere: bool,
}

impl Managed {
    /// Prepares everything; the [`Resolver`] serves a leaf that no client trusts until the first pass of [`Self::run`].
    ///
    /// # Errors
    /// [`Error::NoNames`] when [`Options::names`] is empty.
    pub fn new(client: &Client, options: Options) -> Result<Self, Error> {
        let signer = Signer::new(options.names.clone())?;
        let manager = &options.field_manager;
        let store = Store::new(client, &options.namespace, &options.secret, manager);
        let publisher = Publisher::new(client, &options.configurations, manager);
        Ok(Self { options, store, publisher, signer, last: None })
    }

    /// What gives this replica's leaf to rustls.
    pub fn resolver(&self) -> Arc<Resolver> {
        self.signer.resolver()
    }

    /// Goes on for ever; `observe` is told what happens. To end it, drop it: it leaves nothing half done.
    pub async fn run(mut self, mut observe: impl FnMut(Event<'_>) + Send) {
        let refresh = self.options.lifetimes.refresh();
        let mut pause = FIRST_PAUSE.min(refresh);
        loop {
            match self.look(&mut observe).await {
                Ok(nowhere) => {
                    pause = FIRST_PAUSE.min(refresh);
                    // Who installs everything at once waits for no timer.
                    let next = if nowhere { refresh.min(NOWHERE_PAUSE) } else { refresh };
                    sleep(jittered(next)).await;
                }
                Err(error) => {
                    let again_in = jittered(pause);
                    observe(Event::Failed { error: &error, again_in });
                    sleep(again_in).await;
                    pause = (2 * pause).min(refresh);
                }
            }
        }
    }

    /// One pass: see what is there, and do what is to be done now. Says whether there is no configuration to write to.
    ///
    /// # Errors
    /// When the API server can't be asked or refuses; what could be done all the same is done.
    pub async fn look(&mut self, observe: &mut (impl FnMut(Event<'_>) + Send)) -> Result<bool, ManagedError> {
        let lifetimes = self.options.lifetimes;
        let longest = LONGEST_PASS.min(lifetimes.settle().max(Duration::from_secs(1)));
        let looked = timeout(longest, self.pass(observe)).await.unwrap_or(Err(ManagedError::Slow(longest)));
        let now = SystemTime::now();
        match looked {
            Ok(Looked { rotation, nowhere }) => {
                let trusted = nowhere || self.signer.is_trusted(&rotation, &lifetimes, now);
                observe(Event::Looked { authority: rotation.current().validity(), trusted });
                Ok(nowhere)
            }
            Err(error) => {
                if let Some(last) = &self.last
                    && self.signer.bridge(last, &lifetimes, now)?
                {
                    observe(Event::Leaf(self.signer.resolver().current().validity()));
                }
                Err(error)
            }
        }
    }

    async fn pass(&mut self, observe: &mut (impl FnMut(Event<'_>) + Send)) -> Result<Looked, ManagedError> {
        let mut fresh = false;
        for _ in 0..ROUNDS {
            // The configurations first: whoever changes the Secret after this also changes them after this, so that what is
            // written to them below is refused if it is older than what they hold.
            let configurations = self.publisher.read().await;
            let Some((rotation, stored)) = self.rotation(&configurations, observe).await? else { continue };
            let now = SystemTime::now();
            if self.signer.update(&rotation, &self.options.lifetimes, now)? {
                observe(Event::Leaf(self.signer.resolver().current().validity()));
            }
            self.last = Some(rotation.clone());
            let configurations = configurations?;
            let nowhere = configurations.is_empty();
            if nowhere {
                observe(Event::Nowhere(&self.options.configurations));
            }
            let bundle = rotation.bundle();
            let outdated: Vec<_> =
                configurations.iter().filter(|configuration| !configuration.holds(&bundle)).collect();
            if !outdated.is_empty() {
                for configuration in outdated {
                    if self.publisher.write(configuration, &bundle).await? {
                        observe(Event::Published(&configuration.title()));
                    }
                }
                // Not believed before it is seen.
                fresh = true;
                continue;
            }
            let seen = if fresh { Seen::Fresh } else { Seen::Holding };
            let advanced = rotation.advance(&self.options.common_name, seen, &self.options.lifetimes, now)?;
            let Some((new, change)) = advanced else { return Ok(Looked { rotation, nowhere }) };
            if self.store.replace(stored, &new).await? {
                observe(Event::Changed(change, new.current().validity()));
            }
            fresh = false;
        }
        Err(ManagedError::Contended)
    }

    /// The rotation of the Secret, which is made or replaced where it must be; nothing when another replica was quicker.
    async fn rotation(
        &self,
        configurations: &Result<Vec<Configuration>, ManagedError>,
        observe: &mut (impl FnMut(Event<'_>) + Send),
    ) -> Result<Option<(Rotation, Stored)>, ManagedError> {
        let stored = self.store.read().await?;
        let now = SystemTime::now();
        let damage = match &stored {
            None => None,
            Some(stored) => match Rotation::read(stored.entries(), now) {
                Ok(rotation) => return Ok(Some((rotation, stored.clone()))),
                Err(error @ Error::NotYetValid { .. }) => return Err(error.into()),
                Err(error) => Some(error),
            },
        };
        // Without knowing what is trusted, nothing is made anew: it would take trust away from those who have it.
        let configurations = configurations.as_ref().map_err(ManagedError::again)?;
        let trusted: Bundle = configurations.iter().flat_map(Configuration::trusted).collect();
        let Options { common_name, lifetimes, .. } = &self.options;
        let new = Rotation::create(common_name, lifetimes, &trusted, now)?;
        match (stored, damage) {
            (Some(stored), Some(damage)) => {
                if self.store.replace(stored, &new).await? {
                    observe(Event::Replaced(&damage));
                }
            }
            _ => {
                if self.store.create(&new).await? {
                    observe(Event::Created(new.current().validity()));
                }
            }
        }
        Ok(None)
    }
}

/// What there is at the moment; see [`status`].
#[derive(Debug)]
pub struct Status {
    /// What the Secret holds; nothing if there is none.
    pub rotation: Option<Rotation>,
    /// Kind and name of each configuration that exists, and whether all its webhooks trust what the Secret says.
    pub configurations: Vec<(String, bool)>,
}

/// Looks at a Secret and at configurations, and changes nothing.
///
/// # Errors
/// When they can't be read, and when the Secret is unusable or belongs to something else.
pub async fn status(
    client: &Client,
    namespace: &str,
    secret: &str,
    configurations: &[String],
) -> Result<Status, ManagedError> {
    let stored = Store::new(client, namespace, secret, "").read().await?;
    let rotation = stored.map(|stored| Rotation::read(stored.entries(), SystemTime::now())).transpose()?;
    let bundle = rotation.as_ref().map(Rotation::bundle).unwrap_or_default();
    let configurations = Publisher::new(client, configurations, "").read().await?;
    let held =
        configurations.iter().map(|configuration| (configuration.title(), configuration.holds(&bundle)));
    Ok(Status { configurations: held.collect(), rotation })
}

/// Somewhat more, so that replicas that started together don't stay together.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    pause + pause.mul_f64((random % 1024) as f64 / 8192.0)
}
