//! What `serve` is told about checking policies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use kube::Client;
use tokio::task::JoinSet;

use super::serve::positive;
use crate::audit;
use crate::cluster::Watch;
use crate::config::{self, Config};
use crate::duration;
use crate::server::App;
use crate::validate::Validator;

#[derive(Debug, Args)]
#[command(next_help_heading = "Policies")]
pub(super) struct Validation {
    /// What findings do, and what the API server doesn't show of the cluster; read again when it changes.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look for a new configuration this often.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive)]
    config_refresh: Duration,
    /// Be ready before the cluster is known; until then each policy is looked at alone.
    #[arg(long)]
    ready_without_cluster: bool,
    /// Check the policies that are already there this often; 0s never.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration::parse)]
    audit_interval: Duration,
}

impl Validation {
    /// Checks policies; beside the cluster, when there is one.
    pub(super) fn validator(&self, client: Option<&Client>) -> anyhow::Result<Validator> {
        let config = match &self.config {
            Some(file) => Config::read(file)
                .with_context(|| format!("the configuration {} doesn't do", file.display()))?,
            None => Config::default(),
        };
        Ok(Validator::new(config, client.map(|_| Watch::new())))
    }

    /// Starts what goes on beside the requests; it ends when what is returned is dropped.
    pub(super) fn start(&self, client: Option<&Client>, app: &Arc<App>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if !self.ready_without_cluster {
            app.readiness().wait_for_cluster();
        }
        if let Some(file) = self.config.clone() {
            tasks.spawn(config::keep_fresh(file, Arc::clone(app), self.config_refresh));
        }
        if let Some((watch, client)) = app.validator.watch().cloned().zip(client.cloned()) {
            tasks.spawn(watch.run(client.clone()));
            if !self.audit_interval.is_zero() {
                tasks.spawn(audit::keep_auditing(Arc::clone(app), client, self.audit_interval));
            }
        }
        tasks
    }
}
