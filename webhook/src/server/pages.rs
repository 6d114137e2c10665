//! The pages for the kubelet and for Prometheus.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use crate::telemetry::Page;

/// The process runs and answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// New requests are wanted, and a client can trust what it is shown.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    match unready(&app) {
        None => (StatusCode::OK, "ok\n"),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

/// Prometheus text format.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let end = app.resolver.current().validity().not_after_unix();
    let watch = app.validator.watch().map(|watch| &**watch);
    let text = app.metrics.text(unready(&app).is_none(), end, watch);
    let mut page = Page::new();
    app.controller.write(app.leadership.is_leader(), &mut page);
    let text = text + &page.into_text();
    let format = HeaderValue::from_static("text/plain; version=0.0.4");
    ([(header::CONTENT_TYPE, format)], text).into_response()
}

fn unready(app: &App) -> Option<&'static str> {
    if app.readiness.is_draining() {
        return Some("shutting down\n");
    }
    if app.readiness.is_uncertified() {
        return Some("the API server does not trust the serving certificate yet\n");
    }
    if app.readiness.waits_for_cluster()
        && let Some(watch) = app.validator.watch()
        && let Some(reason) = watch.missing()
    {
        return Some(reason);
    }
    let valid = app.resolver.current().validity().contains(SystemTime::now());
    (!valid).then_some("the serving certificate has expired\n")
}
