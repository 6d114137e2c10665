//! Too much, too large, too slow, and not a review at all.

use serde_json::json;

use crate::support::{Webhook, namespace, policy, review};

#[test]
fn whoever_can_be_answered_is_answered() {
    let webhook = Webhook::start(&[]);
    let whole = review("the-uid", &policy("podSelector: {}"), &json!({}));
    let half = &whole[..whole.find("userInfo").unwrap()];
    let old = whole.replace("admission.k8s.io/v1", "admission.k8s.io/v1beta1");
    let unfinished = format!("{half}x\":{}", "[".repeat(100_000));
    for (body, said) in [
        (half, "EOF"),
        (old.as_str(), "only admission.k8s.io/v1 AdmissionReview is understood"),
        (unfinished.as_str(), "EOF"),
        (r#"{"request":{"uid":"the-uid"}}"#, "missing field"),
    ] {
        for path in ["/validate", "/mutate"] {
            let response = webhook.post(path, body).response();
            assert_eq!((&response["uid"], &response["allowed"]), (&"the-uid".into(), &false.into()));
            assert_eq!(response["status"]["code"], 400);
            assert!(response["status"]["message"].as_str().unwrap().contains(said), "{response}");
        }
    }
    for body in [&b""[..], b"{}", b"\0\xff", b"[]", br#"{"request":{"uid":7}}"#] {
        assert_eq!(webhook.post("/validate", body).code, 400);
    }
}

#[test]
fn an_object_that_is_nested_deeply_is_refused() {
    let webhook = Webhook::start(&[]);
    let depth = 100_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let mut policy = policy("podSelector: {}");
    policy["metadata"]["annotations"] = "DEEP".into();
    for (path, object) in
        [("/validate", policy), ("/mutate", namespace("shop", &json!({ "annotations": "DEEP" })))]
    {
        let body = review("the-uid", &object, &json!({})).replacen("\"DEEP\"", &deep, 1);
        let response = webhook.post(path, body).response();
        assert_eq!((&response["uid"], &response["status"]["code"]), (&"the-uid".into(), &400.into()));
        assert!(response["status"]["message"].as_str().unwrap().contains("recursion limit"), "{response}");
    }
}

#[test]
fn a_review_has_at_most_seven_mebibytes() {
    let webhook = Webhook::start(&[]);
    let limit = netpol_webhook::server::BODY_LIMIT;
    let fill = |begin: &str, length: usize, end: &str| {
        let mut body = begin.to_owned();
        body.push_str(&" ".repeat(length - begin.len() - end.len()));
        body + end
    };
    let with_uid =
        r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"the-uid","#;
    let rest = &review("ignored", &namespace("shop", &json!({})), &json!({}));
    let rest = &rest[rest.find(r#""userInfo""#).unwrap()..];
    let request = format!(
        r#"{with_uid}"kind":{{"version":"v1","kind":"Namespace"}},"operation":"CREATE","object":{{"metadata":{{}}}},"#
    );
    let just = webhook.post("/mutate", fill(&request, limit, rest));
    assert_eq!(just.response()["allowed"], true);

    let refused = webhook.post("/mutate", fill(&request, limit + 1, rest)).response();
    assert_eq!((&refused["uid"], &refused["allowed"]), (&"the-uid".into(), &false.into()));
    assert_eq!(
        (&refused["status"]["code"], &refused["status"]["reason"]),
        (&413.into(), &"RequestEntityTooLarge".into())
    );
    assert_eq!(webhook.post("/mutate", fill("{", limit + 1, "}")).code, 413);
}

#[test]
fn a_slow_review_ends_when_the_api_server_stops_waiting() {
    let webhook = Webhook::start(&[]);
    let mut slow = webhook.client();
    slow.begin("/validate?timeout=200ms", 100);
    assert_eq!(slow.answer().code, 504);
}

#[test]
fn slow_bodies_hold_up_nobody() {
    let webhook = Webhook::start(&["--max-concurrent", "1"]);
    let body = review("u", &policy("{podSelector: {}, policyTypes: [Ingress]}"), &json!({}));
    // Small ones, and more large ones than there is memory for.
    let mut slow: Vec<_> = [body.len(), 7 * 1024 * 1024]
        .repeat(6)
        .into_iter()
        .map(|length| (length, webhook.client()))
        .collect();
    for (length, client) in &mut slow {
        client.begin("/validate?timeout=30s", *length);
        client.send(&body.as_bytes()[..10]);
    }
    crate::support::eventually("the slow ones to arrive", || {
        webhook.get("/metrics").text.contains("\nnetpol_webhook_reviews_open 12\n")
    });
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(webhook.get(path).code, 200, "{path}");
    }
    assert_eq!(webhook.post("/validate?timeout=10s", &body).response()["allowed"], true);
    // Who is slow but small is answered in the end; large ones give their memory to the next after five seconds.
    let (_, first) = &mut slow[0];
    first.send(&body.as_bytes()[10..]);
    assert_eq!(first.answer().response()["allowed"], true);
    assert_eq!(slow[1].1.answer().code, 504);
}

#[test]
fn there_is_room_for_so_many_connections() {
    let webhook = Webhook::start(&["--max-connections", "3"]);
    let mut open: Vec<_> = (0..3).map(|_| webhook.client()).collect();
    assert!(webhook.try_client().is_err());
    // Those that were first are still served, and one that goes makes room.
    assert_eq!(open[0].get("/readyz").code, 200);
    open.pop();
    crate::support::eventually("room", || webhook.try_client().is_ok());
}
