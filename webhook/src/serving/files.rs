//! The kernel's word that something in a directory changed.

use std::future::pending;
use std::path::Path;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// Certificate and key are two files: this long after the last change, whoever writes them is done.
const QUIET: Duration = Duration::from_millis(100);

/// And whoever never is done is looked at all the same.
const CHANGES: usize = 50;

/// Changes of a directory. It is the directory that is watched, not its files: the kubelet moves a link in it, others move new
/// files into the places of the old ones.
pub(super) struct Changes {
    watched: Option<(RecommendedWatcher, Receiver<()>)>,
}

impl Changes {
    /// Never any.
    pub(super) fn none() -> Self {
        Self { watched: None }
    }

    /// Those of this directory; where it can't be watched there are none, and the log says so.
    pub(super) fn of(directory: &Path) -> Self {
        let (sender, receiver) = channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
                // When one is waiting already, that is enough.
                let _ = sender.try_send(());
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Self { watched: Some((watcher, receiver)) },
            Err(error) => {
                tracing::warn!(%error, directory = %directory.display(), "cannot be watched; a timer must do");
                Self::none()
            }
        }
    }

    /// The next one, once things are quiet again.
    pub(super) async fn next(&mut self) {
        let Some((_, receiver)) = &mut self.watched else { return pending().await };
        if receiver.recv().await.is_none() {
            return pending().await;
        }
        for _ in 0..CHANGES {
            if timeout(QUIET, receiver.recv()).await.is_err() {
                break;
            }
        }
    }
}
