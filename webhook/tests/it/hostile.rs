//! Bodies that no API server sends: each is answered with a well-formed review or not at all, and nothing is let in by
//! accident.

use netpol_webhook::review::Request;
use netpol_webhook::validate::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{policy, review};

/// A review that is refused: NP107.
const BAD: &str = "{podSelector: {}, policyTypes: [Ingress], egress: [{to: [{podSelector: {}}]}]}";

/// What becomes of a body, with what must hold of it whatever it is.
fn answered(validator: &Validator, body: &[u8]) -> Option<Value> {
    let Ok(request) = Request::parse(body) else { return None };
    let verdict = validator.review(&request);
    let text = verdict.response.to_json().unwrap();
    let answer: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(
        (&answer["kind"], &answer["apiVersion"]),
        (&"AdmissionReview".into(), &"admission.k8s.io/v1".into())
    );
    let response = answer["response"].clone();
    assert_eq!(response["uid"], request.uid.as_str());
    let allowed = response["allowed"].as_bool().unwrap();
    assert_eq!(allowed, response["status"].is_null());
    let warnings = response["warnings"].as_array().into_iter().flatten();
    assert!(warnings.clone().all(|warning| !warning.as_str().unwrap().contains(char::is_control)));
    Some(response)
}

/// Any JSON.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        "\\PC{0,8}|[a-z]{1,6}|CREATE|UPDATE|NetworkPolicy".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = "[a-z]{1,4}|spec|metadata|ingress|from|podSelector|namespace|annotations";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every field of a request, by JSON pointer.
const PLACES: [&str; 14] = [
    "/kind",
    "/apiVersion",
    "/request",
    "/request/uid",
    "/request/kind",
    "/request/kind/kind",
    "/request/operation",
    "/request/object",
    "/request/object/spec",
    "/request/object/metadata",
    "/request/object/spec/egress",
    "/request/namespace",
    "/request/userInfo",
    "/request/oldObject",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(answered(&Validator::default(), &body), None);
    }

    #[test]
    fn a_part_of_a_review(cut in 0usize..2000) {
        let whole = review("u", &policy(BAD), &json!({}));
        let body = &whole.as_bytes()[..cut.min(whole.len() - 1)];
        prop_assert_eq!(answered(&Validator::default(), body), None);
    }

    #[test]
    fn anything_in_the_place_of_a_field(place in prop::sample::select(&PLACES[..]), value in values()) {
        let mut body: Value = serde_json::from_str(&review("u", &policy(BAD), &json!({}))).unwrap();
        *body.pointer_mut(place).unwrap() = value.clone();
        let response = answered(&Validator::default(), body.to_string().as_bytes());
        // It is let in only where it is no longer a bad policy that is created.
        let harmless = ["/request/kind", "/request/kind/kind", "/request/operation", "/request/object",
            "/request/object/spec", "/request/object/spec/egress", "/request", "/request/oldObject"];
        if let Some(response) = response && response["allowed"] == true {
            prop_assert!(harmless.contains(&place), "{place}: {value} is let in");
            let is_object = value.is_object() || value.is_null() || value.is_array() || value.is_string();
            prop_assert!(is_object, "{place}: {value} is let in");
        }
    }

    #[test]
    fn fields_of_the_future_don_t_matter(value in values()) {
        let mut body: Value = serde_json::from_str(&review("u", &policy(BAD), &json!({}))).unwrap();
        for place in ["", "/request", "/request/kind", "/request/userInfo", "/request/object", "/request/object/spec"] {
            body.pointer_mut(place).unwrap()["ofTheFuture"] = value.clone();
        }
        let response = answered(&Validator::default(), body.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&response["allowed"], false);
    }
}

#[test]
fn operations_and_kinds_that_it_does_not_know() {
    let validator = Validator::default();
    for operation in ["PATCH", "create", "", "EVICT"] {
        let body = review("u", &policy(BAD), &json!({"operation": operation}));
        assert_eq!(answered(&validator, body.as_bytes()), None, "{operation}");
    }
    // Of whatever version, a policy is a policy.
    let kind = json!({"group": "networking.k8s.io", "version": "v7", "kind": "NetworkPolicy"});
    let body = review("u", &policy(BAD), &json!({"kind": kind}));
    assert_eq!(answered(&validator, body.as_bytes()).unwrap()["allowed"], false);
    for object in [json!(null), json!([]), json!("text"), json!(7)] {
        let body = review("u", &policy(BAD), &json!({"object": object}));
        assert_eq!(answered(&validator, body.as_bytes()).unwrap()["allowed"], false, "{object}");
    }
}
