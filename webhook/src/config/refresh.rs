//! Reads the file again when it changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Config;
use crate::server::App;

/// Looks at the file again and again; kubelets swap mounted ones by a link. A new one that can't be used changes nothing
/// but a metric, and is said once.
pub async fn keep_fresh(path: PathBuf, app: Arc<App>, every: Duration) {
    let mut known = tokio::fs::read(&path).await.ok();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let new = tokio::fs::read(&path).await.ok();
        if new == known {
            continue;
        }
        let text = new.as_deref().map(String::from_utf8_lossy);
        let config = match &text {
            Some(text) => Config::parse(text).map_err(|error| error.to_string()),
            None => Err("the file can't be read".to_owned()),
        };
        match config {
            Ok(config) => {
                app.validator.configure(config);
                app.metrics.configured(true);
                tracing::info!(file = %path.display(), "new configuration");
            }
            Err(error) => {
                app.metrics.configured(false);
                tracing::error!(file = %path.display(), error, "the new configuration is refused, the old one stays");
            }
        }
        known = new;
    }
}
