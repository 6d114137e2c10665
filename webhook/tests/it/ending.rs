//! The end: unready, still serving, finishing, gone.

use serde_json::json;

use crate::support::{Webhook, eventually, policy, review};

const POLICY: &str = "{podSelector: {}, policyTypes: [Ingress]}";

#[test]
fn it_drains_before_it_goes() {
    let mut webhook = Webhook::start(&["--drain-time", "10m"]);
    let body = review("u", &policy(POLICY), &json!({}));
    let mut kept = webhook.client();
    assert_eq!(kept.post("/validate", body.as_bytes()).response()["allowed"], true);
    let mut open = webhook.client();
    open.begin("/validate?timeout=30s", body.len());

    webhook.terminate();
    eventually("readiness to end", || webhook.get("/readyz").code == 503);
    assert_eq!(webhook.get("/healthz").code, 200);
    assert!(webhook.get("/metrics").text.contains("\nnetpol_webhook_ready 0\n"));
    // Whoever comes now is served and sent elsewhere for the next time.
    assert_eq!(webhook.post("/validate", &body).response()["allowed"], true);
    let last = kept.post("/validate", body.as_bytes());
    assert_eq!(last.response()["allowed"], true);
    assert!(last.headers.contains(&"connection: close".to_owned()), "{last:?}");
    assert!(kept.closed());

    // The second signal ends the drain time; the request that is half sent is still answered.
    webhook.terminate();
    eventually("the listener to close", || webhook.try_client().is_err());
    open.send(body.as_bytes());
    assert_eq!(open.answer().response()["allowed"], true);
    assert_eq!(webhook.wait().code(), Some(0));
    webhook.log(|line| line["message"] == "done");
}

#[test]
fn idle_connections_hold_nothing_up() {
    let mut webhook = Webhook::start(&["--drain-time", "0s", "--finish-time", "10m"]);
    let mut idle = webhook.client();
    assert_eq!(idle.get("/healthz").code, 200);
    webhook.terminate();
    assert_eq!(webhook.wait().code(), Some(0));
    assert!(idle.closed());
}

#[test]
fn a_request_that_never_ends_is_cut_and_said() {
    let mut webhook = Webhook::start(&["--drain-time", "0s", "--finish-time", "100ms"]);
    let mut open = webhook.client();
    open.begin("/validate?timeout=30s", 100);
    eventually("the request to arrive", || {
        webhook.get("/metrics").text.contains("\nnetpol_webhook_reviews_open 1\n")
    });
    webhook.terminate();
    assert_eq!(webhook.wait().code(), Some(1));
    webhook
        .log(|line| line.as_str().is_some_and(|line| line.contains("still open after 100ms and were cut")));
}
