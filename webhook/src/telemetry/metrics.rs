//! Metrics in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::outcome::{Endpoint, Outcome};
use crate::audit::Summary;
use crate::cluster::{State, Watch};
use crate::config::Effect;
use crate::validate::Kind;

/// Upper bounds of the duration's buckets, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    reviews: [[AtomicU64; Outcome::ALL.len()]; Endpoint::ALL.len()],
    durations: [Durations; Endpoint::ALL.len()],
    findings: Mutex<BTreeMap<&'static str, u64>>,
    verdicts: [AtomicU64; Kind::ALL.len()],
    configurations: [AtomicU64; 2],
    audit: Mutex<Option<Summary>>,
    certificates: AtomicU64,
    refused_certificates: AtomicU64,
    authority_end: AtomicI64,
    rotations: AtomicU64,
    publications: AtomicU64,
    authority_failures: AtomicU64,
    open_reviews: AtomicU64,
    connections: AtomicU64,
    refused_connections: AtomicU64,
}

/// A review that isn't answered yet, as long as this lives.
pub(crate) struct OpenReview<'m>(&'m AtomicU64);

impl Drop for OpenReview<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Durations {
    /// Not cumulative; the last one is for what is beyond every bound.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    microseconds: AtomicU64,
}

impl Metrics {
    pub(crate) fn reviewed(&self, endpoint: Endpoint, outcome: Outcome, duration: Duration) {
        self.reviews[endpoint as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        let durations = &self.durations[endpoint as usize];
        let bucket =
            BUCKETS.iter().position(|bound| duration.as_secs_f64() <= *bound).unwrap_or(BUCKETS.len());
        durations.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        durations.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    pub(crate) fn found(&self, codes: &[&'static str]) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        for code in codes {
            *findings.entry(code).or_default() += 1;
        }
    }

    pub(crate) fn judged(&self, kind: Kind) {
        if let Some(number) = Kind::ALL.iter().position(|known| *known == kind) {
            self.verdicts[number].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A new configuration came, and was taken or refused.
    pub(crate) fn configured(&self, taken: bool) {
        self.configurations[usize::from(taken)].fetch_add(1, Ordering::Relaxed);
    }

    /// The last audit.
    pub(crate) fn audited(&self, summary: Summary) {
        *self.audit.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    pub(crate) fn certificate_changed(&self) {
        self.certificates.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn certificate_refused(&self) {
        self.refused_certificates.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn review_open(&self) -> OpenReview<'_> {
        self.open_reviews.fetch_add(1, Ordering::Relaxed);
        OpenReview(&self.open_reviews)
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_refused(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The end of the authority that signs, in seconds since 1970.
    pub(crate) fn authority_ends(&self, end: i64) {
        self.authority_end.store(end, Ordering::Relaxed);
    }

    pub(crate) fn authority_rotated(&self) {
        self.rotations.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bundle_published(&self) {
        self.publications.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn authority_failed(&self) {
        self.authority_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The page. `certificate_end` is in seconds since 1970.
    pub(crate) fn text(&self, ready: bool, certificate_end: i64, watch: Option<&Watch>) -> String {
        let mut page = Page(String::new());
        page.metric("reviews_total", "counter", "Reviews, by endpoint and outcome.");
        for endpoint in Endpoint::ALL {
            for outcome in Outcome::ALL {
                let labels = format!("endpoint=\"{}\",outcome=\"{}\"", endpoint.as_str(), outcome.as_str());
                page.sample(
                    "reviews_total",
                    &labels,
                    load(&self.reviews[endpoint as usize][outcome as usize]),
                );
            }
        }
        page.metric("review_duration_seconds", "histogram", "Time from a request's headers to its answer.");
        for endpoint in Endpoint::ALL {
            self.durations[endpoint as usize].write(endpoint, &mut page);
        }
        page.metric("findings_total", "counter", "Findings in reviewed policies, by rule.");
        for (code, count) in &*self.findings.lock().unwrap_or_else(PoisonError::into_inner) {
            page.sample("findings_total", &format!("code=\"{code}\""), count);
        }
        page.metric("verdicts_total", "counter", "Verdicts on policies.");
        for (kind, count) in Kind::ALL.iter().zip(&self.verdicts) {
            page.sample("verdicts_total", &format!("verdict=\"{}\"", kind.as_str()), load(count));
        }
        page.metric("configurations_total", "counter", "New configurations, by whether they were taken.");
        for (taken, count) in ["false", "true"].iter().zip(&self.configurations) {
            page.sample("configurations_total", &format!("taken=\"{taken}\""), load(count));
        }
        if let Some(watch) = watch {
            cluster(watch, &mut page);
        }
        if let Some(summary) = &*self.audit.lock().unwrap_or_else(PoisonError::into_inner) {
            audit(summary, &mut page);
        }
        page.metric(
            "certificate_not_after_seconds",
            "gauge",
            "End of the serving certificate, in seconds since 1970.",
        );
        page.sample("certificate_not_after_seconds", "", certificate_end);
        page.metric(
            "certificate_changes_total",
            "counter",
            "Serving certificates taken into use after the first.",
        );
        page.sample("certificate_changes_total", "", load(&self.certificates));
        page.metric("certificate_refusals_total", "counter", "New serving certificates that were refused.");
        page.sample("certificate_refusals_total", "", load(&self.refused_certificates));
        let authority_end = self.authority_end.load(Ordering::Relaxed);
        if authority_end != 0 {
            page.metric(
                "authority_not_after_seconds",
                "gauge",
                "End of the shared authority, in seconds since 1970.",
            );
            page.sample("authority_not_after_seconds", "", authority_end);
        }
        for (name, help, gauge) in [
            ("reviews_open", "Reviews that aren't answered yet.", &self.open_reviews),
            ("connections", "Open connections.", &self.connections),
        ] {
            page.metric(name, "gauge", help);
            page.sample(name, "", load(gauge));
        }
        for (name, help, counter) in [
            (
                "connections_refused_total",
                "Connections refused, or closed for others, for lack of room.",
                &self.refused_connections,
            ),
            ("authority_rotations_total", "Authorities that this replica promoted.", &self.rotations),
            ("ca_bundle_writes_total", "Times that this replica wrote caBundle.", &self.publications),
            ("authority_failures_total", "Failed looks at the shared authority.", &self.authority_failures),
        ] {
            page.metric(name, "counter", help);
            page.sample(name, "", load(counter));
        }
        page.metric("ready", "gauge", "1 while new requests are wanted.");
        page.sample("ready", "", u8::from(ready));
        page.0
    }
}

/// What the last audit came to.
fn audit(summary: &Summary, page: &mut Page) {
    page.metric("audit_policies", "gauge", "Policies of the cluster at the last audit.");
    page.sample("audit_policies", "", summary.policies);
    page.metric("audit_refused", "gauge", "Those that would be refused if they were created now.");
    page.sample("audit_refused", "", summary.refused);
    page.metric("audit_findings", "gauge", "Findings at the last audit, by rule and effect.");
    for ((code, effect), count) in &summary.findings {
        let effect = match effect {
            Effect::Off => "off",
            Effect::Audit => "audit",
            Effect::Warn => "warn",
            Effect::Deny => "deny",
        };
        page.sample("audit_findings", &format!("code=\"{code}\",effect=\"{effect}\""), count);
    }
    page.metric("audit_seconds", "gauge", "How long the last audit took.");
    page.sample("audit_seconds", "", summary.took.as_secs_f64());
    page.metric("audit_time_seconds", "gauge", "When the last audit ended, in seconds since 1970.");
    page.sample("audit_time_seconds", "", summary.at);
}

/// What is known of the cluster.
fn cluster(watch: &Watch, page: &mut Page) {
    let readings = watch.readings();
    page.metric("cluster_objects", "gauge", "Objects of the cluster that are known, by kind.");
    for reading in &readings {
        page.sample("cluster_objects", &format!("kind=\"{}\"", reading.kind), reading.objects);
    }
    page.metric("cluster_unread", "gauge", "1 for a kind that isn't read yet, or may not be read.");
    for reading in &readings {
        let unread = matches!(reading.state, State::Reading | State::Forbidden);
        page.sample("cluster_unread", &format!("kind=\"{}\"", reading.kind), u8::from(unread));
    }
    if let Some(silence) = watch.silence() {
        page.metric("cluster_age_seconds", "gauge", "Time since the API server last answered.");
        page.sample("cluster_age_seconds", "", silence.as_secs_f64());
    }
    if let Some(snapshot) = watch.snapshot() {
        page.metric("cluster_index_seconds", "gauge", "Time that it took to index the cluster, at last.");
        page.sample("cluster_index_seconds", "", snapshot.took.as_secs_f64());
    }
}

impl Durations {
    fn write(&self, endpoint: Endpoint, page: &mut Page) {
        let endpoint = endpoint.as_str();
        let mut below = 0;
        for (index, bucket) in self.buckets.iter().enumerate() {
            below += load(bucket);
            let bound = BUCKETS.get(index).map_or("+Inf".to_owned(), f64::to_string);
            let labels = format!("endpoint=\"{endpoint}\",le=\"{bound}\"");
            page.sample("review_duration_seconds_bucket", &labels, below);
        }
        let endpoint = format!("endpoint=\"{endpoint}\"");
        let seconds = load(&self.microseconds) as f64 / 1e6;
        page.sample("review_duration_seconds_sum", &endpoint, seconds);
        page.sample("review_duration_seconds_count", &endpoint, below);
    }
}

pub(crate) struct Page(String);

impl Page {
    pub(crate) fn new() -> Self {
        Self(String::new())
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    pub(crate) fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP netpol_webhook_{name} {help}\n# TYPE netpol_webhook_{name} {kind}\n");
    }

    pub(crate) fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "netpol_webhook_{name}{labels} {value}");
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let metrics = Metrics::default();
        for milliseconds in [1, 2, 700, 60_000] {
            metrics.reviewed(Endpoint::Mutate, Outcome::Allowed, Duration::from_millis(milliseconds));
        }
        metrics.found(&["NP101", "NP010", "NP101"]);
        let text = metrics.text(true, 7, None);
        for line in [
            "netpol_webhook_reviews_total{endpoint=\"mutate\",outcome=\"allowed\"} 4",
            "netpol_webhook_reviews_total{endpoint=\"validate\",outcome=\"denied\"} 0",
            "netpol_webhook_review_duration_seconds_bucket{endpoint=\"mutate\",le=\"0.001\"} 1",
            "netpol_webhook_review_duration_seconds_bucket{endpoint=\"mutate\",le=\"1\"} 3",
            "netpol_webhook_review_duration_seconds_bucket{endpoint=\"mutate\",le=\"+Inf\"} 4",
            "netpol_webhook_review_duration_seconds_sum{endpoint=\"mutate\"} 60.703",
            "netpol_webhook_review_duration_seconds_count{endpoint=\"mutate\"} 4",
            "netpol_webhook_findings_total{code=\"NP101\"} 2",
            "netpol_webhook_certificate_not_after_seconds 7",
            "netpol_webhook_ready 1",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\n{text}");
        }
    }
}
