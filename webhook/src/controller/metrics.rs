//! What the controller counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::telemetry::Page;

/// Upper bounds of the buckets of the time to the first policy, in seconds. A namespace's age counts in whole seconds.
const BUCKETS: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 300.0];

/// A write to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// A policy that wasn't there.
    Create,
    /// A policy that wasn't as it should be.
    Repair,
    /// A policy that should be gone.
    Delete,
    /// The label of a namespace.
    Label,
}

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    queue: AtomicUsize,
    looks: AtomicU64,
    writes: [AtomicU64; Write::ALL.len()],
    failures: AtomicU64,
    foreign: AtomicU64,
    dropped_events: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len() + 1],
    seconds: AtomicU64,
}

impl Metrics {
    pub(super) fn queued(&self, length: usize) {
        self.queue.store(length, Ordering::Relaxed);
    }

    pub(super) fn looked(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, write: Write) {
        self.writes[write as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn name_taken(&self) {
        self.foreign.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn event_dropped(&self) {
        self.dropped_events.fetch_add(1, Ordering::Relaxed);
    }

    /// A namespace of this age has its first policy.
    pub(super) fn isolated_after(&self, age: Duration) {
        let bucket = BUCKETS.iter().position(|bound| age.as_secs_f64() <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.seconds.fetch_add(age.as_secs(), Ordering::Relaxed);
    }

    /// The controller's part of the page.
    pub(crate) fn write(&self, leads: bool, page: &mut Page) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.metric("controller_leader", "gauge", "1 while this replica is the leader.");
        page.sample("controller_leader", "", u8::from(leads));
        page.metric("controller_queue_depth", "gauge", "Namespaces that wait to be looked at.");
        page.sample("controller_queue_depth", "", self.queue.load(Ordering::Relaxed));
        page.metric(
            "controller_looks_total",
            "counter",
            "Namespaces that were compared with their policies.",
        );
        page.sample("controller_looks_total", "", load(&self.looks));
        page.metric("controller_writes_total", "counter", "Writes to the cluster that went well.");
        for write in Write::ALL {
            let labels = format!("operation=\"{}\"", write.as_str());
            page.sample("controller_writes_total", &labels, load(&self.writes[write as usize]));
        }
        page.metric("controller_failures_total", "counter", "Writes that failed and are tried again.");
        page.sample("controller_failures_total", "", load(&self.failures));
        page.metric(
            "controller_name_taken_total",
            "counter",
            "Looks at a namespace where somebody else's policy has the name.",
        );
        page.sample("controller_name_taken_total", "", load(&self.foreign));
        page.metric("controller_events_dropped_total", "counter", "Events beyond what may be written.");
        page.sample("controller_events_dropped_total", "", load(&self.dropped_events));
        let name = "controller_time_to_policy_seconds";
        page.metric(name, "histogram", "Age of a namespace, in whole seconds, when it got its first policy.");
        let mut below = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            below += load(bucket);
            let bound = BUCKETS.get(index).map_or("+Inf".to_owned(), f64::to_string);
            page.sample(&format!("{name}_bucket"), &format!("le=\"{bound}\""), below);
        }
        page.sample(&format!("{name}_sum"), "", load(&self.seconds));
        page.sample(&format!("{name}_count"), "", below);
    }
}

impl Write {
    const ALL: [Self; 4] = [Self::Create, Self::Repair, Self::Delete, Self::Label];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Repair => "repair",
            Self::Delete => "delete",
            Self::Label => "label",
        }
    }
}
