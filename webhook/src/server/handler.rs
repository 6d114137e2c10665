//! From an HTTP request to its answer, within the bounds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Uri;
use tokio::time::timeout_at;

use super::App;
use super::answer::Answer;
use super::body::Read;
use crate::duration;
use crate::review::{Request, Response};
use crate::telemetry::{Endpoint, Outcome};
use crate::validate::Kind;

/// What the API server waits for when nothing else is configured, and the most it can be told to wait is thrice that.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A review of up to so many bytes is answered where it was read, as long as reviews are quick.
const SMALL: usize = 16 * 1024;

/// Answers one review.
pub(super) async fn review(app: Arc<App>, endpoint: Endpoint, uri: Uri, body: Body) -> Answer {
    let start = Instant::now();
    let _open = app.metrics.review_open();
    let answer = within(&app, endpoint, start + timeout(&uri), body).await;
    app.metrics.reviewed(endpoint, answer.outcome, start.elapsed());
    log_answer(endpoint, &answer, start.elapsed());
    answer
}

async fn within(app: &Arc<App>, endpoint: Endpoint, deadline: Instant, body: Body) -> Answer {
    let deadline = deadline.into();
    // The body comes before the permit: who sends slowly holds up nobody but itself.
    let (body, held) = match timeout_at(deadline, app.memory.read(body)).await {
        Ok(Read::Whole(body, held)) => (body, held),
        Ok(Read::TooLarge(beginning)) => return Answer::too_large(&beginning),
        Ok(Read::Broken(error)) => return Answer::broken(&error),
        Ok(Read::Slow) | Err(_) => return Answer::timed_out(),
    };
    let permit = match timeout_at(deadline, Arc::clone(&app.permits).acquire_owned()).await {
        Ok(Ok(permit)) => permit,
        Ok(Err(_)) | Err(_) => return Answer::overloaded(),
    };
    // Who may remove isolation is asked of the API server: that waits.
    let is_pure = endpoint != Endpoint::Protect;
    if is_pure && body.len() <= SMALL && app.pace.is_quick() {
        let _permit = (permit, held);
        // As a thread of its own would: a fault ends one review and nothing else.
        let work = AssertUnwindSafe(|| app.pace.measured(|| decide(app, endpoint, &body)));
        return catch_unwind(work).unwrap_or_else(|_| Answer::failed(&"it panicked"));
    }
    // Rules are pure computation: on a thread of their own they don't hold up other connections, and the deadline
    // counts. Permit and memory go along, so that work nobody waits for any more still counts as work.
    let work = tokio::task::spawn_blocking({
        let app = Arc::clone(app);
        move || {
            let _permit = (permit, held);
            let work = || decide(&app, endpoint, &body);
            if is_pure { app.pace.measured(work) } else { work() }
        }
    });
    match timeout_at(deadline, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => Answer::failed(&panic),
        Err(_) => Answer::timed_out(),
    }
}

fn decide(app: &App, endpoint: Endpoint, body: &[u8]) -> Answer {
    let request = match Request::parse(body) {
        Ok(request) => request,
        Err(error) => return Answer::malformed(&error),
    };
    let response = match endpoint {
        Endpoint::Validate => {
            let verdict = app.validator.review(&request);
            app.metrics.found(&verdict.codes);
            app.metrics.judged(verdict.kind);
            if verdict.kind == Kind::BrokenGlass {
                let (user, codes) = (&request.user_info.username, verdict.response.audit("break-glass"));
                let (namespace, name) = (request.namespace.as_deref(), &request.name);
                tracing::warn!(uid = request.uid, user, namespace, name, note = codes, "break-glass");
            }
            verdict.response
        }
        Endpoint::Mutate => match app.labeler.review(&request) {
            Ok(response) => response,
            Err(error) => return Answer::failed(&error),
        },
        Endpoint::Protect => app.guard.review(&request),
    };
    log(&request, &response);
    Answer::review(&response)
}

/// What was decided has a line of its own; one more for all that was not.
fn log_answer(endpoint: Endpoint, answer: &Answer, duration: Duration) {
    let (uid, outcome) = (answer.uid.as_deref(), answer.outcome.as_str());
    let (endpoint, duration_ms) = (endpoint.as_str(), duration.as_secs_f64() * 1e3);
    if matches!(answer.outcome, Outcome::Allowed | Outcome::Denied) {
        tracing::debug!(uid, endpoint, outcome, duration_ms, "answered");
    } else {
        tracing::info!(uid, endpoint, outcome, duration_ms, "answered");
    }
}

fn log(request: &Request<'_>, response: &Response) {
    tracing::info!(
        uid = request.uid,
        operation = ?request.operation,
        kind = request.kind.kind,
        namespace = request.namespace.as_deref(),
        name = request.name,
        user = request.user_info.username,
        dry_run = request.dry_run,
        allowed = response.is_allowed(),
        patched = response.has_patch(),
        warnings = response.warnings().len(),
        effect = response.audit("effect"),
        reason = response.message(),
        "decided"
    );
}

/// The API server says in `?timeout=10s` how long it waits.
fn timeout(uri: &Uri) -> Duration {
    let parameters = uri.query().unwrap_or_default().split('&');
    let given = parameters.filter_map(|parameter| parameter.strip_prefix("timeout=")).next();
    let given = given.and_then(|text| duration::parse(text).ok()).filter(|given| !given.is_zero());
    given.unwrap_or(DEFAULT_TIMEOUT).min(LONGEST_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_server_sets_the_time() {
        for (uri, seconds) in
            [("/validate", 10.0), ("/?timeout=5s", 5.0), ("/?a=b&timeout=1m0s", 30.0), ("/?timeout=x", 10.0)]
        {
            assert_eq!(timeout(&uri.parse().unwrap()), Duration::from_secs_f64(seconds), "{uri}");
        }
    }
}
