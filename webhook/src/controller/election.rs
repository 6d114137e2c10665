//! Who works: the holder of a Lease.
//!
//! The rules are those of Kubernetes' own components. A candidate takes the Lease when nobody holds it, or when its
//! holder hasn't renewed it for as long as it said it would; that time is measured by the candidate's own clock, from when
//! it first saw the last renewal, so that clocks needn't agree. Each write names the version that it replaces: of two
//! candidates one wins. The holder stops working a third of the Lease's time before anybody may take it over.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Whether this replica is the leader. Clones tell the same.
#[derive(Debug, Clone, Default)]
pub struct Leadership {
    until: Arc<Mutex<Option<Instant>>>,
}

impl Leadership {
    /// Whether this replica may work now. It is true only as long as nobody else can have taken over: ask again before
    /// each write.
    pub fn is_leader(&self) -> bool {
        self.until().is_some_and(|until| Instant::now() < until)
    }

    fn until(&self) -> Option<Instant> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, until: Option<Instant>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// A candidate.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    leadership: Leadership,
    /// The Lease as it was last seen, and since when it is as it is.
    seen: Option<(Lease, Instant)>,
}

impl Election {
    /// A candidate for the Lease of this name. A holder that is gone without a word is replaced after `duration`, which
    /// counts in whole seconds.
    pub fn new(client: Client, namespace: &str, name: &str, duration: Duration) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity(),
            duration: Duration::from_secs(duration.as_secs().max(1)),
            leadership: Leadership::default(),
            seen: None,
        }
    }

    /// Says whether it leads, to whoever wants to know.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// This candidate's name: that of its pod, and something that no other process has.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Leads whenever it can, and works as long as it does. The work is dropped when the Lease is lost.
    pub async fn run<W: Future>(&mut self, work: impl Fn() -> W) {
        loop {
            self.acquire().await;
            tracing::info!(lease = self.name, identity = self.identity, "leading");
            tokio::select! {
                biased;
                () = self.keep() => {}
                _ = work() => {}
            }
            self.leadership.set(None);
            tracing::warn!(lease = self.name, identity = self.identity, "no longer leading");
        }
    }

    /// Gives the Lease back, if it is held, so that nobody has to wait for its end.
    pub async fn release(&mut self) {
        if !self.leadership.is_leader() {
            return;
        }
        self.leadership.set(None);
        let Some((mut lease, _)) = self.seen.take() else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(1);
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        match timeout(self.pause(), self.leases.replace(&self.name, &PostParams::default(), &lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.name, identity = self.identity, "lease released"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease can't be released; it ends by itself"),
            Err(_) => tracing::warn!("the lease can't be released in time; it ends by itself"),
        }
    }

    async fn acquire(&mut self) {
        loop {
            match timeout(self.duration, self.attempt()).await {
                Ok(Ok(Some(start))) => return self.leads_since(start),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "the lease can't be read or taken");
                }
                Err(_) => tracing::warn!(lease = self.name, "no answer about the lease"),
            }
            sleep(self.jittered()).await;
        }
    }

    /// Renews as long as that goes; returns before anybody else may take the Lease, or when somebody has.
    async fn keep(&mut self) {
        while let Some(until) = self.leadership.until() {
            match timeout_at(until, self.renew()).await {
                Ok(Some(start)) => self.leads_since(start),
                Ok(None) => return tracing::warn!(lease = self.name, "somebody else has the lease"),
                Err(_) => return tracing::warn!(lease = self.name, "the lease wasn't renewed in time"),
            }
        }
    }

    /// After a while, the start of a renewal that worked; none when the Lease is somebody else's.
    async fn renew(&mut self) -> Option<Instant> {
        loop {
            sleep(self.jittered()).await;
            match timeout(self.pause() * 2, self.attempt()).await {
                Ok(Ok(renewed)) => return renewed,
                Ok(Err(error)) => tracing::warn!(%error, lease = self.name, "the lease can't be renewed"),
                Err(_) => tracing::warn!(lease = self.name, "no answer about the lease"),
            }
        }
    }

    fn leads_since(&self, start: Instant) {
        self.leadership.set(Some(start + self.duration * 2 / 3));
    }

    /// Takes or renews the Lease if it is free or ours; from when on it counts.
    async fn attempt(&mut self) -> kube::Result<Option<Instant>> {
        let start = Instant::now();
        let lease = match self.leases.get_opt(&self.name).await? {
            Some(lease) => lease,
            None => {
                let created = self.leases.create(&PostParams::default(), &self.first()).await;
                return self.written(created, start);
            }
        };
        let since = match &self.seen {
            Some((seen, since)) if seen.metadata.resource_version == lease.metadata.resource_version => {
                *since
            }
            _ => start,
        };
        self.seen = Some((lease.clone(), since));
        match next(&lease, &self.identity, self.duration, since.elapsed()) {
            Some(spec) => {
                let lease = Lease { spec: Some(spec), ..lease };
                let replaced = self.leases.replace(&self.name, &PostParams::default(), &lease).await;
                self.written(replaced, start)
            }
            None => Ok(None),
        }
    }

    fn written(&mut self, result: kube::Result<Lease>, start: Instant) -> kube::Result<Option<Instant>> {
        match result {
            Ok(lease) => {
                self.seen = Some((lease, start));
                Ok(Some(start))
            }
            // Another one was faster: a matter for the next attempt.
            Err(kube::Error::Api(status)) if status.code == 409 && !self.leadership.is_leader() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn first(&self) -> Lease {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        let spec = held(&self.identity, self.duration, 0, Timestamp::now());
        Lease { metadata, spec: Some(spec) }
    }

    /// Between two attempts.
    fn pause(&self) -> Duration {
        self.duration * 2 / 15
    }

    /// A little longer, each time by another bit: candidates don't all come at once.
    fn jittered(&self) -> Duration {
        self.pause().mul_f64(1.0 + random() as f64 / u64::MAX as f64 * 0.2)
    }
}

/// The Lease's next state, if we may have it: it is ours, nobody's, or was left alone for too long.
fn next(lease: &Lease, identity: &str, duration: Duration, unchanged: Duration) -> Option<LeaseSpec> {
    let now = Timestamp::now();
    let spec = lease.spec.clone().unwrap_or_default();
    let transitions = spec.lease_transitions.unwrap_or_default();
    match spec.holder_identity.as_deref() {
        Some(holder) if holder == identity => {
            let renew_time = Some(MicroTime(now));
            let ours = held(identity, duration, transitions, now);
            Some(LeaseSpec { renew_time, acquire_time: spec.acquire_time, ..ours })
        }
        Some(holder) if !holder.is_empty() => {
            let promised = u64::try_from(spec.lease_duration_seconds.unwrap_or_default()).unwrap_or_default();
            (unchanged > Duration::from_secs(promised))
                .then(|| held(identity, duration, transitions + 1, now))
        }
        _ => Some(held(identity, duration, transitions + 1, now)),
    }
}

fn held(identity: &str, duration: Duration, transitions: i32, now: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    }
}

fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:016x}", host.trim(), random())
}

/// The standard library seeds its hashers at random.
fn random() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_only_when_it_is_free() {
        let lease = |holder: &str, seconds| Lease {
            metadata: ObjectMeta::default(),
            spec: Some(held(holder, Duration::from_secs(seconds), 3, Timestamp::UNIX_EPOCH)),
        };
        let [term, short] = [15, 14].map(Duration::from_secs);
        for (lease, unchanged, transitions) in [
            // Its clock doesn't count: it was last renewed in 1970.
            (lease("other", 15), short, None),
            (lease("other", 15), term, None),
            (lease("other", 15), term + Duration::from_millis(1), Some(4)),
            (lease("other", 60), term * 2, None),
            (lease("", 15), Duration::ZERO, Some(4)),
            (lease("us", 15), Duration::ZERO, Some(3)),
            (lease("us", 15), term * 2, Some(3)),
            (Lease::default(), Duration::ZERO, Some(1)),
        ] {
            let taken = next(&lease, "us", term, unchanged);
            assert_eq!(taken.as_ref().and_then(|spec| spec.lease_transitions), transitions, "{lease:?}");
            let holder = taken.map(|spec| spec.holder_identity);
            assert_eq!(holder, transitions.map(|_| Some("us".to_owned())));
        }
    }

    #[test]
    fn leadership_ends_by_itself() {
        let leadership = Leadership::default();
        assert!(!leadership.is_leader());
        leadership.set(Some(Instant::now() + Duration::from_secs(3600)));
        assert!(leadership.clone().is_leader());
        leadership.set(Some(Instant::now()));
        assert!(!leadership.is_leader());
    }

    #[test]
    fn identities_differ() {
        assert_ne!(identity(), identity());
    }
}
