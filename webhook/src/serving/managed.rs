//! What the shared authority does, in logs and metrics.

use std::sync::Arc;

use netpol_certs::Change;
use netpol_certs::managed::{Event, Managed};

use crate::server::App;

/// Goes on for ever.
pub(super) async fn keep_fresh(managed: Managed, app: Arc<App>) {
    let mut nowhere = false;
    managed.run(move |event| tell(&event, &app, &mut nowhere)).await;
}

fn tell(event: &Event<'_>, app: &App, nowhere: &mut bool) {
    let metrics = &app.metrics;
    match event {
        Event::Leaf(validity) => {
            tracing::info!(%validity, "new serving certificate");
            metrics.certificate_changed();
        }
        Event::Created(validity) => tracing::info!(%validity, "made the authority"),
        Event::Replaced(error) => {
            tracing::error!(%error, "the authority's Secret is unusable; a new authority takes its place");
        }
        Event::Changed(change, validity) => {
            let step = match change {
                Change::Announced => "the next authority is made",
                Change::Published => "clients are told of the newest authority",
                Change::Promoted => "the newest authority signs",
                Change::Dropped => "replaced authorities are no longer trusted",
            };
            tracing::info!(%validity, step, "rotation");
            if *change == Change::Promoted {
                metrics.authority_rotated();
            }
        }
        Event::Published(configuration) => {
            tracing::info!(configuration, "wrote caBundle");
            metrics.bundle_published();
        }
        Event::Nowhere(names) => {
            if !*nowhere {
                tracing::warn!(?names, "no such webhook configuration: nobody is told whom to trust");
            }
            *nowhere = true;
            return;
        }
        Event::Looked { authority, trusted } => {
            metrics.authority_ends(authority.not_after_unix());
            if *trusted && app.readiness.certified() {
                tracing::info!("clients trust the serving certificate");
            }
            return;
        }
        Event::Failed { error, again_in } => {
            tracing::error!(%error, again_in_s = again_in.as_secs_f64(), "the authority can't be kept up");
            metrics.authority_failed();
        }
    }
    *nowhere = false;
}
