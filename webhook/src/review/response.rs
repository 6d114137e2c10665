//! What the webhook answers.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use base64::prelude::{BASE64_STANDARD, Engine};
use json_patch::Patch;
use serde::Serialize;

use super::{API_VERSION, KIND};
use crate::json::write_text;

/// The API server passes warnings on as they are while all of them together have at most this many characters.
const WARNINGS_LENGTH: usize = 4096;

/// Beyond that it cuts each of them to this many.
const WARNING_LENGTH: usize = 256;

/// And drops the last ones if that is not enough; this many always fit.
const WARNINGS: usize = 15;

/// `AdmissionResponse`.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    uid: String,
    allowed: bool,
    status: Option<Status>,
    patch_type: Option<&'static str>,
    patch: Option<String>,
    warnings: Vec<String>,
    audit_annotations: BTreeMap<&'static str, String>,
}

/// The parts of `metav1.Status` that say why something is refused.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The HTTP status that the API server gives its client.
    pub code: u16,
    /// The reason for machines, such as `Forbidden`.
    pub reason: &'static str,
    /// The reason for people.
    pub message: String,
    /// What exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// `metav1.StatusDetails`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// The object's name.
    pub name: String,
    /// Its API group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// One for each thing that is wrong.
    pub causes: Vec<Cause>,
}

/// `metav1.StatusCause`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// The rule's code.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
    /// JSON path in the object.
    pub field: String,
}

impl Response {
    /// Lets the request pass.
    pub fn allow(uid: impl Into<String>) -> Self {
        let uid = uid.into();
        Self {
            uid,
            allowed: true,
            status: None,
            patch_type: None,
            patch: None,
            warnings: Vec::new(),
            audit_annotations: BTreeMap::new(),
        }
    }

    /// Refuses the request.
    pub fn deny(uid: impl Into<String>, status: Status) -> Self {
        Self { allowed: false, status: Some(status), ..Self::allow(uid) }
    }

    /// Changes the object on its way. An empty patch is left out.
    ///
    /// # Errors
    /// When the patch's values can't be written as JSON.
    pub fn with_patch(mut self, patch: &Patch) -> serde_json::Result<Self> {
        if !patch.0.is_empty() {
            self.patch_type = Some("JSONPatch");
            self.patch = Some(BASE64_STANDARD.encode(serde_json::to_vec(patch)?));
        }
        Ok(self)
    }

    /// Says something to whoever sent the request. What the API server would cut is cut here, where it can be said.
    #[must_use]
    pub fn with_warnings(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings = warnings.into_iter().map(one_line).collect();
        let length: usize = self.warnings.iter().map(|warning| warning.chars().count()).sum();
        if length <= WARNINGS_LENGTH {
            return self;
        }
        if self.warnings.len() > WARNINGS {
            let more = self.warnings.len() - (WARNINGS - 1);
            self.warnings.truncate(WARNINGS - 1);
            self.warnings.push(format!("and {more} more warnings; netpol-lint shows all of them"));
        }
        for warning in &mut self.warnings {
            if warning.chars().count() > WARNING_LENGTH {
                *warning = warning.chars().take(WARNING_LENGTH - 1).chain(['…']).collect();
            }
        }
        self
    }

    /// Notes something in the API server's audit log, as `WEBHOOK/KEY`.
    #[must_use]
    pub fn with_audit(mut self, key: &'static str, value: String) -> Self {
        self.audit_annotations.insert(key, value);
        self
    }

    /// What is noted in the API server's audit log under a key.
    pub fn audit(&self, key: &str) -> Option<&str> {
        self.audit_annotations.get(key).map(String::as_str)
    }

    /// The request's uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// What is said to whoever sent the request.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Why it is refused.
    pub fn message(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.message.as_str())
    }

    /// Whether the request passes.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Whether it changes the object.
    pub fn has_patch(&self) -> bool {
        self.patch.is_some()
    }

    /// The whole AdmissionReview as JSON.
    ///
    /// # Errors
    /// None in practice: every part is text.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let status = self.status.as_ref().map(serde_json::to_string).transpose()?;
        let texts = self.warnings.iter().chain(self.audit_annotations.values());
        let length: usize = texts.map(|text| text.len() + 32).sum();
        let mut json = String::with_capacity(256 + length + status.as_ref().map_or(0, String::len));
        self.write(&mut json, status.as_deref()).expect("there is memory for it");
        Ok(json.into_bytes())
    }

    fn write(&self, json: &mut String, status: Option<&str>) -> fmt::Result {
        write!(json, r#"{{"kind":"{KIND}","apiVersion":"{API_VERSION}","response":{{"uid":"#)?;
        write_text(json, &self.uid)?;
        json.push_str(if self.allowed { r#","allowed":true"# } else { r#","allowed":false"# });
        if let Some(status) = status {
            json.push_str(r#","status":"#);
            json.push_str(status);
        }
        for (name, text) in [("patchType", self.patch_type), ("patch", self.patch.as_deref())] {
            if let Some(text) = text {
                json.push(',');
                write_text(json, name)?;
                json.push(':');
                write_text(json, text)?;
            }
        }
        for (number, warning) in self.warnings.iter().enumerate() {
            json.push_str(if number == 0 { r#","warnings":["# } else { "," });
            write_text(json, warning)?;
        }
        json.push_str(if self.warnings.is_empty() { "" } else { "]" });
        for (number, (key, value)) in self.audit_annotations.iter().enumerate() {
            json.push_str(if number == 0 { r#","auditAnnotations":{"# } else { "," });
            write_text(json, key)?;
            json.push(':');
            write_text(json, value)?;
        }
        json.push_str(if self.audit_annotations.is_empty() { "}}" } else { "}}}" });
        Ok(())
    }
}

impl Status {
    /// 400 Bad Request.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into(), details: None }
    }

    /// 403 Forbidden, with what exactly is wrong.
    pub fn forbidden(message: impl Into<String>, details: Details) -> Self {
        Self { code: 403, reason: "Forbidden", message: message.into(), details: Some(details) }
    }

    /// 500 Internal Server Error.
    pub fn internal_error(message: impl Into<String>) -> Self {
        Self { code: 500, reason: "InternalError", message: message.into(), details: None }
    }

    /// 413 Request Entity Too Large.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self { code: 413, reason: "RequestEntityTooLarge", message: message.into(), details: None }
    }
}

/// A warning travels in an HTTP header: no line breaks or other control characters.
fn one_line(text: String) -> String {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()].map(|end| end.is_none_or(|end| *end == b' '));
    // Without a way out in between, many bytes are looked at together.
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let doubled = pairs.fold(false, |found, (one, next)| found | ((*one == b' ') & (*next == b' ')));
    if ends == [false; 2] && !doubled && !may_have_control(&text) {
        return text;
    }
    let words = text.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a text may hold control characters: those of ASCII, and those that begin with the same byte as others do.
pub(crate) fn may_have_control(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == 0x7f) | (byte == 0xc2))
}

#[cfg(test)]
mod tests {
    use json_patch::{AddOperation, PatchOperation, jsonptr::PointerBuf};

    use super::*;

    #[test]
    fn a_response_has_the_documented_form() {
        let patch = Patch(vec![PatchOperation::Add(AddOperation {
            path: PointerBuf::from_tokens(["metadata", "labels", "a/b"]),
            value: "c".into(),
        })]);
        let response =
            Response::allow("u").with_patch(&patch).unwrap().with_warnings(["look\n  here".to_owned()]);
        let json: serde_json::Value = serde_json::from_slice(&response.to_json().unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "kind": "AdmissionReview",
                "apiVersion": "admission.k8s.io/v1",
                "response": {
                    "uid": "u",
                    "allowed": true,
                    "patchType": "JSONPatch",
                    "patch": BASE64_STANDARD.encode(r#"[{"op":"add","path":"/metadata/labels/a~1b","value":"c"}]"#),
                    "warnings": ["look here"],
                }
            })
        );
        let status = Status::forbidden(
            "no \"name\"",
            Details { name: "n".into(), group: "g".into(), kind: "k".into(), causes: Vec::new() },
        );
        let response = Response::deny("u\\", status)
            .with_warnings(["one".to_owned(), "two".to_owned()])
            .with_audit("a", "b".into())
            .with_audit("c", "d".into());
        let json: serde_json::Value = serde_json::from_slice(&response.to_json().unwrap()).unwrap();
        assert_eq!(
            json["response"],
            serde_json::json!({
                "uid": "u\\",
                "allowed": false,
                "status": {
                    "code": 403, "reason": "Forbidden", "message": "no \"name\"",
                    "details": {"name": "n", "group": "g", "kind": "k", "causes": []},
                },
                "warnings": ["one", "two"],
                "auditAnnotations": {"a": "b", "c": "d"},
            })
        );
    }

    #[test]
    fn a_warning_is_one_line() {
        for (text, line) in [
            ("as it is, é … 😀", "as it is, é … 😀"),
            ("two\u{85}lines\u{7f}", "two lines"),
            (" around  and  between ", "around and between"),
            ("\u{a7} 1", "\u{a7} 1"),
            ("\n", ""),
            ("", ""),
        ] {
            assert_eq!(one_line(text.to_owned()), line);
        }
    }

    #[test]
    fn warnings_stay_within_what_the_api_server_keeps() {
        let warned = |count, length| {
            let warnings = (0..count).map(|_| "é".repeat(length));
            Response::allow("u").with_warnings(warnings).warnings
        };
        assert_eq!(warned(4, 1024), vec!["é".repeat(1024); 4]);
        assert_eq!(warned(200, 20), vec!["é".repeat(20); 200]);
        let cut = warned(50, 1000);
        assert_eq!(cut.len(), WARNINGS);
        assert!(cut.iter().map(|warning| warning.chars().count()).sum::<usize>() <= WARNINGS_LENGTH);
        assert_eq!(cut[0], "é".repeat(WARNING_LENGTH - 1) + "…");
        assert_eq!(cut[WARNINGS - 1], "and 36 more warnings; netpol-lint shows all of them");
    }
}
