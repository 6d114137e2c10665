//! The objects that the agent enforces, shared with whoever explains what it does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use netpol_policy::model::Cluster;

use crate::world::World;

/// The objects as they are now. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Objects(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    world: Option<World>,
    version: u64,
    copy: Option<Copy>,
}

#[derive(Debug)]
struct Copy {
    version: u64,
    made: Instant,
    cluster: Arc<Cluster>,
}

/// A copy may lag so far behind: making one takes time in proportion to the cluster.
const LAG: Duration = Duration::from_secs(1);

impl Objects {
    /// Whether all objects have been read once.
    #[must_use]
    pub fn are_known(&self) -> bool {
        self.lock().world.is_some()
    }

    /// A copy of all objects; nothing before they have been read.
    #[must_use]
    pub fn cluster(&self) -> Option<Arc<Cluster>> {
        self.copy(Duration::ZERO)
    }

    /// A copy of all objects that lags a second at most, for what asks often.
    #[must_use]
    pub fn recent(&self) -> Option<Arc<Cluster>> {
        self.copy(LAG)
    }

    fn copy(&self, lag: Duration) -> Option<Arc<Cluster>> {
        let mut state = self.lock();
        let version = state.version;
        if let Some(copy) = &state.copy
            && (copy.version == version || copy.made.elapsed() < lag)
        {
            return Some(Arc::clone(&copy.cluster));
        }
        let cluster = Arc::new(state.world.as_ref()?.cluster());
        state.copy = Some(Copy { version, made: Instant::now(), cluster: Arc::clone(&cluster) });
        Some(cluster)
    }

    /// Looks at the objects, if they have been read, and may change them.
    pub(crate) fn with<T>(&self, look: impl FnOnce(Option<&mut World>) -> T) -> T {
        look(self.lock().world.as_mut())
    }

    /// Changes the objects, or begins with these. Returns whether anything is other than before.
    pub(crate) fn change(&self, begin: fn() -> World, change: impl FnOnce(&mut World) -> bool) -> bool {
        let mut state = self.lock();
        let first = state.world.is_none();
        let changed = change(state.world.get_or_insert_with(begin)) || first;
        if changed {
            state.version += 1;
        }
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Cluster> for Objects {
    fn from(cluster: Cluster) -> Self {
        let objects = Self::default();
        objects.change(World::default, |world| world.become_cluster(cluster));
        objects
    }
}
