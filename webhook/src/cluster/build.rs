//! Builds snapshots in the background.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Snapshot, Watch};

/// Changes rarely come alone: how long to wait for more of them.
const GATHER: Duration = Duration::from_millis(100);

/// A build may use this part of the time at most, so that a restless large cluster costs a bounded part of a core.
const SHARE: u32 = 10;

/// Builds a snapshot after changes, for ever.
pub(super) async fn keep_built(watch: Arc<Watch>) {
    loop {
        watch.store.changed().await;
        tokio::time::sleep(GATHER).await;
        let Some(all) = watch.store.everything() else { continue };
        let built =
            tokio::task::spawn_blocking(move || Snapshot::new(&all.pieces, all.policies, all.readable));
        let snapshot = match built.await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                tracing::error!(error = %error, "the cluster can't be indexed; the last index stays in use");
                continue;
            }
        };
        let took = snapshot.took;
        let cluster = snapshot.cluster();
        tracing::debug!(
            pods = cluster.pods.len(),
            policies = cluster.policies.len(),
            milliseconds = took.as_secs_f64() * 1e3,
            "indexed"
        );
        let old = watch.current.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(snapshot));
        if old.is_none() {
            tracing::info!("everything that is needed of the cluster is known");
        }
        // A large one takes some time to drop.
        drop(tokio::task::spawn_blocking(move || drop(old)));
        tokio::time::sleep(took * (SHARE - 1)).await;
    }
}
