//! AdmissionReview v1, the language between the API server and its webhooks.
//!
//! The types hold what this webhook reads and writes, in the form of
//! [`k8s.io/api/admission/v1`](https://pkg.go.dev/k8s.io/api/admission/v1). The object under review stays the text it
//! came as, so that nothing is lost on its way to the rules.

mod quick;
mod raw;
mod request;
mod response;
mod uid;

pub use raw::Raw;
pub use request::{Malformed, Operation, Request, UserInfo};
pub(crate) use response::may_have_control;
pub use response::{Cause, Details, Response, Status};
pub use uid::uid;

/// The version that is understood.
pub const API_VERSION: &str = "admission.k8s.io/v1";

/// The kind of request and response alike.
pub const KIND: &str = "AdmissionReview";
