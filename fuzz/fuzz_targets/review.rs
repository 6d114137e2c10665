//! Any body as a review: it is refused as none, or answered by its uid.

#![no_main]

use libfuzzer_sys::fuzz_target;
use netpol_webhook::review::Request;
use netpol_webhook::validate::Validator;

fuzz_target!(|body: &[u8]| {
    let Ok(request) = Request::parse(body) else { return };
    let verdict = Validator::default().review(&request);
    assert_eq!(verdict.response.uid(), request.uid);
    assert_eq!(verdict.response.is_allowed(), verdict.response.message().is_none());
    let answer = verdict.response.to_json().expect("every part is text");
    serde_json::from_slice::<serde_json::Value>(&answer).expect("JSON");
    for warning in verdict.response.warnings() {
        assert!(!warning.contains(char::is_control), "{warning:?}");
    }
});
