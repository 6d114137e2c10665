//! How long reviews take these days.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Longer ones hold up what else a thread of the server has to do.
const QUICK: Duration = Duration::from_micros(500);

/// The newest review counts for one in so many parts.
const PARTS: u64 = 8;

/// A moving average, over all kinds of reviews: what they cost depends on the cluster more than on the object.
#[derive(Debug, Default)]
pub(super) struct Pace {
    nanoseconds: AtomicU64,
}

impl Pace {
    /// Whether reviews are so quick that handing one to another thread costs more than it helps.
    pub(super) fn is_quick(&self) -> bool {
        self.nanoseconds.load(Ordering::Relaxed) < QUICK.as_nanos() as u64
    }

    /// Does the work and measures it.
    pub(super) fn measured<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.took(start.elapsed());
        done
    }

    fn took(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / PARTS;
        // A lost update is no harm.
        let average = self.nanoseconds.load(Ordering::Relaxed);
        self.nanoseconds.store(average - average / PARTS + time, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_was_measured() {
        let pace = Pace::default();
        assert!(pace.is_quick());
        (0..100).for_each(|_| pace.took(Duration::from_micros(100)));
        assert!(pace.is_quick());
        (0..30).for_each(|_| pace.took(Duration::from_millis(2)));
        assert!(!pace.is_quick());
        (0..100).for_each(|_| pace.took(Duration::from_micros(100)));
        assert!(pace.is_quick(), "slow ones are forgotten");
    }
}
