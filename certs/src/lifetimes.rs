//! How long things live, and whether that fits together.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The times of a [`Rotation`](crate::Rotation), known to fit together: an authority can be replaced, and what it signed can
/// be replaced, before anything ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    authority: Duration,
    leaf: Duration,
    settle: Duration,
    refresh: Duration,
}

/// Times that don't fit together. The text says which two, and the bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {bound}")]
pub struct LifetimeError {
    what: &'static str,
    bound: String,
}

impl Lifetimes {
    /// - `authority`: the life of an authority; it is replaced after two thirds of it;
    /// - `leaf`: the life of a leaf; it is signed anew after two thirds of it;
    /// - `settle`: how long after a change of the bundle every client and every replica knows of it, and by how much their
    ///   clocks may differ. A new authority is published this long before it signs;
    /// - `refresh`: how often each replica looks.
    ///
    /// # Errors
    /// Unless all of this holds, so that each step leaves time for several attempts:
    /// `settle` ≥ 2 × `refresh`, `leaf` ≥ 6 × `refresh`, `leaf` ≥ 3 s (certificates count in seconds),
    /// `authority` ≥ 3 × `leaf`, `authority` ≥ 12 × `settle`; and `authority` ≤ 100 years.
    pub fn new(
        authority: Duration,
        leaf: Duration,
        settle: Duration,
        refresh: Duration,
    ) -> Result<Self, LifetimeError> {
        let longest = 36_525 * DAY;
        for (what, good, bound) in [
            ("the time between two looks", !refresh.is_zero(), "more than zero".to_owned()),
            (
                "the authority's life",
                authority <= longest && leaf <= longest && settle <= longest && refresh <= longest,
                "100 years at most, and no other time longer".to_owned(),
            ),
            (
                "the time to settle",
                settle >= 2 * refresh.min(longest),
                format!(
                    "{:?} at least: twice the time between two looks ({refresh:?})",
                    2 * refresh.min(longest)
                ),
            ),
            (
                "the life of a leaf",
                leaf >= 6 * refresh.min(longest),
                format!(
                    "{:?} at least: six times the time between two looks ({refresh:?})",
                    6 * refresh.min(longest)
                ),
            ),
            ("the life of a leaf", leaf >= 3 * SECOND, "3 s at least".to_owned()),
            (
                "the authority's life",
                authority >= 3 * leaf.min(longest),
                format!("{:?} at least: three times the life of a leaf ({leaf:?})", 3 * leaf.min(longest)),
            ),
            (
                "the authority's life",
                authority >= 12 * settle.min(longest),
                format!(
                    "{:?} at least: twelve times the time to settle ({settle:?})",
                    12 * settle.min(longest)
                ),
            ),
        ] {
            if !good {
                return Err(LifetimeError { what, bound });
            }
        }
        Ok(Self { authority, leaf, settle, refresh })
    }

    /// The life of an authority.
    pub fn authority(&self) -> Duration {
        self.authority
    }

    /// The life of a leaf.
    pub fn leaf(&self) -> Duration {
        self.leaf
    }

    /// How long a change of the bundle takes until everybody knows.
    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// How often each replica looks.
    pub fn refresh(&self) -> Duration {
        self.refresh
    }
}

impl Default for Lifetimes {
    /// An authority lives a year, a leaf 30 days, a change settles in a minute, and every ten seconds there is a look.
    fn default() -> Self {
        Self { authority: 365 * DAY, leaf: 30 * DAY, settle: 60 * SECOND, refresh: 10 * SECOND }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fit_together_or_are_refused() {
        let new = |[authority, leaf, settle, refresh]: [u64; 4]| {
            let time = Duration::from_millis;
            Lifetimes::new(time(authority), time(leaf), time(settle), time(refresh))
        };
        assert!(new([18_000, 6000, 1000, 200]).is_ok());
        for (times, said) in [
            ([18_000, 6000, 1000, 0], "the time between two looks must be more than zero"),
            ([18_000, 6000, 300, 200], "the time to settle must be 400ms at least"),
            ([18_000, 3000, 1500, 600], "the life of a leaf must be 3.6s at least"),
            ([18_000, 2000, 1000, 200], "the life of a leaf must be 3 s at least"),
            ([17_000, 6000, 1000, 200], "the authority's life must be 18s at least: three times"),
            ([18_000, 6000, 2000, 200], "the authority's life must be 24s at least: twelve times"),
            ([u64::MAX, 6000, 1000, 200], "100 years at most"),
            ([18_000, u64::MAX, u64::MAX, u64::MAX], "100 years at most"),
        ] {
            let error = new(times).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let Lifetimes { authority, leaf, settle, refresh } = Lifetimes::default();
        assert!(Lifetimes::new(authority, leaf, settle, refresh).is_ok());
    }
}
