//! Which path leads where.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};

use super::{App, handler, pages};
use crate::telemetry::Endpoint;

pub(super) fn router(app: Arc<App>) -> Router {
    let review = |endpoint| {
        post(move |State(app): State<Arc<App>>, uri: Uri, body: Body| async move {
            handler::review(app, endpoint, uri, body).await
        })
    };
    let reviews = Router::new()
        .route("/validate", review(Endpoint::Validate))
        .route("/mutate", review(Endpoint::Mutate))
        .route("/protect", review(Endpoint::Protect));
    with_pages(reviews, app)
}

/// For a client that has shown no certificate where one is asked for.
pub(super) fn without_reviews(app: Arc<App>) -> Router {
    let refused = || async { (StatusCode::FORBIDDEN, "reviews are for clients with a certificate\n") };
    let paths = ["/validate", "/mutate", "/protect"];
    with_pages(paths.into_iter().fold(Router::new(), |router, path| router.route(path, post(refused))), app)
}

fn with_pages(reviews: Router<Arc<App>>, app: Arc<App>) -> Router {
    reviews
        .route("/healthz", get(pages::healthz))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), close_while_draining))
        .with_state(app)
}

/// While draining, a client that keeps its connection would keep coming here: it is asked to open another.
async fn close_while_draining(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if app.readiness.is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
