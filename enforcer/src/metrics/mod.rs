//! Metrics for Prometheus, and whether the agent is well.

mod address;
mod denied;
mod histogram;
mod page;
mod process;
mod scrape;
mod server;
mod snapshot;
mod text;

use std::sync::atomic::{AtomicU64, Ordering};

pub use address::Address;
pub use denied::Isolations;
pub use histogram::Histogram;
pub use page::PREFIX;
pub use scrape::Scraper;
pub use server::serve;
pub use snapshot::{STUCK_AFTER, Snapshot, Vitals};

/// What became of Kubernetes Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Written.
    Written,
    /// There were too many.
    Limited,
    /// The API server refused, or could not be reached.
    Failed,
}

static PUBLISHED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Counts a Kubernetes Event.
pub fn count_published(result: Published) {
    PUBLISHED[result as usize].fetch_add(1, Ordering::Relaxed);
}

fn published() -> [(&'static str, u64); 3] {
    let count = |result: Published| PUBLISHED[result as usize].load(Ordering::Relaxed);
    [
        ("written", count(Published::Written)),
        ("limited", count(Published::Limited)),
        ("failed", count(Published::Failed)),
    ]
}
