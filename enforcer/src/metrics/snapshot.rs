//! What the agent's loop leaves for whoever asks how it is.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::denied::Isolations;
use super::histogram::Histogram;

/// The loop turns at least every three seconds. After so long without a turn it is stuck.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);

/// How the agent is. The loop writes it, the HTTP server reads it.
#[derive(Debug)]
pub struct Vitals {
    inner: Mutex<Snapshot>,
}

/// See [`Vitals`].
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When the loop last turned.
    pub turned: Instant,
    /// The node's name.
    pub node: String,
    /// The epoch.
    pub epoch: u32,
    /// Why the agent is not ready; empty: it is.
    pub unready: Vec<String>,
    /// When objects were last read.
    pub synced: Option<SystemTime>,
    /// Objects that can't be used.
    pub refused: usize,
    /// What did not fit or could not be done.
    pub problems: usize,
    /// Whether the source can be reached.
    pub connected: bool,
    /// When it was last heard of; `None` if it can't be away.
    pub heard: Option<SystemTime>,
    /// Objects by kind.
    pub objects: Vec<(&'static str, usize)>,
    /// Pods' links by state.
    pub endpoints: BTreeMap<String, usize>,
    /// Isolated pods: ingress and egress.
    pub isolated: [usize; 2],
    /// Pods that are only audited.
    pub audited: usize,
    /// Hooks that run a program.
    pub hooks: usize,
    /// Links that lack a hook.
    pub hooks_missing: usize,
    /// Entries in use, by map.
    pub entries: BTreeMap<&'static str, usize>,
    /// What isolates whom.
    pub isolations: Isolations,
    /// From the source's news to the change of the epoch.
    pub programming: Histogram,
    /// Writing it to the kernel.
    pub applying: Histogram,
    /// Changes that could not be written.
    pub failures: u64,
}

impl Vitals {
    /// Of an agent that has just started.
    #[must_use]
    pub fn new(node: String) -> Self {
        Self {
            inner: Mutex::new(Snapshot {
                turned: Instant::now(),
                node,
                epoch: 0,
                unready: vec!["no objects were read yet".into()],
                synced: None,
                refused: 0,
                problems: 0,
                connected: false,
                heard: None,
                objects: Vec::new(),
                endpoints: BTreeMap::new(),
                isolated: [0; 2],
                audited: 0,
                hooks: 0,
                hooks_missing: 0,
                entries: BTreeMap::new(),
                isolations: Isolations::new(),
                programming: Histogram::default(),
                applying: Histogram::default(),
                failures: 0,
            }),
        }
    }

    /// The loop turns.
    pub fn turn(&self) {
        self.update().turned = Instant::now();
    }

    /// To be changed, briefly.
    pub fn update(&self) -> MutexGuard<'_, Snapshot> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy.
    #[must_use]
    pub fn read(&self) -> Snapshot {
        self.update().clone()
    }
}

impl Snapshot {
    /// How long the loop has not turned, if that is too long.
    #[must_use]
    pub fn stuck(&self, now: Instant) -> Option<Duration> {
        let idle = now.saturating_duration_since(self.turned);
        (idle > STUCK_AFTER).then_some(idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_loop_is_noticed() {
        let vitals = Vitals::new("node-1".into());
        let now = vitals.read().turned;
        assert_eq!(vitals.read().stuck(now + Duration::from_secs(29)), None);
        let later = now + Duration::from_secs(31);
        assert_eq!(vitals.read().stuck(later), Some(Duration::from_secs(31)));
        vitals.update().turned = later;
        assert_eq!(vitals.read().stuck(later), None);
    }
}
