//! The audit, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kube::Client;
use tokio::time::{MissedTickBehavior, interval};

use super::report::Reports;
use super::{Audited, audit};
use crate::config::Effect;
use crate::server::App;

/// How long to wait for the cluster to be known.
const WAIT: Duration = Duration::from_millis(200);

/// What the last audit came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How many policies were looked at.
    pub policies: usize,
    /// How many of them would be refused if they were created now.
    pub refused: usize,
    /// How many findings there are, by code and by what they would do.
    pub findings: BTreeMap<(&'static str, Effect), usize>,
    /// How long it took.
    pub took: Duration,
    /// When it ended, in seconds since 1970.
    pub at: u64,
}

impl Summary {
    fn of(audited: &[Audited], took: Duration) -> Self {
        let mut findings = BTreeMap::new();
        for (finding, effect) in audited.iter().flat_map(|policy| &policy.findings) {
            *findings.entry((finding.rule.code, *effect)).or_default() += 1;
        }
        let is_refused =
            |policy: &&Audited| policy.findings.iter().any(|(_, effect)| *effect == Effect::Deny);
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self {
            policies: audited.len(),
            refused: audited.iter().filter(is_refused).count(),
            findings,
            took,
            at,
        }
    }
}

/// Audits for ever, first as soon as the cluster is known. Every replica has the metrics, the leader writes reports.
pub async fn keep_auditing(app: Arc<App>, client: Client, every: Duration) {
    let Some(watch) = app.validator.watch().cloned() else { return };
    while watch.snapshot().is_none() {
        tokio::time::sleep(WAIT).await;
    }
    let mut reports = Reports::default();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (Some(snapshot), config) = (watch.snapshot(), app.validator.config()) else { continue };
        let start = Instant::now();
        let work = tokio::task::spawn_blocking(move || {
            audit(snapshot.files(), snapshot.cluster(), snapshot.facts(), &config)
        });
        let audited = match work.await {
            Ok(audited) => audited,
            Err(error) => {
                tracing::error!(error = %error, "the audit failed");
                continue;
            }
        };
        let summary = Summary::of(&audited, start.elapsed());
        tracing::info!(policies = summary.policies, refused = summary.refused, "audited");
        app.metrics.audited(summary);
        if !app.leadership.is_leader() {
            continue;
        }
        match reports.write(&client, &audited, || app.leadership.is_leader()).await {
            Ok(Some(reports)) => tracing::info!(reports, "reported"),
            Ok(None) => tracing::debug!("the cluster has no PolicyReports"),
            Err(error) => tracing::warn!(error = %error, "can't write PolicyReports"),
        }
    }
}
