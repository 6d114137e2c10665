//! What the API server asks.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::quick;
use super::raw::{Body, Part, Raw};
use super::uid::uid;

/// `AdmissionRequest`, borrowed from the body that it came in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Names this call; the response repeats it.
    pub uid: String,
    /// What the object is.
    pub kind: Kind,
    /// The subresource, such as `status`.
    #[serde(default)]
    pub sub_resource: Option<String>,
    /// The object's name; empty where the API server still has to make one of `generateName`.
    #[serde(default)]
    pub name: String,
    /// The object's namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// What is being done.
    pub operation: Operation,
    /// Who does it.
    #[serde(default)]
    pub user_info: UserInfo,
    #[serde(borrow, default)]
    pub(super) object: Option<Part<'a>>,
    #[serde(borrow, default)]
    pub(super) old_object: Option<Part<'a>>,
    /// Nothing of this will be kept.
    #[serde(default)]
    pub dry_run: bool,
    /// The body, where all of it was read at once.
    #[serde(skip)]
    pub(super) body: Option<Body<'a>>,
}

/// `GroupVersionKind`.
#[derive(Debug, Deserialize)]
pub struct Kind {
    /// The API group; empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Its version.
    pub version: String,
    /// The kind.
    pub kind: String,
}

/// `authentication.k8s.io/v1 UserInfo`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// The name that rights are given to.
    pub username: String,
    /// Tells users of the same name at different times apart.
    pub uid: Option<String>,
    /// Groups that rights are given to.
    pub groups: Option<Vec<String>>,
    /// What else the authenticator knows.
    pub extra: Option<BTreeMap<String, Vec<String>>>,
}

/// What is being done with the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It goes.
    Delete,
    /// A connection to a subresource, such as `exec`.
    Connect,
}

/// A body that is no request that can be answered on its merits.
#[derive(Debug, thiserror::Error)]
#[error("not an AdmissionReview that can be read: {detail}")]
pub struct Malformed {
    /// The request's uid if at least that could be read: then there is someone to answer.
    pub uid: Option<String>,
    /// What is wrong.
    pub detail: String,
}

impl<'a> Request<'a> {
    /// Reads a request's body.
    ///
    /// # Errors
    /// [`Malformed`] when it is no JSON, of another version, a response, or lacks a field.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        quick::request(body).map_or_else(|| Self::parse_usual(body), Ok)
    }

    /// The same for everything that [`quick`] leaves alone.
    pub(super) fn parse_usual(body: &'a [u8]) -> Result<Self, Malformed> {
        let malformed = |detail: String| Malformed { uid: uid(body), detail };
        let review: Review<'a> =
            serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
        if review.api_version != super::API_VERSION || review.kind != super::KIND {
            let (version, kind) = (&review.api_version, &review.kind);
            let wanted = format!("{} {}", super::API_VERSION, super::KIND);
            return Err(malformed(format!("it is a {version} {kind}; only {wanted} is understood")));
        }
        match review.request {
            Some(request) if request.uid.is_empty() => Err(malformed("its uid is empty".to_owned())),
            Some(request) => Ok(request),
            None => Err(malformed("it has no request".to_owned())),
        }
    }
}

impl Request<'_> {
    /// The object as it will be; `None` for DELETE.
    pub fn object(&self) -> Option<Raw<'_>> {
        self.object.map(|part| Raw::new(part, self.body.as_ref()))
    }

    /// The object as it is; only for UPDATE and DELETE.
    pub fn old_object(&self) -> Option<Raw<'_>> {
        self.old_object.map(|part| Raw::new(part, self.body.as_ref()))
    }
}

impl Kind {
    /// Whether it is this kind of this group, in whatever version.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// As an object's `apiVersion` writes group and version.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow, default)]
    request: Option<Request<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_and_the_uid_kept() {
        let review = |version: &str, request: &str| {
            format!(r#"{{"kind":"AdmissionReview","apiVersion":"{version}","request":{request}}}"#)
        };
        let table = [
            (String::new(), None, "EOF"),
            ("[]".to_owned(), None, "invalid length"),
            (review("admission.k8s.io/v1beta1", r#"{"uid":"u"}"#), Some("u"), "missing field"),
            (review("admission.k8s.io/v1", "null"), None, "it has no request"),
            (
                review("admission.k8s.io/v1", r#"{"uid":"u","operation":"PATCH"}"#),
                Some("u"),
                "unknown variant",
            ),
            (
                review("v1", r#"{"uid":"u","operation":"CREATE","kind":{"version":"v1","kind":"Pod"}}"#),
                Some("u"),
                "only admission.k8s.io/v1 AdmissionReview is understood",
            ),
        ];
        for (body, uid, detail) in table {
            let error = Request::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.uid.as_deref(), uid, "{body}");
            assert!(error.detail.contains(detail), "{body}: {error}");
        }
    }
}
