//! What is not a review.

use serde_json::json;

use crate::support::{Webhook, command, namespace, review};

#[test]
fn the_pages_say_how_it_is() {
    let webhook = Webhook::start(&["--default-deny", "all"]);
    let mut client = webhook.client();
    for (path, code) in [("/healthz", 200), ("/readyz", 200), ("/", 404), ("/validate", 405)] {
        assert_eq!(client.get(path).code, code, "{path}");
    }
    assert_eq!(client.post("/readyz", b"").code, 405);
    let body = review("u", &namespace("shop", &json!({})), &json!({}));
    client.post("/mutate", body.as_bytes()).response();
    client.post("/mutate", b"{");

    let metrics = client.get("/metrics");
    assert!(metrics.headers.contains(&"content-type: text/plain; version=0.0.4".to_owned()));
    for line in [
        "netpol_webhook_reviews_total{endpoint=\"mutate\",outcome=\"allowed\"} 1",
        "netpol_webhook_reviews_total{endpoint=\"mutate\",outcome=\"malformed\"} 1",
        "netpol_webhook_review_duration_seconds_count{endpoint=\"mutate\"} 2",
        "netpol_webhook_ready 1",
    ] {
        assert!(metrics.text.lines().any(|written| written == line), "{line}\n{}", metrics.text);
    }
    let end = metrics
        .text
        .lines()
        .find_map(|line| line.strip_prefix("netpol_webhook_certificate_not_after_seconds "));
    assert!(end.unwrap().parse::<i64>().unwrap() > 1_700_000_000);
}

#[test]
fn a_wrong_call_is_explained() {
    for (arguments, code, said) in [
        (&["serve"][..], 2, "--cert-dir"),
        (&["serve", "--cert-dir", "/nonexistent"], 1, "cannot read /nonexistent/tls.crt"),
        (
            &["serve", "--self-signed", "localhost", "--listen", "192.0.2.1:1"],
            1,
            "cannot listen on 192.0.2.1:1",
        ),
        (&["serve", "--self-signed", "localhost", "--drain-time", "5"], 2, "write it like 10s"),
        (&["certs", "show", "/nonexistent"], 1, "cannot read /nonexistent/tls.crt"),
        (&["completions", "bash"], 0, ""),
    ] {
        let output = command(arguments).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
        assert!(errors.contains(said), "{arguments:?}: {errors}");
    }
}
