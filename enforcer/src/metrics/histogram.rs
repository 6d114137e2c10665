//! A histogram of durations.

use std::time::Duration;

use super::page::{Kind, PREFIX, Page};

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Durations, counted by size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Not cumulative; the last one is for what is beyond every bound.
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += 1;
        self.sum += seconds;
    }

    pub(super) fn write(&self, name: &str, help: &str, page: &mut Page) {
        page.metric(name, Kind::Histogram, help);
        let bucket = format!("{PREFIX}{name}_bucket");
        let mut count = 0;
        for (bound, inside) in BOUNDS.iter().zip(&self.buckets) {
            count += inside;
            page.foreign_sample(&bucket, &[("le", &bound.to_string())], count);
        }
        count += self.buckets[BOUNDS.len()];
        page.foreign_sample(&bucket, &[("le", "+Inf")], count);
        page.sample(&format!("{name}_sum"), &[], self.sum);
        page.sample(&format!("{name}_count"), &[], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        for milliseconds in [1, 3, 3, 60_000] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let mut page = Page::default();
        histogram.write("took_seconds", "Time.", &mut page);
        let text = page.finish();
        for line in [
            "netpol_enforcer_took_seconds_bucket{le=\"0.001\"} 1\n",
            "netpol_enforcer_took_seconds_bucket{le=\"0.0025\"} 1\n",
            "netpol_enforcer_took_seconds_bucket{le=\"0.005\"} 3\n",
            "netpol_enforcer_took_seconds_bucket{le=\"10\"} 3\n",
            "netpol_enforcer_took_seconds_bucket{le=\"+Inf\"} 4\n",
            "netpol_enforcer_took_seconds_sum 60.007\n",
            "netpol_enforcer_took_seconds_count 4\n",
        ] {
            assert!(text.contains(line), "no {line:?} in\n{text}");
        }
    }
}
